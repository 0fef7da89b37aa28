//! The reference server as a real process: killed, driven by a real browser, used by a worker that knows only the document.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod browser;
mod hr;
mod kill;
mod money;
mod nodes;
mod page;
mod process;
mod readiness;
mod rolling;
mod seed_worker;
mod settings;
