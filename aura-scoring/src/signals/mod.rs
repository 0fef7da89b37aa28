//! The signals: each in a file of its own, `0..=1` or absent, with how it was measured in plain words.

pub(crate) mod agreement;
pub(crate) mod docs;
pub(crate) mod penalties;
pub(crate) mod performance;
pub(crate) mod tests;

use aura_core::Fraction;

/// A signal as it was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// Its value; absent when it could not be measured.
    pub(crate) value: Option<Fraction>,
    /// How it was measured, or why not.
    pub(crate) why: String,
}

impl Measured {
    pub(crate) fn as_value(value: Fraction, why: impl Into<String>) -> Self {
        Self { value: Some(value), why: why.into() }
    }

    pub(crate) fn absent(why: impl std::fmt::Display) -> Self {
        Self { value: None, why: format!("absent: {why}") }
    }
}

/// A share that was computed from counts, held to its range against rounding; what is not a number counts as nothing.
pub(crate) fn fraction(share: f64) -> Fraction {
    Fraction::new(share.clamp(0.0, 1.0)).unwrap_or(Fraction::ZERO)
}

/// The mean of some shares, the same bits in whatever order they come; absent of none.
#[expect(clippy::cast_precision_loss, reason = "counts of models and functions are far below 2^52")]
pub(crate) fn mean(shares: impl IntoIterator<Item = Fraction>) -> Option<Fraction> {
    let mut shares: Vec<Fraction> = shares.into_iter().collect();
    shares.sort_unstable();
    let sum: f64 = shares.iter().map(|share| share.get()).sum();
    (!shares.is_empty()).then(|| fraction(sum / shares.len() as f64))
}
