//! Any bytes, read by `aura_sandbox::fuzzing::patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aura_sandbox::fuzzing::patch(bytes));
