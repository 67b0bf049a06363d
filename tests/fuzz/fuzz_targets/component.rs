//! See `doproxy_plugin_host::fuzzing::component`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doproxy_plugin_host::fuzzing::component(bytes));
