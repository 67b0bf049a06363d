//! See `doproxy::fuzzing::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy::fuzzing::config(bytes));
