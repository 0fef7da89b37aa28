//! What the machine has left.

mod fixed;

pub use fixed::FixedProbe;
