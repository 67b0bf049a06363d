//! See `doproxy_haproxy::fuzzing::template_context`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy_haproxy::fuzzing::template_context(bytes));
