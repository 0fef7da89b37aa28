//! What only the PostgreSQL store promises: many nodes on one database, hand-written SQL beside them, months that go, and a server
//! that dies.
#![cfg(feature = "postgres")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's setting stops the test when it cannot be made"
)]

mod atomic;
mod by_hand;
mod claims;
mod faults;
mod hr;
mod locks;
mod long_transaction;
mod nodes;
mod opening;
mod plans;
mod pooler;
mod replica;
mod retention;
mod scene;
