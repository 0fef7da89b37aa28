//! The verbs of PRDs and jobs, in the order of a job's life.

mod assign;
mod cancel;
mod claim;
mod dispatch;
pub(super) mod frontier;
mod give_back;
mod lease;
pub(super) mod list;
mod lock;
mod lone;
mod queue;
pub(super) mod record;
mod report;
mod settle;
mod submit;
mod unassign;
mod watch;
mod without_a_run;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aura_core::{
    Actor, Artifact, Job, JobEvent, JobId, JobStatus, LeaseProof, ModelId, ModelRun, Prd, PrdId, RunId, StoreError,
    Verdict,
    contract::{
        JobStore, Release, Report, Reported,
        store::{
            ArtifactBatch, Assignment, Claim, ClaimedJob, Dispatched, Each, Expired, JobCount, JobFilter, Judgement,
            ModelLoad, NewPrdRecord, Schedulable, Submitted, Wanted,
        },
    },
};
use chrono::{DateTime, Utc};

use super::{
    Core, PgStore,
    join::{Join, Turn, Turns},
};

/// Verbs that many call at the same time, each for one job or one PRD: they are joined. Who brings several items has a batch
/// already.
pub(super) struct Joins {
    submit: Join<NewPrdRecord, Submitted>,
    claim: Join<Claim, Vec<ClaimedJob>>,
    heartbeat: Join<(LeaseProof, Duration), DateTime<Utc>>,
    report: Join<Report, Reported>,
    pub(super) artifacts: Join<(ArtifactBatch, Duration), Vec<Artifact>>,
    pub(super) judge: Join<Judgement, RunId>,
    settle: Join<Verdict, bool>,
    job: Join<JobId, Option<Job>>,
    prd: Join<PrdId, Option<Prd>>,
    jobs_of: Join<(PrdId, u32), Vec<Job>>,
    pub(super) runs: Join<JobId, Vec<ModelRun>>,
    pub(super) pieces: Join<JobId, Vec<Artifact>>,
}

impl Joins {
    /// Must be made within a runtime.
    pub(super) fn new(core: &Arc<Core>) -> Self {
        let claims_and_reports = Turns::default();
        Self {
            submit: Join::in_turns(Arc::clone(core), Turns::default(), |core, items, turn| {
                Box::pin(async move { submit::submit(core, items, &turn).await })
            }),
            claim: Join::in_turns(Arc::clone(core), claims_and_reports.clone(), |core, items, turn| {
                Box::pin(async move { claim::claim_any(core, items, &turn).await })
            }),
            heartbeat: Join::of(Arc::clone(core), |core, items| Box::pin(lease::heartbeat(core, items))),
            report: Join::in_turns(Arc::clone(core), claims_and_reports, |core, items, turn| {
                Box::pin(async move { report::report(core, items, &turn).await })
            }),
            artifacts: Join::of(Arc::clone(core), |core, items| Box::pin(super::runs::add_artifacts(core, items))),
            judge: Join::of(Arc::clone(core), |core, items| Box::pin(super::runs::judge(core, items))),
            settle: Join::of(Arc::clone(core), |core, items| Box::pin(settle::settle(core, items))),
            job: Join::of(Arc::clone(core), |core, ids| Box::pin(list::each_job(core, ids))),
            prd: Join::of(Arc::clone(core), |core, ids| Box::pin(list::each_prd(core, ids))),
            jobs_of: Join::of(Arc::clone(core), |core, prds| Box::pin(list::of_each_prd(core, prds))),
            runs: Join::of(Arc::clone(core), |core, ids| Box::pin(super::runs::of_each_job(core, ids))),
            pieces: Join::of(Arc::clone(core), |core, ids| Box::pin(super::runs::pieces_of_each_job(core, ids))),
        }
    }
}

impl PgStore {
    /// Whether single callers are joined. Within a term they are not: the joined write in no term.
    pub(super) fn is_joined(&self) -> bool {
        self.core.term.is_none()
    }
}

/// A batch's future is large and stands in a box of its own, so that the usual caller, who brings one item, does not move it about.
#[async_trait]
impl JobStore for PgStore {
    async fn submit(&self, prds: &[NewPrdRecord]) -> Result<Each<Submitted>, StoreError> {
        match prds {
            [one] if self.is_joined() => Ok(vec![self.joins.submit.one(one.clone()).await]),
            many => Box::pin(submit::submit(&self.core, many, &Turn::default())).await,
        }
    }

    async fn prds(&self, ids: &[PrdId]) -> Result<Vec<Prd>, StoreError> {
        match ids {
            [one] => Ok(self.joins.prd.one(*one).await?.into_iter().collect()),
            many => list::prds(&self.core, many).await,
        }
    }

    async fn prd_by_key(&self, key: &str) -> Result<Option<Prd>, StoreError> {
        list::prd_by_key(&self.core, key).await
    }

    async fn recent_prds(&self, before: Option<PrdId>, limit: u32) -> Result<Vec<Prd>, StoreError> {
        list::recent_prds(&self.core, before, limit).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.joins.job.one(id).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        match filter {
            JobFilter { prd: Some(prd), status: None, model: None, after: None, limit } => {
                self.joins.jobs_of.one((*prd, *limit)).await
            }
            filter => list::jobs(&self.core, filter).await,
        }
    }

    async fn job_counts(&self) -> Result<Vec<JobCount>, StoreError> {
        list::job_counts(&self.core).await
    }

    async fn job_events(&self, job: JobId) -> Result<Vec<JobEvent>, StoreError> {
        list::job_events(&self.core, job).await
    }

    async fn schedulable(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        watch::schedulable(&self.core, limit).await
    }

    async fn siblings(&self, jobs: &[JobId]) -> Result<Vec<(PrdId, ModelId)>, StoreError> {
        watch::siblings(&self.core, jobs).await
    }

    async fn schedulable_with_siblings(&self, limit: u32) -> Result<Schedulable, StoreError> {
        watch::schedulable_with_siblings(&self.core, limit).await
    }

    async fn load(&self) -> Result<Vec<ModelLoad>, StoreError> {
        watch::load(&self.core).await
    }

    async fn assign(&self, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
        assign::assign(&self.core, assignments).await
    }

    async fn dispatch(&self, assignments: &[Assignment], claims: &[Claim]) -> Result<Dispatched, StoreError> {
        dispatch::dispatch(&self.core, assignments, claims).await
    }

    async fn unassign(&self, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
        unassign::unassign(&self.core, jobs, reason).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        match claim.wanted {
            Wanted::Any { .. } if self.is_joined() => self.joins.claim.one(claim.clone()).await,
            Wanted::Any { .. } => {
                let mut answers =
                    Box::pin(claim::claim_any(&self.core, std::slice::from_ref(claim), &Turn::default())).await?;
                answers.pop().unwrap_or_else(|| Ok(Vec::new()))
            }
            Wanted::Job(id) => Box::pin(claim::claim_job(&self.core, claim, id)).await,
        }
    }

    async fn heartbeat(&self, leases: &[LeaseProof], lease: Duration) -> Result<Each<DateTime<Utc>>, StoreError> {
        match leases {
            [one] if self.is_joined() => Ok(vec![self.joins.heartbeat.one((one.clone(), lease)).await]),
            many => {
                let beats: Vec<_> = many.iter().map(|proof| (proof.clone(), lease)).collect();
                Box::pin(lease::heartbeat(&self.core, &beats)).await
            }
        }
    }

    async fn report(&self, reports: &[Report]) -> Result<Each<Reported>, StoreError> {
        match reports {
            [one] if self.is_joined() => Ok(vec![self.joins.report.one(one.clone()).await]),
            many => Box::pin(report::report(&self.core, many, &Turn::default())).await,
        }
    }

    async fn release(&self, releases: &[Release]) -> Result<Each<JobStatus>, StoreError> {
        give_back::release(&self.core, releases).await
    }

    async fn expire(&self, limit: u32) -> Result<Vec<Expired>, StoreError> {
        give_back::expire(&self.core, limit).await
    }

    async fn assessable(&self, limit: u32) -> Result<Vec<PrdId>, StoreError> {
        watch::assessable(&self.core, limit).await
    }

    async fn settle(&self, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
        match verdicts {
            [one] if self.is_joined() => Ok(vec![self.joins.settle.one(one.clone()).await]),
            many => Box::pin(settle::settle(&self.core, many)).await,
        }
    }

    async fn cancel(&self, prd: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
        cancel::cancel(&self.core, prd, actor, reason).await
    }

    async fn silent_jobs(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<Job>, StoreError> {
        watch::silent_jobs(&self.core, since, limit).await
    }

    async fn failing_jobs(&self, since: DateTime<Utc>, more_than: u32) -> Result<Vec<(JobId, u32)>, StoreError> {
        watch::failing_jobs(&self.core, since, more_than).await
    }

    async fn next_deadline(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        watch::next_deadline(&self.core).await
    }
}
