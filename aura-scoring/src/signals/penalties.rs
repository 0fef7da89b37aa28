//! Penalties: what all the marks against a run weigh together.

use aura_core::{Penalty, PenaltyMark};

/// The sum of the marks, held to [`Penalty::MAX`]. The order of the marks does not matter.
pub(crate) fn total(marks: &[PenaltyMark]) -> Penalty {
    let mut weights: Vec<Penalty> = marks.iter().map(|mark| mark.weight).collect();
    weights.sort_unstable();
    let sum: f64 = weights.iter().map(|weight| weight.get()).sum();
    // A sum of finite, non-negative weights can only be out of range by being too large.
    Penalty::new(sum).unwrap_or(Penalty::MAX)
}
