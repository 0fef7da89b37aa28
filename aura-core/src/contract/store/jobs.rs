//! PRDs and jobs: from submission to the verdict.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Each, StoreError};
use crate::{
    contract::{Release, Report, Reported},
    ids::{Actor, JobId, ModelId, PrdId, WorkerId},
    job::{Door, Job, JobEvent, JobState, JobStatus, LeaseProof},
    prd::{NewPrd, Prd},
    verdict::Verdict,
};

/// A checked PRD, ready to be stored with its jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPrdRecord {
    /// Its identifier.
    pub id: PrdId,
    /// What was asked for.
    pub request: NewPrd,
    /// The one model its job may go to.
    pub pinned: Option<ModelId>,
    /// Its jobs, all to be queued.
    pub jobs: Vec<JobId>,
}

impl NewPrdRecord {
    /// One of its jobs, as it is when it is stored at this moment.
    #[must_use]
    pub fn queued(&self, id: JobId, now: DateTime<Utc>) -> Job {
        Job {
            id,
            prd_id: self.id,
            project_id: self.request.project,
            role: self.request.role.clone(),
            state: JobState::Queued,
            attempt: 0,
            max_attempts: self.request.limits.max_attempts,
            pinned: self.pinned,
            tried: Vec::new(),
            last_error: None,
            not_before: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The PRD: the new one, or the one that had the same idempotency key.
    pub prd: Prd,
    /// Whether it is new.
    pub created: bool,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Only in this state.
    pub status: Option<JobStatus>,
    /// Only of this model.
    pub model: Option<ModelId>,
    /// Only of this PRD.
    pub prd: Option<PrdId>,
    /// Only those after this one.
    pub after: Option<JobId>,
    /// Most jobs wanted.
    pub limit: u32,
}

impl Default for JobFilter {
    /// The first hundred of all.
    fn default() -> Self {
        Self { status: None, model: None, prd: None, after: None, limit: 100 }
    }
}

/// How many jobs are in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// The state.
    pub status: JobStatus,
    /// How many.
    pub jobs: u64,
}

/// How busy a model is. Models without any job are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLoad {
    /// The model.
    pub model: ModelId,
    /// Jobs that wait for a worker.
    pub assigned: u32,
    /// Jobs that a worker has.
    pub in_progress: u32,
}

/// Gives a queued job to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The job.
    pub job: JobId,
    /// The model.
    pub model: ModelId,
    /// Whether a suspended model may get it, as its probe share.
    pub probe: bool,
    /// Why this model: goes into the audit log.
    pub reason: Value,
}

/// A worker's wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who claims.
    pub worker: WorkerId,
    /// Which door it came through.
    pub door: Door,
    /// What it wants.
    pub wanted: Wanted,
    /// How long the lease lasts unless it is extended.
    pub lease: Duration,
}

impl Claim {
    /// Whether jobs of this model are wanted.
    #[must_use]
    pub fn wants(&self, model: ModelId) -> bool {
        matches!(&self.wanted, Wanted::Any { models, .. } if models.contains(&model))
    }

    /// How many jobs of its models are wanted at most; 0 when it is for one very job.
    #[must_use]
    pub const fn most(&self) -> u32 {
        match self.wanted {
            Wanted::Any { max, .. } => max,
            Wanted::Job(_) => 0,
        }
    }
}

/// What a worker wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Up to `max` assigned jobs of these models, oldest first.
    Any {
        /// The models.
        models: Vec<ModelId>,
        /// Most jobs wanted.
        max: u32,
    },
    /// This very job.
    Job(JobId),
}

/// A claimed job with its PRD.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// The job, in progress.
    pub job: Job,
    /// Its PRD.
    pub prd: Prd,
}

/// What the scheduler decides on.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedulable {
    /// Queued jobs, oldest first.
    pub jobs: Vec<Job>,
    /// Which models have live jobs of their PRDs.
    pub siblings: Vec<(PrdId, ModelId)>,
}

/// What came of assignments, and of the claims behind them.
#[derive(Debug)]
pub struct Dispatched {
    /// Of each assignment.
    pub assigned: Each<()>,
    /// What each claim got.
    pub claimed: Each<Vec<ClaimedJob>>,
}

/// A lease that was found ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The job.
    pub job: JobId,
    /// Where it stands now: queued again, or failed.
    pub now: JobStatus,
}

/// PRDs and jobs. See the [contract](super) of all stores.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Stores PRDs with their jobs, queued. A PRD whose idempotency key is known already is not stored again: the same
    /// request gets the PRD there is, another one a conflict.
    async fn submit(&self, prds: &[NewPrdRecord]) -> Result<Each<Submitted>, StoreError>;

    /// The PRDs of these ids, in this order; unknown ones are left out.
    async fn prds(&self, ids: &[PrdId]) -> Result<Vec<Prd>, StoreError>;

    /// The PRD that was stored with this idempotency key.
    async fn prd_by_key(&self, key: &str) -> Result<Option<Prd>, StoreError>;

    /// The newest PRDs, newest first, older than `before`.
    async fn recent_prds(&self, before: Option<PrdId>, limit: u32) -> Result<Vec<Prd>, StoreError>;

    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Jobs, oldest first.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError>;

    /// How many jobs are in each state; states without any are left out.
    async fn job_counts(&self) -> Result<Vec<JobCount>, StoreError>;

    /// A job's history, oldest first.
    async fn job_events(&self, job: JobId) -> Result<Vec<JobEvent>, StoreError>;

    /// Queued jobs whose `not_before` has come, oldest first.
    async fn schedulable(&self, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// Which models have live jobs (assigned, in progress, submitted or validated) of the PRDs that these jobs belong to, these
    /// jobs included; each pair once, in any order. Unknown jobs are left out.
    async fn siblings(&self, jobs: &[JobId]) -> Result<Vec<(PrdId, ModelId)>, StoreError>;

    /// Queued jobs as [`schedulable`](Self::schedulable) lists them, with their [`siblings`](Self::siblings).
    async fn schedulable_with_siblings(&self, limit: u32) -> Result<Schedulable, StoreError> {
        let jobs = self.schedulable(limit).await?;
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let siblings = self.siblings(&ids).await?;
        Ok(Schedulable { jobs, siblings })
    }

    /// How busy each model is.
    async fn load(&self) -> Result<Vec<ModelLoad>, StoreError>;

    /// queued -> assigned. Refused for a job that is not queued, a model that is held, a suspended one without
    /// `probe`, and a model that another live job of the same PRD has.
    async fn assign(&self, assignments: &[Assignment]) -> Result<Each<()>, StoreError>;

    /// Assigns, then claims for workers that wait: as [`assign`](Self::assign) and then [`claim`](Self::claim) for each of
    /// `claims`, except that a claim may get what was just assigned before older jobs of its models. A store that can does all of
    /// it in one transaction, so that a job is begun sooner.
    async fn dispatch(&self, assignments: &[Assignment], claims: &[Claim]) -> Result<Dispatched, StoreError> {
        let assigned = self.assign(assignments).await?;
        let mut claimed = Vec::with_capacity(claims.len());
        for claim in claims {
            claimed.push(self.claim(claim).await);
        }
        Ok(Dispatched { assigned, claimed })
    }

    /// assigned -> queued, for jobs whose model may no longer work. Jobs that are not assigned any more are conflicts.
    async fn unassign(&self, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError>;

    /// assigned -> in progress, under a fresh lease with a higher token; counts the attempt and adds the model to
    /// `tried`. Jobs of held models are passed over.
    ///
    /// # Errors
    /// With [`Wanted::Job`]: not found, or a conflict that says who has it or what it waits for.
    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError>;

    /// Extends leases to `lease` from now; answers with their new ends. Moves `updated_at`; writes no audit entry.
    async fn heartbeat(&self, leases: &[LeaseProof], lease: Duration) -> Result<Each<DateTime<Utc>>, StoreError>;

    /// in progress -> submitted. The same report again (by job and token, or worker when it shows none) is answered as the
    /// first time, another body is a conflict.
    async fn report(&self, reports: &[Report]) -> Result<Each<Reported>, StoreError>;

    /// in progress -> queued, or failed when no attempt is left. The reason becomes `last_error`. A blameless release raises
    /// `max_attempts` by one, up to `i32::MAX`; `attempt` stays.
    async fn release(&self, releases: &[Release]) -> Result<Each<JobStatus>, StoreError>;

    /// Takes back jobs whose lease has ended: queued again, or failed when no attempt is left.
    async fn expire(&self, limit: u32) -> Result<Vec<Expired>, StoreError>;

    /// PRDs without a verdict that wait for the accountant, oldest first: no job of theirs is queued, assigned or in
    /// progress.
    async fn assessable(&self, limit: u32) -> Result<Vec<PrdId>, StoreError>;

    /// Stores verdicts; a PRD that has one keeps it, and `false` says so.
    async fn settle(&self, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError>;

    /// Calls off a PRD: its jobs that are not final become cancelled, and it gets the verdict `cancelled`. A settled PRD
    /// is a conflict.
    async fn cancel(&self, prd: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError>;

    /// Jobs that are not final and have shown no sign of life since `since`, oldest first.
    async fn silent_jobs(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// Jobs with more than `more_than` events `test_failed` since `since` and since their last artifact, with their number.
    async fn failing_jobs(&self, since: DateTime<Utc>, more_than: u32) -> Result<Vec<(JobId, u32)>, StoreError>;

    /// The earliest moment at which waiting ends by itself: a lease runs out, or a retry's time comes.
    async fn next_deadline(&self) -> Result<Option<DateTime<Utc>>, StoreError>;
}
