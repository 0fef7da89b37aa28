//! Who is told when something is wrong.

mod log;

pub use log::LogAlerter;
