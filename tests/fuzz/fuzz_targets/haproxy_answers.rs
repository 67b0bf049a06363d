//! See `doproxy_haproxy::fuzzing::haproxy_answers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy_haproxy::fuzzing::haproxy_answers(bytes));
