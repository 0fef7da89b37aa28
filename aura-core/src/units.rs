//! Numbers with a range: a value of these types is always finite and inside it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number was not finite, or outside its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{what} is {value}: it must be a finite number from {min} to {max}")]
pub struct OutOfRange {
    /// Which quantity.
    pub what: &'static str,
    /// What was given.
    pub value: f64,
    /// Smallest value allowed.
    pub min: f64,
    /// Largest value allowed.
    pub max: f64,
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The smallest value, 0.
            pub const ZERO: Self = Self(0.0);
            /// The largest value.
            pub const MAX: Self = Self($max);

            /// Checks a value.
            ///
            /// # Errors
            /// [`OutOfRange`] for NaN, an infinity, or a value outside the range.
            pub fn new(value: f64) -> Result<Self, OutOfRange> {
                if value.is_finite() && (0.0..=$max).contains(&value) {
                    // Adding zero turns -0.0 into 0.0, which prints and compares as people expect.
                    Ok(Self(value + 0.0))
                } else {
                    Err(OutOfRange { what: $what, value, min: 0.0, max: $max })
                }
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl Eq for $name {}

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialOrd<f64> for $name {
            fn partial_cmp(&self, other: &f64) -> Option<std::cmp::Ordering> {
                self.0.partial_cmp(other)
            }
        }

        impl PartialEq<f64> for $name {
            fn eq(&self, other: &f64) -> bool {
                self.0 == *other
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;

            fn try_from(value: f64) -> Result<Self, Self::Error> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ranged!(
    /// What a run earned, `0..=1`.
    Score,
    "score",
    1.0
);
ranged!(
    /// How sure a model was of its own answer, `0..=1`: `exp(mean logprob)`. It is data, never part of a score.
    Confidence,
    "confidence",
    1.0
);
ranged!(
    /// A share of a whole, `0..=1`: the unit of every signal.
    Fraction,
    "fraction",
    1.0
);
ranged!(
    /// How heavily a run is punished; the formula takes off a quarter of it. A forging attempt weighs 1.
    Penalty,
    "penalty",
    100.0
);

impl Score {
    /// Brings a finite number into `0..=1`.
    ///
    /// # Errors
    /// [`OutOfRange`] for NaN and the infinities, which no clamp can mend.
    ///
    /// # Examples
    /// ```
    /// use aura_core::Score;
    /// assert_eq!(Score::clamped(1.3).unwrap(), 1.0);
    /// assert!(Score::clamped(f64::NAN).is_err());
    /// ```
    pub fn clamped(raw: f64) -> Result<Self, OutOfRange> {
        if raw.is_finite() { Self::new(raw.clamp(0.0, 1.0)) } else { Self::new(raw) }
    }

    /// This score as a share of the best that was `attainable`; absent when nothing was attainable.
    ///
    /// # Examples
    /// ```
    /// use aura_core::Score;
    /// let (half, most) = (Score::new(0.3).unwrap(), Score::new(0.6).unwrap());
    /// assert_eq!(half.share_of(most).unwrap(), 0.5);
    /// assert!(half.share_of(Score::ZERO).is_none());
    /// ```
    #[must_use]
    pub fn share_of(self, attainable: Self) -> Option<Self> {
        (attainable.0 > 0.0).then(|| Self((self.0 / attainable.0).clamp(0.0, 1.0)))
    }
}

impl Fraction {
    /// The part that `n` is of `total`, held to at most the whole; absent when `total` is 0.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of tests and lines are far below 2^52")]
    pub fn of(n: u64, total: u64) -> Option<Self> {
        (total > 0).then(|| Self(n.min(total) as f64 / total as f64))
    }
}

/// An amount of memory in units of 2^20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mebibytes(pub u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_float_makes_a_score_outside_its_range(raw in proptest::num::f64::ANY) {
            for score in [Score::new(raw), Score::clamped(raw)].into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&score.get()));
            }
        }
    }

    #[test]
    fn a_confidence_out_of_range_is_refused_and_never_clamped() {
        for bad in [1.7, -3.0, f64::NAN, f64::INFINITY] {
            assert!(Confidence::new(bad).is_err());
        }
        assert!(serde_json::from_str::<Confidence>("1.7").is_err());
        assert!(serde_json::from_str::<Confidence>("1e999").is_err());
    }
}
