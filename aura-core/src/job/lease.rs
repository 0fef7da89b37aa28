//! A worker's right to one job until a time.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Door;
use crate::ids::{JobId, WorkerId};

/// Grows at every claim of a job: whoever shows an older one has lost it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub i64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One worker's right to one job until a time, by the store's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub worker: WorkerId,
    /// Proof against late writes.
    pub token: FencingToken,
    /// When it ends unless it is extended.
    pub until: DateTime<Utc>,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// Which door the worker came through.
    #[serde(default, skip)]
    pub door: Door,
}

/// What a worker shows with every write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseProof {
    /// The job.
    pub job: JobId,
    /// Who writes.
    pub worker: WorkerId,
    /// The token of the claim. A worker of another process that knows no tokens is matched by its id and the job's state; a
    /// lease of this process's own workers is written by nobody who does not show it.
    pub token: Option<FencingToken>,
}
