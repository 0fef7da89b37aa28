//! Scores a job from its evidence: the formula, its signals and the similarity behind them.
//!
//! Pure: no input or output, no clock, no randomness, no async. The same evidence gives the same assessment.
//!
//! - [`formula`] turns signals and penalties into a score, to the letter of the user's document.
//! - [`FormulaScorer`] draws the signals from [`Evidence`](aura_core::Evidence) and says of each how it was measured.
//! - [`similarity`] is what agreement is measured by, and [`extract`] finds the functions in source text.
//!
//! `docs/scoring.md` says what each signal means, with an example to follow by hand.
//!
//! # Examples
//! ```
//! use aura_core::{Fraction, Penalty, Signals};
//! use aura_scoring::{attainable, score_from_signals};
//!
//! let half = Fraction::new(0.5)?;
//! let signals = Signals { test_score: Some(Fraction::MAX), docs_quality: Some(half), ..Signals::default() };
//! assert_eq!(score_from_signals(&signals, Penalty::ZERO).get(), 0.40 + 0.10 * 0.5);
//! assert_eq!(attainable(&signals).get(), 0.40 + 0.10);
//! # Ok::<(), aura_core::OutOfRange>(())
//! ```

pub mod assess;
pub mod extract;
pub mod formula;
pub mod similarity;

mod code;
mod lex;
mod signals;

pub use assess::FormulaScorer;
pub use formula::{Weights, attainable, score_from_signals};
