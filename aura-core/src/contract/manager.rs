//! A worker's only door.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    artifact::{Artifact, NewArtifact},
    error::Result,
    generation::Feedback,
    ids::{JobId, ModelName, WorkerId},
    job::{Door, FencingToken, Job, LeaseProof},
    prd::Prd,
    resources::Resources,
};

/// Asks for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkRequest {
    /// Who asks.
    pub worker_id: WorkerId,
    /// Models whose jobs it can do.
    pub models: Vec<ModelName>,
    /// Most jobs wanted (at least 1).
    pub max: u32,
    /// How long to wait for the first one.
    #[serde(with = "millis", rename = "wait_ms", default)]
    pub wait: Duration,
    /// Which door the worker came through; never read from the wire.
    #[serde(skip)]
    pub door: Door,
}

/// A claimed job with all that is needed to do it. `job.state` carries the lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// The job.
    pub job: Job,
    /// The model that it was given to.
    pub model: ModelName,
    /// The PRD.
    pub prd: Prd,
    /// What was wrong with the attempt before this one, where one was rejected.
    #[serde(default)]
    pub feedback: Option<Feedback>,
}

/// Hands in pieces of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactUpload {
    /// The job.
    pub job: JobId,
    /// The model in whose name they come: it must be the job's.
    pub model: ModelName,
    /// Who holds the lease. A worker that knows no leases is matched by model and state.
    pub worker: Option<WorkerId>,
    /// The token of the claim.
    pub token: Option<FencingToken>,
    /// The pieces.
    pub items: Vec<NewArtifact>,
}

/// Says that an attempt is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who holds the lease.
    pub proof: LeaseProof,
    /// Whether the worker thinks that it worked.
    pub success: bool,
    /// Anything else it says: `self_confidence`, `usage`, `duration_ms`, `error`.
    pub details: Value,
}

/// What came of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The job.
    pub job: JobId,
    /// `true` when the same report had been taken before.
    pub repeated: bool,
}

/// Hands a job back undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Who holds the lease.
    pub proof: LeaseProof,
    /// Why.
    pub reason: String,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
    /// Whether the attempt is given back too, because the worker stops through no fault of the model or the job. The
    /// attempt stays counted, and the job may have one more. Never taken from the wire.
    pub blameless: bool,
    /// Whether it is certain that the attempt cost nothing, since no vendor was asked, or it refused. Without that, what the job's
    /// attempts cost together is not known any more.
    pub unbilled: bool,
}

/// A worker of another process shows itself, whether or not it has work in hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Who.
    pub worker_id: WorkerId,
    /// Models whose jobs it would do now.
    pub models: Vec<ModelName>,
    /// What its machine has left; absent when it did not look.
    #[serde(default)]
    pub resources: Option<Resources>,
}

/// A worker's only door: the orchestra in this process, or another one over the wire. Workers never write the store.
///
/// # Contract
/// - Every write shows the lease; one that has ended changes nothing and gets
///   [`StoreError::LeaseLost`](crate::contract::StoreError::LeaseLost).
/// - `report` may be sent again after a lost answer: the same again gets the same answer.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Manager: fmt::Debug + Send + Sync {
    /// Claims up to `max` jobs; waits up to `wait` for the first one. Empty when there is none.
    ///
    /// # Errors
    /// [`Error::UnknownModel`](crate::Error::UnknownModel), or what the store says.
    async fn claim(&self, request: &WorkRequest) -> Result<Vec<Claimed>>;

    /// Extends leases; answers each with its new end.
    ///
    /// # Errors
    /// The outer one when nothing was done; the inner ones for each lease that is lost.
    async fn heartbeat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>>;

    /// Takes note of a worker of another process: its models count as worked for, and people can see its machine. It is kept in
    /// memory and decides nothing else.
    ///
    /// # Errors
    /// [`Error::UnknownModel`](crate::Error::UnknownModel), or what the store says.
    async fn observe(&self, sighting: &Sighting) -> Result<()>;

    /// Stores pieces of a generation.
    ///
    /// # Errors
    /// A lost lease, or another model's name.
    async fn upload_artifacts(&self, upload: &ArtifactUpload) -> Result<Vec<Artifact>>;

    /// Hands in.
    ///
    /// # Errors
    /// A lost lease, or another report with the same token.
    async fn report(&self, report: &Report) -> Result<Reported>;

    /// Hands back undone.
    ///
    /// # Errors
    /// A lost lease.
    async fn release(&self, release: &Release) -> Result<()>;
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
