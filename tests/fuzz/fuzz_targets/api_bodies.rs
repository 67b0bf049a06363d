//! See `doproxy_digitalocean::fuzzing::api_bodies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy_digitalocean::fuzzing::api_bodies(bytes));
