//! Any bytes, read by `aura_sandbox::fuzzing::rust_tests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aura_sandbox::fuzzing::rust_tests(bytes));
