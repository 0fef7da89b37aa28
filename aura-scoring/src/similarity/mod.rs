//! How alike two pieces of work are, each measure from 0 (nothing in common) to 1 (the same).

pub mod names;
pub mod signatures;
pub mod text;

use std::{collections::HashSet, hash::Hash};

use aura_core::Fraction;

/// What two sets share over all that is in either; 1 when both are empty.
fn jaccard<T: Eq + Hash>(a: &HashSet<T>, b: &HashSet<T>) -> Fraction {
    let shared = a.intersection(b).count();
    Fraction::of(shared as u64, (a.len() + b.len() - shared) as u64).unwrap_or(Fraction::MAX)
}
