//! A scored attempt, and the statistics that are kept as runs land.

use std::iter::Sum;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    evidence::EvidenceStrength,
    generation::Usage,
    ids::{JobId, ModelId, PrdId, ProjectId, Role, RunId},
    money::Usd,
    units::{Confidence, Score},
};

/// A run that is not stored yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// The model that did it.
    pub model_id: ModelId,
    /// The job.
    pub job_id: JobId,
    /// The attempt; (job, attempt) is unique.
    pub attempt: u32,
    /// The PRD.
    pub prd_id: PrdId,
    /// The project.
    pub project_id: ProjectId,
    /// The kind of work.
    pub role: Role,
    /// Whether the work was accepted.
    pub success: bool,
    /// What the model said of itself, where it was given honestly.
    pub confidence: Option<Confidence>,
    /// What it earned, by the letter.
    pub score: Score,
    /// The best that its signals allowed.
    pub attainable: Score,
    /// How hard its test result is to forge; absent without a test result.
    pub strength: Option<EvidenceStrength>,
    /// Whether it counts for the model's standing: there is a test result, or it failed to give one that was asked for. A
    /// stub's run never does.
    pub counts: bool,
    /// What it used up.
    pub usage: Usage,
    /// What that cost, at the price the model had then; absent when the price or a count is not known.
    #[serde(default)]
    pub cost: Option<Usd>,
    /// `{"signals": {…}, "penalties": n, "components": […], "tests": {…}}`: enough to recompute the score.
    pub details: Value,
}

/// A stored run: a row of `model_runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRun {
    /// Its number in the store.
    pub id: RunId,
    /// The run.
    #[serde(flatten)]
    pub run: NewRun,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

impl ModelRun {
    /// What it used up, and what that cost.
    #[must_use]
    pub const fn spent(&self) -> Spent {
        Spent { usage: self.run.usage, cost: self.run.cost }
    }
}

/// What one or several runs used up, and what that cost.
///
/// # Examples
/// ```
/// use aura_core::{Spent, Usage, Usd};
/// let known = Spent { usage: Usage { output_tokens: Some(5), ..Usage::default() }, cost: Some(Usd::from_nanos(7)) };
/// let total: Spent = [known, known].into_iter().sum();
/// assert_eq!((total.usage.output_tokens, total.cost), (Some(10), Some(Usd::from_nanos(14))));
/// let total: Spent = [known, Spent::default()].into_iter().sum();
/// assert_eq!(total.cost, None); // one part is not known, so the sum is not
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens. A count is absent when it is absent for one of the runs.
    #[serde(default)]
    pub usage: Usage,
    /// Money; absent when it is not known for one of the runs.
    #[serde(default)]
    pub cost: Option<Usd>,
}

impl Spent {
    /// Nothing was used up, and that is known.
    pub const NOTHING: Self = Self {
        usage: Usage { input_tokens: Some(0), cached_input_tokens: Some(0), output_tokens: Some(0) },
        cost: Some(Usd::ZERO),
    };
}

impl Sum for Spent {
    /// The sum of nothing is not known: there was nothing to be counted.
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        let both = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_add(b));
        let add = |a: Self, b: Self| Self {
            usage: Usage {
                input_tokens: both(a.usage.input_tokens, b.usage.input_tokens),
                cached_input_tokens: both(a.usage.cached_input_tokens, b.usage.cached_input_tokens),
                output_tokens: both(a.usage.output_tokens, b.usage.output_tokens),
            },
            cost: a.cost.zip(b.cost).map(|(a, b)| a + b),
        };
        parts.reduce(add).unwrap_or_default()
    }
}

/// What one model used up for one project since a day; kept as runs land. Every run counts here, whether or not it counts for the
/// model's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The model.
    pub model_id: ModelId,
    /// The project.
    pub project_id: ProjectId,
    /// How many runs there were.
    pub runs: u64,
    /// Tokens read, as far as they are known.
    pub input_tokens: u64,
    /// Tokens written, as far as they are known.
    pub output_tokens: u64,
    /// What they cost, as far as that is known.
    pub cost: Usd,
    /// Attempts of which a count of tokens is not known: runs, and attempts that ended without one and may have been billed.
    pub uncounted: u64,
    /// Attempts of which the cost is not known, likewise.
    pub unpriced: u64,
}

impl Spending {
    /// Nothing yet.
    #[must_use]
    pub const fn none(model_id: ModelId, project_id: ProjectId) -> Self {
        Self {
            model_id,
            project_id,
            runs: 0,
            input_tokens: 0,
            output_tokens: 0,
            cost: Usd::ZERO,
            uncounted: 0,
            unpriced: 0,
        }
    }

    /// Adds one run.
    pub fn add(&mut self, run: &NewRun) {
        let Usage { input_tokens, output_tokens, .. } = run.usage;
        self.runs += 1;
        self.input_tokens = self.input_tokens.saturating_add(input_tokens.unwrap_or(0));
        self.output_tokens = self.output_tokens.saturating_add(output_tokens.unwrap_or(0));
        self.cost = self.cost + run.cost.unwrap_or_default();
        self.uncounted += u64::from(input_tokens.is_none() || output_tokens.is_none());
        self.unpriced += u64::from(run.cost.is_none());
    }

    /// Adds one attempt that ended without a run and may have been billed.
    pub const fn add_unknown(&mut self) {
        self.uncounted += 1;
        self.unpriced += 1;
    }
}

/// What the runs of one model in a window add up to; kept as runs land, so that reading it costs nothing that grows
/// with runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ModelStats {
    /// The model.
    pub model_id: ModelId,
    /// How many runs counted.
    pub runs: u64,
    /// How many of them were accepted.
    pub successes: u64,
    /// Sum of `score`.
    pub sum_score: f64,
    /// Sum of `score / attainable` (runs with nothing attainable count as 0).
    pub sum_share: f64,
    /// Sum of the squares of `score / attainable`.
    pub sum_share_squared: f64,
}

impl ModelStats {
    /// Statistics of no runs.
    #[must_use]
    pub const fn none(model_id: ModelId) -> Self {
        Self { model_id, runs: 0, successes: 0, sum_score: 0.0, sum_share: 0.0, sum_share_squared: 0.0 }
    }

    /// Adds one run.
    pub fn add(&mut self, run: &NewRun) {
        let share = run.score.share_of(run.attainable).unwrap_or(Score::ZERO).get();
        self.runs += 1;
        self.successes += u64::from(run.success);
        self.sum_score += run.score.get();
        self.sum_share += share;
        self.sum_share_squared += share * share;
    }

    /// Mean of `score`; absent without runs.
    #[must_use]
    pub fn mean_score(&self) -> Option<f64> {
        self.mean(self.sum_score)
    }

    /// Mean of `score / attainable`; absent without runs.
    #[must_use]
    pub fn mean_share(&self) -> Option<f64> {
        self.mean(self.sum_share)
    }

    #[expect(clippy::cast_precision_loss, reason = "runs are far below 2^52")]
    fn mean(&self, sum: f64) -> Option<f64> {
        (self.runs > 0).then(|| sum / self.runs as f64)
    }
}

/// One pass of HR over one model: a row of `model_scores`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelScore {
    /// The model.
    pub model_id: ModelId,
    /// Start of the window.
    pub window_start: DateTime<Utc>,
    /// End of the window.
    pub window_end: DateTime<Utc>,
    /// Mean of what HR compared.
    pub avg_score: Option<Score>,
    /// Runs in the window.
    pub tasks_completed: u64,
    /// Promotions so far.
    pub promotions: u64,
    /// Demotions and restrictions so far.
    pub penalties: u64,
}

/// A decision of HR: a row of `promotions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its number in the store.
    pub id: i64,
    /// The model.
    pub model_id: ModelId,
    /// What was done.
    pub action: crate::standing::HrAction,
    /// Why, with the figures.
    pub reason: String,
    /// When.
    pub performed_at: DateTime<Utc>,
}
