//! What only the SQLite store promises: its file, hand-written SQL beside it, and what a crash or a tamperer leaves.
#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's setting stops the test when it cannot be made"
)]

mod atomic;
mod by_hand;
mod killed;
mod opening;
mod scene;
mod shared;
mod tampering;
