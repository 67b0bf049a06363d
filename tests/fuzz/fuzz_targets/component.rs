//! See `doproxy::fuzzing::component`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy::fuzzing::component(bytes));
