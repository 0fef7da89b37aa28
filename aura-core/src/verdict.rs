//! The outcome of a PRD: who won, every score with its parts, or why nobody won.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{Assessment, EvidenceStrength, Isolation},
    ids::{JobId, ModelName, PrdId},
    job::JobStatus,
    run::Spent,
    units::{Fraction, Score},
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
    /// What its scored attempts used up.
    #[serde(flatten)]
    pub spent: Spent,
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
    /// What all scored attempts used up.
    #[serde(flatten)]
    pub spent: Spent,
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

/// A table that a person can recompute each score from: every signal, the formula's weights, and why.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.entries.iter().map(|entry| label(entry).len()).max().unwrap_or(0).max("model".len());
        writeln!(
            f,
            "{:width$}  {:>7} {:>9} {:>6} {:>11} {:>9}  {:>6} {:>10}  why",
            "model", "tests", "agreement", "docs", "performance", "penalties", "score", "attainable"
        )?;
        for entry in &self.entries {
            write!(f, "{:width$}  ", label(entry))?;
            match &entry.assessment {
                Some(Assessment { signals, penalties, score, attainable, .. }) => {
                    for (signal, width) in [
                        (signals.test_score, 7),
                        (signals.cross_model_agreement, 9),
                        (signals.docs_quality, 6),
                        (signals.performance_ok, 11),
                    ] {
                        write!(f, "{:>width$} ", signal.map_or_else(|| "-".to_owned(), number))?;
                    }
                    write!(f, "{:>9.2}  {:>6.4} {:>10.2}", penalties.get(), score.get(), attainable.get())?;
                }
                None => write!(f, "{:>7} {:>9} {:>6} {:>11} {:>9}  {:>6} {:>10}", "-", "-", "-", "-", "-", "-", "-")?,
            }
            writeln!(f, "  {}: {}", entry.status, entry.why)?;
        }
        if let Some(assessment) = self.entries.iter().find_map(|entry| entry.assessment.as_ref()) {
            let terms: Vec<_> =
                assessment.components.iter().map(|part| format!("{:.2} x {}", part.weight, part.name)).collect();
            writeln!(f, "score = {} - 0.25 x penalties, kept within 0..1; \"-\" counts 0", terms.join(" + "))?;
        }
        if let Some(cost) = self.spent.cost {
            writeln!(f, "cost {cost}")?;
        }
        for stub in self.entries.iter().filter_map(|entry| entry.stub.as_ref()) {
            writeln!(f, "stub: {stub}")?;
        }
        write!(f, "{}", self.why)
    }
}

fn label(entry: &VerdictEntry) -> &str {
    entry.model.as_ref().map_or("(nobody)", |model| model.as_str())
}

fn number(fraction: Fraction) -> String {
    format!("{:.4}", fraction.get())
}
