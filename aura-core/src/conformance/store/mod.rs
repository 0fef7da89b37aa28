//! What every store promises, by area; a promise that is broken panics.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a suite fails by panicking")]

pub mod judging;
pub mod leases;
mod scene;
pub mod scheduling;
pub mod staff;
pub mod submission;
pub mod trail;
