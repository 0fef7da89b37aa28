//! Similarity by the names of functions.

use std::collections::HashSet;

use aura_core::Fraction;

use super::jaccard;
use crate::extract::Function;

/// Names found in both over names found in either (Jaccard); a name counts once however often it is used.
///
/// Symmetric; 1 when both have the same names or none at all, 0 when they share none.
#[must_use]
pub fn similarity(a: &[Function], b: &[Function]) -> Fraction {
    let names = |functions: &'_ [Function]| -> HashSet<String> {
        functions.iter().map(|function| function.name.clone()).collect()
    };
    jaccard(&names(a), &names(b))
}
