//! Similarity by the signatures of functions: the name together with the number of parameters.

use std::collections::HashSet;

use aura_core::Fraction;

use super::jaccard;
use crate::extract::Function;

/// Signatures found in both over signatures found in either (Jaccard).
///
/// Parameters count by number, since two authors rarely name them alike and a caller seldom minds; the receiver
/// (`self`) is none. Symmetric; 1 when both have the same signatures or none at all, 0 when they share none.
#[must_use]
pub fn similarity(a: &[Function], b: &[Function]) -> Fraction {
    let signatures = |functions: &'_ [Function]| -> HashSet<(String, usize)> {
        functions.iter().map(|function| (function.name.clone(), function.parameters.len())).collect()
    };
    jaccard(&signatures(a), &signatures(b))
}
