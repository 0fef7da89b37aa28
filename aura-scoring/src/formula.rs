//! The formula: from signals and penalties to a score, to the letter of the user's document.

use aura_core::{Fraction, Penalty, Score, Signals};

/// What the test score counts. DESIGN: the user's document.
pub const WEIGHT_TESTS: f64 = 0.40;
/// What the agreement with other models counts. DESIGN: the user's document.
pub const WEIGHT_AGREEMENT: f64 = 0.30;
/// What the quality of the documentation counts. DESIGN: the user's document.
pub const WEIGHT_DOCS: f64 = 0.10;
/// What being fast enough counts. DESIGN: the user's document.
pub const WEIGHT_PERFORMANCE: f64 = 0.10;
/// What a penalty of 1 takes off. DESIGN: the user's document.
pub const WEIGHT_PENALTIES: f64 = 0.25;

/// The score that signals and penalties make:
/// `0.40 tests + 0.30 agreement + 0.10 docs + 0.10 performance - 0.25 penalties`, clamped to `0..=1`.
///
/// An absent signal counts 0. The weights sum to 0.90, so that is the highest score there is; see [`attainable`].
///
/// # Examples
/// ```
/// use aura_core::{Fraction, Penalty, Signals};
/// use aura_scoring::score_from_signals;
/// let signals = Signals { test_score: Some(Fraction::new(0.5)?), ..Signals::default() };
/// assert_eq!(score_from_signals(&signals, Penalty::ZERO), 0.20);
/// assert_eq!(score_from_signals(&signals, Penalty::new(1.0)?), 0.0);
/// # Ok::<(), aura_core::OutOfRange>(())
/// ```
#[inline]
#[must_use]
pub fn score_from_signals(signals: &Signals, penalties: Penalty) -> Score {
    Weights::DOCUMENT.score(signals, penalties)
}

/// The best score that the signals present could have earned: the sum of their weights.
///
/// A job without siblings has no agreement, so it can reach 0.60 at most; one without tests either, 0.10.
#[inline]
#[must_use]
pub fn attainable(signals: &Signals) -> Score {
    Weights::DOCUMENT.attainable(signals)
}

/// What each signal counts. Penalties always take off [`WEIGHT_PENALTIES`], as the contract of
/// [`Scorer`](aura_core::Scorer) says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    pub(crate) tests: f64,
    pub(crate) agreement: f64,
    pub(crate) docs: f64,
    pub(crate) performance: f64,
}

impl Weights {
    /// The weights of the user's document: 0.40, 0.30, 0.10 and 0.10.
    pub const DOCUMENT: Self =
        Self { tests: WEIGHT_TESTS, agreement: WEIGHT_AGREEMENT, docs: WEIGHT_DOCS, performance: WEIGHT_PERFORMANCE };

    /// What the test score counts (default 0.40).
    #[must_use]
    pub const fn tests(mut self, weight: Fraction) -> Self {
        self.tests = weight.get();
        self
    }

    /// What the agreement with other models counts (default 0.30).
    #[must_use]
    pub const fn agreement(mut self, weight: Fraction) -> Self {
        self.agreement = weight.get();
        self
    }

    /// What the quality of the documentation counts (default 0.10).
    #[must_use]
    pub const fn docs(mut self, weight: Fraction) -> Self {
        self.docs = weight.get();
        self
    }

    /// What being fast enough counts (default 0.10).
    #[must_use]
    pub const fn performance(mut self, weight: Fraction) -> Self {
        self.performance = weight.get();
        self
    }

    /// [`score_from_signals`] with these weights.
    #[inline]
    #[must_use]
    pub fn score(&self, signals: &Signals, penalties: Penalty) -> Score {
        let earned = |weight: f64, signal: Option<Fraction>| signal.map_or(0.0, |value| weight * value.get());
        // The order of the sum is that of an assessment's components, so that adding those up gives the same bits.
        let sum = earned(self.tests, signals.test_score)
            + earned(self.agreement, signals.cross_model_agreement)
            + earned(self.docs, signals.docs_quality)
            + earned(self.performance, signals.performance_ok);
        clamped(sum - WEIGHT_PENALTIES * penalties.get())
    }

    /// [`attainable`] with these weights.
    #[inline]
    #[must_use]
    pub fn attainable(&self, signals: &Signals) -> Score {
        // The signals at their best, so that no rounding can make a score exceed what was attainable.
        let best = |signal: Option<Fraction>| signal.map(|_| Fraction::MAX);
        let best = Signals {
            test_score: best(signals.test_score),
            cross_model_agreement: best(signals.cross_model_agreement),
            docs_quality: best(signals.docs_quality),
            performance_ok: best(signals.performance_ok),
            coverage: None,
        };
        self.score(&best, Penalty::ZERO)
    }
}

impl Default for Weights {
    /// [`Weights::DOCUMENT`].
    fn default() -> Self {
        Self::DOCUMENT
    }
}

/// A sum of bounded terms is finite, so the clamp cannot fail; were it ever to, the run would earn nothing.
fn clamped(raw: f64) -> Score {
    Score::clamped(raw).unwrap_or(Score::ZERO)
}
