//! Workers as real processes: they solve jobs of a real manager, are killed, and outlive a manager's restart.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

#[path = "../reference_server/process.rs"]
#[expect(dead_code, reason = "the reference server's own tests use the rest")]
mod process;
mod restart;
mod settings;
mod solve;
mod stop;
mod worker;
