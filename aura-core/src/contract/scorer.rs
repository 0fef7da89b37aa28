//! Who turns evidence into a score.

use std::fmt;

use crate::evidence::{Assessment, Evidence};

/// Scores one job's evidence.
///
/// # Contract
/// - Pure: the same evidence gives the same assessment, and nothing outside is read or written.
/// - Total: any evidence gives an assessment; what could not be measured is an absent signal.
/// - The components add up: `clamp(sum of contributions - 0.25 * penalties)` is the score, or the assessment says how
///   else to get there in a component's `why`.
/// - May be slow on large work: the accountant calls it on a blocking thread.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Scorer: fmt::Debug + Send + Sync {
    /// Draws the signals and computes the score.
    fn assess(&self, evidence: &Evidence) -> Assessment;
}
