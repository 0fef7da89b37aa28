//! Any bytes, read by `aura_sandbox::fuzzing::junit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aura_sandbox::fuzzing::junit(bytes));
