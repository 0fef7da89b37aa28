//! Similarity of code as text: edit distance over tokens.
//!
//! Tokens instead of characters, because unrelated code shares most of its characters but few of its tokens, and
//! because a text has about a quarter as many of them, which makes the quadratic comparison about 16 times as quick.
//! Whitespace, comments and docstrings are no tokens: neither a style of layout nor a plea in a comment moves it.

use std::collections::HashMap;

use aura_core::{Fraction, Language};
use rapidfuzz::distance::levenshtein;

use crate::{code::Numbering, signals::fraction};

/// Most tokens on either side that are compared exactly; above it the time would grow too far.
pub const MAX_EXACT_TOKENS: usize = 16_384;
/// Length of the token sequences that stand for a text too long to be compared exactly.
pub const SHINGLE: usize = 4;

/// How alike two texts are: `1 - edits / length of the longer`, over tokens.
///
/// `edits` is the Levenshtein distance: tokens to be inserted, removed or replaced. Symmetric; texts of the same tokens
/// give exactly 1, two empty ones too, one empty one gives 0. When either has more than [`MAX_EXACT_TOKENS`] tokens
/// (about 64 KB of code) it is an estimate in linear time: the share of [`SHINGLE`]-token sequences that both have.
///
/// # Examples
/// ```
/// use aura_core::Language;
/// use aura_scoring::similarity::text::similarity;
/// // One token of five differs.
/// assert_eq!(similarity("a = b + 1", "a = b + 2  # two", Language::Python), 0.8);
/// assert_eq!(similarity("a = 1\r\n", "a = 1", Language::Python), 1.0);
/// ```
#[must_use]
pub fn similarity(a: &str, b: &str, language: Language) -> Fraction {
    let mut numbering = Numbering::default();
    let (a, b) = (numbering.tokens(a, language), numbering.tokens(b, language));
    Comparer::new(&a).similarity(&b).0
}

/// Whether a similarity is the exact figure or an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    Exact,
    Estimate,
}

/// One text, made ready to be compared with several others.
pub(crate) struct Comparer<'a> {
    tokens: &'a [u32],
    /// Only for a text short enough to be compared exactly.
    pattern: Option<levenshtein::BatchComparator<u32>>,
}

impl<'a> Comparer<'a> {
    pub(crate) fn new(tokens: &'a [u32]) -> Self {
        let exact = tokens.len() <= MAX_EXACT_TOKENS;
        Self { tokens, pattern: exact.then(|| levenshtein::BatchComparator::new(tokens.iter().copied())) }
    }

    /// [`similarity`] to another text that was numbered by the same [`Numbering`].
    pub(crate) fn similarity(&self, other: &[u32]) -> (Fraction, Precision) {
        if self.tokens == other {
            return (Fraction::MAX, Precision::Exact);
        }
        if self.tokens.is_empty() || other.is_empty() {
            return (Fraction::ZERO, Precision::Exact);
        }
        let longer = self.tokens.len().max(other.len());
        match &self.pattern {
            Some(pattern) if other.len() <= MAX_EXACT_TOKENS => {
                let edits = pattern.distance(other.iter().copied());
                (share(longer.saturating_sub(edits), longer), Precision::Exact)
            }
            _ => {
                let most = (longer + 1).saturating_sub(SHINGLE);
                (share(shared_shingles(self.tokens, other), most), Precision::Estimate)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens are far below 2^52")]
fn share(part: usize, whole: usize) -> Fraction {
    fraction(part as f64 / whole.max(1) as f64)
}

/// How many sequences of [`SHINGLE`] tokens both have, each as often as in the one that has it less often.
fn shared_shingles(a: &[u32], b: &[u32]) -> usize {
    let mut left: HashMap<&[u32], usize> = HashMap::new();
    for shingle in a.windows(SHINGLE) {
        *left.entry(shingle).or_default() += 1;
    }
    let mut shared = 0;
    for shingle in b.windows(SHINGLE) {
        if let Some(count) = left.get_mut(shingle)
            && *count > 0
        {
            *count -= 1;
            shared += 1;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain textbook distance, over the same tokens.
    fn simple(a: &[u32], b: &[u32]) -> f64 {
        let longer = a.len().max(b.len());
        if longer == 0 {
            1.0
        } else {
            1.0 - strsim::generic_levenshtein(&a.to_vec(), &b.to_vec()) as f64 / longer as f64
        }
    }

    proptest! {
        #[test]
        fn it_equals_the_simple_metric_on_the_same_tokens(
            a in proptest::collection::vec(0..300_u32, 0..150),
            cut in 0..150_usize,
            tail in proptest::collection::vec(0..300_u32, 0..150),
        ) {
            let b: Vec<u32> = a.iter().take(cut).copied().chain(tail).collect();
            let (ours, precision) = Comparer::new(&a).similarity(&b);
            prop_assert!((ours.get() - simple(&a, &b)).abs() < 1e-12);
            prop_assert_eq!(precision, Precision::Exact);
        }
    }

    #[test]
    fn many_different_tokens_are_still_told_apart() {
        let a: Vec<u32> = (0..5000).collect();
        let b: Vec<u32> = (0..5000).map(|n| if n % 10 == 0 { n + 5000 } else { n }).collect();
        assert_eq!(Comparer::new(&a).similarity(&b).0, 0.9);
    }

    #[test]
    fn long_texts_are_estimated_and_the_same_ones_are_still_exactly_one() {
        let a: Vec<u32> = (0..20_000).collect();
        let b: Vec<u32> = (0..20_000).map(|n| if n == 10_000 { 77_777 } else { n }).collect();
        let (near, precision) = Comparer::new(&a).similarity(&b);
        assert_eq!(precision, Precision::Estimate);
        // One changed token spoils the four sequences that hold it, of 19,997.
        assert_eq!(near.get(), 19_993.0 / 19_997.0);
        assert_eq!(Comparer::new(&b).similarity(&a).0, near);
        assert_eq!(Comparer::new(&a).similarity(&a).0, 1.0);
        assert_eq!(Comparer::new(&a).similarity(&a[..2]).0, 0.0);
    }
}
