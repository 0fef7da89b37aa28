//! The outcome of a PRD: who won, every score with its parts, or why nobody won.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{Assessment, EvidenceStrength, Isolation},
    ids::{JobId, ModelName, PrdId},
    job::JobStatus,
    units::Score,
};

/// How a PRD ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// One job's work is the best.
    Won {
        /// The job.
        job: JobId,
        /// Its model.
        model: ModelName,
        /// What it earned.
        score: Score,
    },
    /// No work was accepted.
    NobodyWon,
    /// Called off before it ended.
    Cancelled,
}

/// One job's part in a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictEntry {
    /// The job.
    pub job: JobId,
    /// The model of its last attempt; absent when no model ever had it.
    pub model: Option<ModelName>,
    /// How the job ended.
    pub status: JobStatus,
    /// Attempts used.
    pub attempts: u32,
    /// The score with its parts; absent when nothing was scored.
    pub assessment: Option<Assessment>,
    /// How hard its test result is to forge.
    pub strength: Option<EvidenceStrength>,
    /// What stood between its code and the host when it was tested.
    pub isolation: Option<Isolation>,
    /// Tests passed and tests there were; absent when none were run.
    pub tests: Option<TestCount>,
    /// Says that the answers were a stub's.
    pub stub: Option<String>,
    /// In a sentence: why it ended so.
    pub why: String,
}

/// Passed of total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCount {
    /// Tests that passed.
    pub passed: u64,
    /// Tests there were, skipped ones left out.
    pub total: u64,
}

/// The outcome of a PRD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The PRD.
    pub prd: PrdId,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Every job, the winner first, then by score.
    pub entries: Vec<VerdictEntry>,
    /// In a sentence: why it ended so.
    pub why: String,
    /// When it was settled.
    pub settled_at: DateTime<Utc>,
}

impl Verdict {
    /// The winning job's part.
    #[must_use]
    pub fn winner(&self) -> Option<&VerdictEntry> {
        match &self.outcome {
            Outcome::Won { job, .. } => self.entries.iter().find(|entry| entry.job == *job),
            Outcome::NobodyWon | Outcome::Cancelled => None,
        }
    }
}
