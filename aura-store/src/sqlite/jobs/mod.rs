//! The verbs of PRDs and jobs, in the order of a job's life.

mod assign;
mod cancel;
mod claim;
mod give_back;
mod lease;
mod list;
pub(super) mod record;
mod report;
mod settle;
mod submit;
mod watch;
mod without_a_run;

use std::time::Duration;

use async_trait::async_trait;
use aura_core::{
    Actor, Job, JobEvent, JobId, JobStatus, LeaseProof, ModelId, Prd, PrdId, StoreError, Verdict,
    contract::{
        JobStore, Release, Report, Reported,
        store::{
            Assignment, Claim, ClaimedJob, Each, Expired, JobCount, JobFilter, ModelLoad, NewPrdRecord, Submitted,
        },
    },
};
use chrono::{DateTime, Utc};

use super::SqliteStore;

#[async_trait]
impl JobStore for SqliteStore {
    async fn submit(&self, prds: &[NewPrdRecord]) -> Result<Each<Submitted>, StoreError> {
        submit::submit(self, prds).await
    }

    async fn prds(&self, ids: &[PrdId]) -> Result<Vec<Prd>, StoreError> {
        list::prds(self, ids).await
    }

    async fn prd_by_key(&self, key: &str) -> Result<Option<Prd>, StoreError> {
        list::prd_by_key(self, key).await
    }

    async fn recent_prds(&self, before: Option<PrdId>, limit: u32) -> Result<Vec<Prd>, StoreError> {
        list::recent_prds(self, before, limit).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        list::job(self, id).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        list::jobs(self, filter).await
    }

    async fn job_counts(&self) -> Result<Vec<JobCount>, StoreError> {
        list::job_counts(self).await
    }

    async fn job_events(&self, job: JobId) -> Result<Vec<JobEvent>, StoreError> {
        list::job_events(self, job).await
    }

    async fn schedulable(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        watch::schedulable(self, limit).await
    }

    async fn siblings(&self, jobs: &[JobId]) -> Result<Vec<(PrdId, ModelId)>, StoreError> {
        watch::siblings(self, jobs).await
    }

    async fn load(&self) -> Result<Vec<ModelLoad>, StoreError> {
        watch::load(self).await
    }

    async fn assign(&self, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
        assign::assign(self, assignments).await
    }

    async fn unassign(&self, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
        assign::unassign(self, jobs, reason).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        claim::claim(self, claim).await
    }

    async fn heartbeat(&self, leases: &[LeaseProof], lease: Duration) -> Result<Each<DateTime<Utc>>, StoreError> {
        lease::heartbeat(self, leases, lease).await
    }

    async fn report(&self, reports: &[Report]) -> Result<Each<Reported>, StoreError> {
        report::report(self, reports).await
    }

    async fn release(&self, releases: &[Release]) -> Result<Each<JobStatus>, StoreError> {
        give_back::release(self, releases).await
    }

    async fn expire(&self, limit: u32) -> Result<Vec<Expired>, StoreError> {
        give_back::expire(self, limit).await
    }

    async fn assessable(&self, limit: u32) -> Result<Vec<PrdId>, StoreError> {
        watch::assessable(self, limit).await
    }

    async fn settle(&self, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
        settle::settle(self, verdicts).await
    }

    async fn cancel(&self, prd: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
        cancel::cancel(self, prd, actor, reason).await
    }

    async fn silent_jobs(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<Job>, StoreError> {
        watch::silent_jobs(self, since, limit).await
    }

    async fn failing_jobs(&self, since: DateTime<Utc>, more_than: u32) -> Result<Vec<(JobId, u32)>, StoreError> {
        watch::failing_jobs(self, since, more_than).await
    }

    async fn next_deadline(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        watch::next_deadline(self).await
    }
}
