//! See `doproxy_config::fuzzing::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy_config::fuzzing::config(bytes));
