//! See `doproxy::fuzzing::template_context`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy::fuzzing::template_context(bytes));
