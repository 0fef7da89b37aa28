//! Who chooses the model for a job.

use std::fmt;

use rand::RngCore;
use serde::Serialize;
use serde_json::Value;

use crate::{
    ids::{JobId, ModelId, ModelName, Role},
    run::{ModelStats, NewRun},
    standing::Standing,
};

/// A model that may get the job: active, not held, not full, and it fits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// Its number.
    pub model: ModelId,
    /// Its name.
    pub name: ModelName,
    /// What it has earned.
    pub standing: Standing,
    /// Its runs in HR's window.
    pub stats: ModelStats,
    /// Jobs that it has now.
    pub load: u32,
}

/// The models to choose from for one job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidates {
    /// The job.
    pub job: JobId,
    /// The kind of work.
    pub role: Role,
    /// At least one, in the order they were registered.
    pub models: Vec<Candidate>,
}

/// A choice with its reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// The model, one of the candidates.
    pub model: ModelId,
    /// Why: goes into the audit log as it is.
    pub reason: Value,
}

/// Chooses the model for a job.
///
/// # Contract
/// - Returns one of the candidates, or nothing when there is none.
/// - All randomness comes from `rng`, so that a seed repeats every choice.
/// - `feedback` is called once a scored run, in the order they land in this process; a policy that needs more than the
///   candidates' statistics may learn from it.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait SelectionPolicy: fmt::Debug + Send + Sync {
    /// Chooses.
    fn choose(&self, candidates: &Candidates, rng: &mut dyn RngCore) -> Option<Choice>;

    /// Learns of a scored run.
    fn feedback(&self, run: &NewRun);
}
