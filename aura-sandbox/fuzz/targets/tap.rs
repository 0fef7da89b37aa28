//! Any bytes, read by `aura_sandbox::fuzzing::tap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aura_sandbox::fuzzing::tap(bytes));
