//! The orchestra at work: the handle that a host application holds, and the engines behind it.

mod accountant;
mod alerts;
mod auditor;
mod bell;
mod builder;
mod coming;
mod duty;
pub mod hr;
pub mod manager;
mod pace;
mod personnel;
mod roster;
mod settings;
mod shutdown;
mod store_clock;
mod submission;
mod trail;
mod worker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use builder::OrchestraBuilder;
pub use hr::{Basis, HrSettings};
pub use manager::{
    remote::RemoteWorker,
    select::{RoundRobin, Uniform},
};
pub use settings::Settings;
pub use worker::{WorkerPool, WorkerPoolBuilder};

use crate::{
    artifact::Artifact,
    clock::Clock,
    contract::{
        ArtifactUpload, Capabilities, Claimed, Gate, Manager, ModelAdapter, Release, Report, Reported, Sighting, Store,
        WorkRequest,
        store::{JobCount, JobFilter, RunFilter},
    },
    engine::{
        accountant::{Accountant, Examination},
        alerts::AlertDesk,
        bell::Bells,
        manager::{JobManager, schedule::Waiting},
        roster::Roster,
        shutdown::Shutdown,
    },
    error::{Error, Result},
    evidence::{TestCase, TestOutcome, Tick},
    ids::{Actor, JobId, ModelId, ModelName, PrdId, WorkerId},
    job::{Job, JobEvent, JobStatus, LeaseProof},
    model::Model,
    prd::Prd,
    run::{ModelRun, ModelScore, ModelStats, Promotion, Spending},
    units::Confidence,
    verdict::Verdict,
};

/// A running orchestra. Cheap to clone; every clone is the same orchestra. It stops with [`stop`](Self::stop), or in the
/// background when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Orchestra {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    manager: Arc<JobManager>,
    accountant: Arc<Accountant>,
    alerts: Arc<AlertDesk>,
    roster: Arc<Roster>,
    bells: Arc<Bells>,
    shutdown: Arc<Shutdown>,
    duties: Arc<duty::Duties>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    waiting: Waiting,
    adapters: Arc<HashMap<ModelName, Arc<dyn ModelAdapter>>>,
    facts: Facts,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.announce();
    }
}

/// What somebody who looks at the orchestra should know of how it was put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Workers in this process.
    pub workers: usize,
    /// Models that have an adapter in this process.
    pub employed: Vec<ModelName>,
    /// What the sandbox enforces; absent without one.
    pub sandbox: Option<Capabilities>,
    /// Whether the operator allowed to run model-written code unprotected.
    pub allow_unsandboxed: bool,
}

impl Orchestra {
    /// Puts an orchestra together.
    pub fn builder() -> OrchestraBuilder {
        OrchestraBuilder::default()
    }

    /// Waits for a PRD's verdict, for as long as it takes.
    ///
    /// # Errors
    /// [`Error::UnknownPrd`], or [`Error::Stopping`] when the orchestra stops first.
    pub async fn verdict(&self, prd: PrdId) -> Result<Verdict> {
        loop {
            if let Some(verdict) = self.verdict_within(prd, Duration::from_secs(60)).await? {
                return Ok(verdict);
            }
            if self.is_stopping() {
                return Err(Error::Stopping);
            }
        }
    }

    /// A PRD's verdict, if there is one within `wait`.
    ///
    /// # Errors
    /// [`Error::UnknownPrd`].
    pub async fn verdict_within(&self, prd: PrdId, wait: Duration) -> Result<Option<Verdict>> {
        let mut stop = self.inner.shutdown.signal();
        let mut bell = self.inner.bells.verdict.listen();
        let over = self.inner.clock.sleep(wait);
        tokio::pin!(over);
        loop {
            let verdict = self.prd(prd).await?.verdict;
            if verdict.is_some() || wait.is_zero() || stop.is_stopping() {
                return Ok(verdict);
            }
            tokio::select! {
                () = bell.rung() => {}
                // Another process may settle it: its bell is not heard here.
                () = self.inner.clock.sleep(self.inner.settings.poll) => {}
                () = &mut over => return Ok(None),
                () = stop.stopping() => {}
            }
        }
    }

    /// One PRD.
    ///
    /// # Errors
    /// [`Error::UnknownPrd`].
    pub async fn prd(&self, id: PrdId) -> Result<Prd> {
        self.prds(&[id]).await?.pop().ok_or(Error::UnknownPrd(id))
    }

    /// PRDs by their ids; unknown ones are left out.
    ///
    /// # Errors
    /// What the store says.
    pub async fn prds(&self, ids: &[PrdId]) -> Result<Vec<Prd>> {
        Ok(self.inner.store.prds(ids).await?)
    }

    /// The newest PRDs, newest first, older than `before`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn recent_prds(&self, before: Option<PrdId>, limit: u32) -> Result<Vec<Prd>> {
        Ok(self.inner.store.recent_prds(before, limit).await?)
    }

    /// Calls off a PRD with all its jobs that have not ended.
    ///
    /// # Errors
    /// [`Error::UnknownPrd`], or a conflict when it has its verdict already.
    pub async fn cancel(&self, prd: PrdId, reason: &str) -> Result<Prd> {
        let cancelled = self.inner.store.cancel(prd, &Actor::operator(), reason).await?;
        self.inner.bells.verdict.ring();
        self.inner.bells.moved(&[JobStatus::Cancelled]);
        Ok(cancelled)
    }

    /// One job.
    ///
    /// # Errors
    /// [`Error::UnknownJob`].
    pub async fn job(&self, id: JobId) -> Result<Job> {
        self.inner.store.job(id).await?.ok_or(Error::UnknownJob(id))
    }

    /// Jobs, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>> {
        Ok(self.inner.store.jobs(filter).await?)
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    /// What the store says.
    pub async fn job_counts(&self) -> Result<Vec<JobCount>> {
        Ok(self.inner.store.job_counts().await?)
    }

    /// A job's history, oldest first.
    ///
    /// # Errors
    /// [`Error::UnknownJob`].
    pub async fn job_events(&self, job: JobId) -> Result<Vec<JobEvent>> {
        self.job(job).await?;
        Ok(self.inner.store.job_events(job).await?)
    }

    /// A job's artifacts, oldest first.
    ///
    /// # Errors
    /// [`Error::UnknownJob`].
    pub async fn artifacts(&self, job: JobId) -> Result<Vec<Artifact>> {
        self.job(job).await?;
        Ok(self.inner.store.artifacts(job).await?)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<ModelRun>> {
        Ok(self.inner.store.runs(filter).await?)
    }

    /// Why a queued job waits, as the scheduler saw it at its last pass.
    #[must_use]
    pub fn waiting_reason(&self, job: JobId) -> Option<String> {
        self.inner.waiting.reason(job)
    }

    /// All models.
    ///
    /// # Errors
    /// What the store says.
    pub async fn models(&self) -> Result<Vec<Model>> {
        Ok(self.inner.store.models().await?)
    }

    /// What the counting runs of each model in HR's window add up to, as of now. Models without runs are left out.
    ///
    /// # Errors
    /// What the store says.
    pub async fn stats(&self) -> Result<Vec<ModelStats>> {
        Ok(self.inner.store.stats(self.inner.clock.now() - self.inner.settings.hr.window()).await?)
    }

    /// What all runs in HR's window used up and cost, by model and project. Those without runs are left out.
    ///
    /// # Errors
    /// What the store says.
    pub async fn spending(&self) -> Result<Vec<Spending>> {
        Ok(self.inner.store.spending(self.inner.clock.now() - self.inner.settings.hr.window()).await?)
    }

    /// What stands between callers and a model that has its adapter in this process, outermost first; empty for every other model.
    #[must_use]
    pub fn gates(&self, model: &ModelName) -> Vec<Gate> {
        self.inner.adapters.get(model).map(|adapter| adapter.gates()).unwrap_or_default()
    }

    /// Workers of other processes that this process saw lately, by their ids. Another node on the same store sees its own.
    #[must_use]
    pub fn remote_workers(&self) -> Vec<RemoteWorker> {
        self.inner.manager.remote.list(self.inner.clock.now())
    }

    /// What HR saw of each model at its last look.
    ///
    /// # Errors
    /// What the store says.
    pub async fn latest_scores(&self) -> Result<Vec<ModelScore>> {
        Ok(self.inner.store.latest_scores().await?)
    }

    /// HR's decisions, newest first, before the one with this number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn promotions(&self, before: Option<i64>, limit: u32) -> Result<Vec<Promotion>> {
        Ok(self.inner.store.promotions(before, limit).await?)
    }

    /// Claims one job by its id, for a worker that may know no heartbeat: the lease is longer
    /// ([`Settings::direct_lease`]).
    ///
    /// # Errors
    /// [`Error::UnknownJob`], or a conflict that says who has it or what it waits for.
    pub async fn claim_job(&self, job: JobId, worker: WorkerId) -> Result<Claimed> {
        if self.is_stopping() {
            return Err(Error::Stopping);
        }
        self.inner.manager.claim_job(job, worker).await
    }

    /// Notes that a worker asks for the jobs of these models, for one that looks at the list instead of claiming: jobs go to
    /// models that are worked for first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn attend(&self, models: &[ModelId]) -> Result<()> {
        self.inner.manager.attend(models).await
    }

    /// Judges a submitted job by an outside validator's checklist: every tick must be ok. The evidence has the strength
    /// `reported`.
    ///
    /// # Errors
    /// [`Error::UnknownJob`]; a conflict when the job is not submitted, or judged already; [`Error::Invalid`] without ticks.
    pub async fn validate(&self, job: JobId, ticks: &[Tick], confidence: Option<Confidence>) -> Result<Job> {
        if ticks.is_empty() || ticks.len() > 10_000 {
            return Err(Error::invalid("ticks", "1 to 10000 are accepted: name what was checked"));
        }
        let case = |tick: &Tick| {
            let outcome = if tick.ok { TestOutcome::Passed } else { TestOutcome::Failed };
            TestCase::new(tick.name.chars().take(512).collect::<String>(), outcome)
        };
        let examination = Examination::reported(ticks.iter().map(case).collect(), confidence);
        self.inner.accountant.validate(job, examination).await?;
        self.inner.bells.account.ring();
        self.job(job).await
    }

    /// What somebody who looks at this orchestra should know of how it was put together.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Whether it takes no new work any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.inner.shutdown.signal().is_stopping()
    }

    /// Waits until somebody stops it.
    pub async fn stopping(&self) {
        self.inner.shutdown.signal().stopping().await;
    }

    /// Takes no new work at once, lets running work finish within the grace time, hands the rest back, and ends every
    /// task. Stopping twice is fine.
    pub async fn stop(&self) {
        self.inner.shutdown.stop(self.inner.clock.as_ref(), self.inner.settings.grace).await;
        self.inner.duties.leave().await;
    }
}

#[async_trait]
impl Manager for Orchestra {
    async fn claim(&self, request: &WorkRequest) -> Result<Vec<Claimed>> {
        self.inner.manager.claim(request).await
    }

    async fn heartbeat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>> {
        self.inner.manager.heartbeat(leases).await
    }

    async fn observe(&self, sighting: &Sighting) -> Result<()> {
        self.inner.manager.observe(sighting).await
    }

    async fn upload_artifacts(&self, upload: &ArtifactUpload) -> Result<Vec<Artifact>> {
        self.inner.manager.upload_artifacts(upload).await
    }

    async fn report(&self, report: &Report) -> Result<Reported> {
        self.inner.manager.report(report).await
    }

    async fn release(&self, release: &Release) -> Result<()> {
        self.inner.manager.release(release).await
    }
}
