//! The manager: a worker's door in this process, and the loop that gives jobs to models.

mod ahead;
pub(crate) mod attendance;
pub(crate) mod capacity;
mod feedback;
pub(crate) mod horizon;
pub(crate) mod idle;
pub(crate) mod lookout;
pub(crate) mod remote;
mod round;
pub(crate) mod schedule;
pub mod select;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{
    artifact::{Artifact, NewArtifact},
    clock::Clock,
    contract::{
        ArtifactUpload, Claimed, Manager, Release, Report, Reported, Sighting, Store, StoreError, WorkRequest,
        store::{ArtifactBatch, Claim, ClaimedJob, Each, Wanted},
    },
    engine::{bell::Bells, pace::Chain, roster::Roster, settings::Settings, shutdown::Shutdown},
    error::{Error, Result},
    ids::{JobId, ModelId, WorkerId},
    job::{Door, JobState, JobStatus, LeaseProof},
};

/// The door of this process: checks what workers bring and writes it to the store.
#[derive(Debug)]
pub(crate) struct JobManager {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) settings: Settings,
    pub(crate) notes: attendance::Notes,
    pub(crate) remote: remote::RemoteWorkers,
    pub(crate) idle: Arc<idle::IdleWorkers>,
}

impl JobManager {
    /// Most jobs one call may claim.
    const MAX_BATCH: u32 = 1000;
    /// Longest time one call may wait for a job.
    const MAX_WAIT: Duration = Duration::from_secs(60);

    /// Claims one job by its id for a worker that may know no heartbeat.
    pub(crate) async fn claim_job(&self, job: JobId, worker: WorkerId) -> Result<Claimed> {
        let lease = self.settings.direct_lease;
        let claim = Claim { worker, door: Door::Remote, wanted: Wanted::Job(job), lease };
        let claimed = self.store.claim(&claim).await?.pop();
        let claimed = claimed.ok_or_else(|| StoreError::conflict("job", job, "cannot be claimed now"))?;
        self.remote.saw(&claim.worker, self.clock.now());
        self.remote.holds(&claim.worker, lease_of(&claimed));
        if let Some(model) = claimed.job.state.model()
            && let Err(error) = self.attend(&[model]).await
        {
            // The worker has its job: only the others learn later that somebody works for the model.
            tracing::warn!(%model, error = %Chain(&error), "a worker's visit could not be noted");
        }
        self.with_name(claimed).await
    }

    async fn with_name(&self, ClaimedJob { job, prd }: ClaimedJob) -> Result<Claimed> {
        let model = match job.state.model() {
            Some(id) => self.roster.by_id(id).await?,
            None => None,
        };
        let model = model.ok_or_else(|| StoreError::corrupt("job", job.id, "it is claimed, but has no model"))?;
        let feedback = self.feedback(&job, &prd).await;
        Ok(Claimed { job, model: model.profile.name, prd, feedback })
    }

    /// What a worker has claimed, as it is told.
    async fn given(&self, worker: &WorkerId, jobs: Vec<ClaimedJob>) -> Result<Vec<Claimed>> {
        let on_the_way = self.idle.watch(&jobs);
        let leases: Vec<_> = jobs.iter().filter_map(lease_of).collect();
        let mut claimed = Vec::with_capacity(jobs.len());
        for job in jobs {
            claimed.push(self.with_name(job).await?);
        }
        self.remote.holds(worker, leases);
        on_the_way.arrived();
        Ok(claimed)
    }

    /// Notes that a worker asks for these models' jobs.
    pub(crate) async fn attend(&self, models: &[ModelId]) -> Result<()> {
        let (due, is_news) = self.notes.take(models, self.clock.now(), self.settings.attendance);
        if due.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.store.attend(&due).await {
            self.notes.forget(&due);
            return Err(error.into());
        }
        if is_news {
            self.bells.changed();
        }
        Ok(())
    }
}

/// The one answer to a batch of one.
fn only<T>(answers: Each<T>) -> Result<T> {
    let answer = answers.into_iter().next();
    let missing = || StoreError::Backend { action: "answer a batch of one", source: "it answered none".into() };
    Ok(answer.ok_or_else(missing)??)
}

/// The lease of a job that was claimed.
fn lease_of(claimed: &ClaimedJob) -> Option<(JobId, DateTime<Utc>)> {
    match &claimed.job.state {
        JobState::InProgress { lease, .. } => Some((claimed.job.id, lease.until)),
        _ => None,
    }
}

fn check_artifacts(items: &[NewArtifact]) -> Result<()> {
    for item in items {
        let bytes = item.body.to_string().len();
        if bytes > NewArtifact::MAX_BYTES {
            let reason = format!("is {bytes} bytes long, at most {} are accepted", NewArtifact::MAX_BYTES);
            return Err(Error::invalid("artifact", reason));
        }
        if item.body.is_null() {
            return Err(Error::invalid("artifact", "is null: send the piece itself"));
        }
    }
    Ok(())
}

#[async_trait]
impl Manager for JobManager {
    async fn claim(&self, request: &WorkRequest) -> Result<Vec<Claimed>> {
        if request.max == 0 || request.max > Self::MAX_BATCH {
            return Err(Error::invalid("max", format!("must be 1 to {}", Self::MAX_BATCH)));
        }
        if request.models.is_empty() {
            return Err(Error::invalid("models", "is empty: name the models whose jobs this worker does"));
        }
        let models = self.roster.ids(&request.models).await?;
        if request.door == Door::Remote {
            self.remote.asked(&request.worker_id, &request.models, self.clock.now());
        }
        let claim = Claim {
            worker: request.worker_id.clone(),
            door: request.door,
            wanted: Wanted::Any { models: models.clone(), max: request.max },
            lease: self.settings.lease,
        };
        let mut stop = self.shutdown.signal();
        let mut bell = self.bells.claim.listen();
        let wait = self.clock.sleep(request.wait.min(Self::MAX_WAIT));
        tokio::pin!(wait);
        loop {
            if stop.is_stopping() {
                return Ok(Vec::new());
            }
            self.attend(&models).await?;
            let jobs = self.store.claim(&claim).await?;
            if !jobs.is_empty() || request.wait.is_zero() {
                return self.given(&claim.worker, jobs).await;
            }
            // The scheduler of this process claims for who waits here. The bell tells of what else it assigned, and the poll finds what
            // another process did.
            let mut place = self.idle.wait(claim.clone());
            let (served, is_over) = tokio::select! {
                served = place.served() => (served, false),
                () = bell.rung() => (Vec::new(), false),
                () = self.clock.sleep(self.settings.poll) => (Vec::new(), false),
                () = &mut wait => (Vec::new(), true),
                () = stop.stopping() => (Vec::new(), true),
            };
            let jobs = if served.is_empty() { place.leave().await } else { served };
            if !jobs.is_empty() || is_over {
                return self.given(&claim.worker, jobs).await;
            }
        }
    }

    async fn heartbeat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>> {
        let answers = self.store.heartbeat(leases, self.settings.lease).await?;
        self.remote.beat(leases, &answers, self.clock.now());
        Ok(answers.into_iter().map(|answer| answer.map_err(Error::from)).collect())
    }

    async fn observe(&self, sighting: &Sighting) -> Result<()> {
        let models = self.roster.ids(&sighting.models).await?;
        self.remote.observed(sighting, self.clock.now());
        self.attend(&models).await
    }

    async fn upload_artifacts(&self, upload: &ArtifactUpload) -> Result<Vec<Artifact>> {
        check_artifacts(&upload.items)?;
        let batch = ArtifactBatch {
            job: upload.job,
            model: self.roster.find(upload.model.as_str()).await?.id,
            worker: upload.worker.clone(),
            token: upload.token,
            items: upload.items.clone(),
        };
        only(self.store.add_artifacts(&[batch], self.settings.lease).await?)
    }

    async fn report(&self, report: &Report) -> Result<Reported> {
        let bytes = report.details.to_string().len();
        if bytes > NewArtifact::MAX_BYTES {
            let reason = format!("is {bytes} bytes long, at most {} are accepted", NewArtifact::MAX_BYTES);
            return Err(Error::invalid("details", reason));
        }
        let reported = only(self.store.report(std::slice::from_ref(report)).await?)?;
        self.remote.put_down(&report.proof, self.clock.now());
        self.bells.moved(&[JobStatus::Submitted]);
        Ok(reported)
    }

    async fn release(&self, release: &Release) -> Result<()> {
        let status = only(self.store.release(std::slice::from_ref(release)).await?)?;
        self.remote.put_down(&release.proof, self.clock.now());
        self.bells.moved(&[status]);
        Ok(())
    }
}
