//! What happened by the journals of those who took part, held against what the PostgreSQL store says happened.
//!
//! Processes submit, schedule, work and judge, and are killed, stopped and cut off while they do. Each writes down what it asks
//! before it asks and what it was answered, outside the database; at the end the [`checker`] compares. It is stricter than
//! Jepsen's `total-queue`, which allows duplicates: nothing is lost, nothing is there that nobody asked for, and nothing is
//! applied twice.
//!
//! Longer runs: `AURA_KILL_ROUNDS=1000 AURA_POSTMASTER_KILLS=50 AURA_STOPS=100 AURA_CUTS=5000 cargo test --all-features --test journal`.
#![cfg(feature = "postgres")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test's setting stops the test when it cannot be made, and says what it saw"
)]

mod chance;
mod checker;
mod child;
mod clocks;
mod database;
mod field;
mod journal;
mod kills;
mod manager;
mod network;
mod postmaster;
mod stopped;
mod submitter;
mod worker;
