//! A scored attempt, and the statistics that are kept as runs land.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    evidence::EvidenceStrength,
    generation::Usage,
    ids::{JobId, ModelId, PrdId, ProjectId, Role, RunId},
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
