//! Any bytes, read by `aura_sandbox::fuzzing::cargo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aura_sandbox::fuzzing::cargo(bytes));
