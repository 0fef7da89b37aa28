//! PRDs and jobs, listed and scheduled.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Job, JobEvent, JobId, JobState, JobStatus, LeaseProof, ModelId, Outcome, Prd, PrdId, Spent,
    StoreError, Verdict,
    contract::{
        JobStore, Release, Report, Reported,
        store::{
            Assignment, Claim, ClaimedJob, Each, Expired, JobCount, JobFilter, ModelLoad, NewPrdRecord, Submitted,
        },
    },
};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    MemoryStore,
    state::{Row, State},
};

impl State {
    fn submit(&mut self, record: &NewPrdRecord) -> Result<Submitted, StoreError> {
        let key = record.request.idempotency_key.as_ref();
        if let Some(known) = key.and_then(|key| self.keys.get(key)).and_then(|id| self.prds.get(id)) {
            return if known.request == record.request {
                Ok(Submitted { prd: known.clone(), created: false })
            } else {
                let reason = "its idempotency key was used for another request: choose a fresh key";
                Err(StoreError::conflict("PRD", known.id, reason))
            };
        }
        if self.prds.contains_key(&record.id) {
            return Err(StoreError::conflict("PRD", record.id, "is there already"));
        }
        if let Some(job) = record.jobs.iter().find(|job| self.jobs.contains_key(job)) {
            return Err(StoreError::conflict("PRD", record.id, format!("its job {job} is there already")));
        }
        if let Some(pinned) = record.pinned {
            self.model(pinned)?;
        }
        let prd = Prd {
            id: record.id,
            request: record.request.clone(),
            jobs: record.jobs.clone(),
            created_at: self.now,
            verdict: None,
        };
        if let Some(key) = key {
            self.keys.insert(key.clone(), prd.id);
        }
        self.prds.insert(prd.id, prd.clone());
        let details =
            json!({ "prd_id": prd.id, "title": prd.request.headline(), "jobs": prd.jobs, "plan": prd.request.plan });
        self.log(Actor::submitter(), Action::PrdSubmitted, details);
        for id in &record.jobs {
            let row = Row {
                job: record.queued(*id, self.now),
                token: 0,
                report: None,
                artifacts: Vec::new(),
                events: Vec::new(),
                flags: Default::default(),
            };
            self.jobs.insert(*id, row);
            self.index(*id, &JobState::Queued);
            self.line(*id, Action::JobQueued, json!({}))?;
        }
        self.reconsider(prd.id);
        Ok(Submitted { prd, created: true })
    }

    fn jobs_in(&self, status: JobStatus) -> impl Iterator<Item = &Row> {
        self.live.get(&status).into_iter().flatten().filter_map(|id| self.jobs.get(id))
    }

    fn matching(&self, filter: &JobFilter) -> Vec<Job> {
        let fits = |row: &&Row| {
            let job = &row.job;
            filter.status.is_none_or(|status| job.state.status() == status)
                && filter.model.is_none_or(|model| job.state.model() == Some(model))
                && filter.prd.is_none_or(|prd| job.prd_id == prd)
                && filter.after.is_none_or(|after| job.id > after)
        };
        let limit = filter.limit as usize;
        // The narrowest way in: a PRD's own jobs, the jobs of a live state, or all of them.
        match (filter.prd, filter.status) {
            (Some(prd), _) => {
                let mut ids = self.prds.get(&prd).map(|prd| prd.jobs.clone()).unwrap_or_default();
                ids.sort();
                ids.iter()
                    .filter_map(|id| self.jobs.get(id))
                    .filter(fits)
                    .take(limit)
                    .map(|row| row.job.clone())
                    .collect()
            }
            (None, Some(status)) if !status.is_final() => {
                self.jobs_in(status).filter(fits).take(limit).map(|row| row.job.clone()).collect()
            }
            _ => self.jobs.values().filter(fits).take(limit).map(|row| row.job.clone()).collect(),
        }
    }

    fn siblings(&self, jobs: &[JobId]) -> BTreeSet<(PrdId, ModelId)> {
        let prds: BTreeSet<_> = jobs.iter().filter_map(|id| self.jobs.get(id)).map(|row| row.job.prd_id).collect();
        let jobs = prds.iter().filter_map(|prd| self.prds.get(prd)).flat_map(|prd| &prd.jobs);
        let live = jobs.filter_map(|id| self.jobs.get(id)).filter(|row| row.job.state.status().occupies_its_model());
        live.filter_map(|row| Some((row.job.prd_id, row.job.state.model()?))).collect()
    }

    fn settle(&mut self, verdict: &Verdict) -> Result<bool, StoreError> {
        let prd = self.prds.get_mut(&verdict.prd).ok_or_else(|| StoreError::not_found("PRD", verdict.prd))?;
        if prd.verdict.is_some() {
            return Ok(false);
        }
        prd.verdict = Some(verdict.clone());
        let winner = match &verdict.outcome {
            Outcome::Won { job, model, score } => json!({ "job_id": job, "model": model, "score": score }),
            Outcome::NobodyWon | Outcome::Cancelled => json!(null),
        };
        self.assessable.remove(&verdict.prd);
        let details = json!({ "prd_id": verdict.prd, "winner": winner, "why": verdict.why });
        self.log(Actor::accountant(), Action::PrdSettled, details);
        Ok(true)
    }

    fn cancel(&mut self, id: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
        let prd = self.prds.get(&id).ok_or_else(|| StoreError::not_found("PRD", id))?;
        if prd.verdict.is_some() {
            return Err(StoreError::conflict("PRD", id, "has its verdict already and cannot be called off"));
        }
        for job in prd.jobs.clone() {
            if !self.row(job)?.job.state.status().is_final() {
                self.ended_without_a_run(job)?;
                let next = JobState::Cancelled { reason: reason.to_owned() };
                self.advance(job, next, actor.clone(), Action::JobCancelled, json!({ "reason": reason }))?;
            }
        }
        let verdict = Verdict {
            spent: Spent::default(),
            prd: id,
            outcome: Outcome::Cancelled,
            entries: Vec::new(),
            why: format!("called off: {reason}"),
            settled_at: self.now,
        };
        self.assessable.remove(&id);
        self.log(actor.clone(), Action::PrdCancelled, json!({ "prd_id": id, "reason": reason }));
        let prd = self.prds.get_mut(&id).ok_or_else(|| StoreError::not_found("PRD", id))?;
        prd.verdict = Some(verdict);
        Ok(prd.clone())
    }

    fn silent(&self, since: DateTime<Utc>, limit: u32) -> Vec<Job> {
        let live = self.live.values().flatten().filter_map(|id| self.jobs.get(id));
        let mut silent: Vec<_> = live.filter(|row| row.job.updated_at <= since).map(|row| row.job.clone()).collect();
        silent.sort_by_key(|job| (job.updated_at, job.id));
        silent.truncate(limit as usize);
        silent
    }

    fn failing(&self, since: DateTime<Utc>, more_than: u32) -> Vec<(JobId, u32)> {
        let failures = |row: &Row| {
            let written = row.artifacts.last().map(|artifact| artifact.created_at);
            let counts = |event: &&JobEvent| {
                event.event_type == Action::TestFailed.as_str()
                    && event.created_at >= since
                    && written.is_none_or(|written| event.created_at >= written)
            };
            u32::try_from(row.events.iter().filter(counts).count()).unwrap_or(u32::MAX)
        };
        let recent = self.jobs.values().filter(|row| row.job.updated_at >= since);
        recent.map(|row| (row.job.id, failures(row))).filter(|(_, failures)| *failures > more_than).collect()
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn submit(&self, prds: &[NewPrdRecord]) -> Result<Each<Submitted>, StoreError> {
        Ok(self.verb(|state| prds.iter().map(|prd| state.submit(prd)).collect()))
    }

    async fn prds(&self, ids: &[PrdId]) -> Result<Vec<Prd>, StoreError> {
        let state = self.lock();
        Ok(ids.iter().filter_map(|id| state.prds.get(id)).cloned().collect())
    }

    async fn prd_by_key(&self, key: &str) -> Result<Option<Prd>, StoreError> {
        let state = self.lock();
        Ok(state.keys.get(key).and_then(|id| state.prds.get(id)).cloned())
    }

    async fn recent_prds(&self, before: Option<PrdId>, limit: u32) -> Result<Vec<Prd>, StoreError> {
        let state = self.lock();
        let newest = state.prds.iter().rev().filter(|(id, _)| before.is_none_or(|before| **id < before));
        Ok(newest.take(limit as usize).map(|(_, prd)| prd.clone()).collect())
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.lock().jobs.get(&id).map(|row| row.job.clone()))
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        Ok(self.lock().matching(filter))
    }

    async fn job_counts(&self) -> Result<Vec<JobCount>, StoreError> {
        let state = self.lock();
        let counts = state.counts.iter().filter(|(_, jobs)| **jobs > 0);
        Ok(counts.map(|(status, jobs)| JobCount { status: *status, jobs: *jobs }).collect())
    }

    async fn job_events(&self, job: JobId) -> Result<Vec<JobEvent>, StoreError> {
        Ok(self.lock().jobs.get(&job).map(|row| row.events.clone()).unwrap_or_default())
    }

    async fn schedulable(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        Ok(self.verb(|state| {
            let due = |row: &&Row| row.job.not_before.is_none_or(|not_before| not_before <= state.now);
            state.jobs_in(JobStatus::Queued).filter(due).take(limit as usize).map(|row| row.job.clone()).collect()
        }))
    }

    async fn siblings(&self, jobs: &[JobId]) -> Result<Vec<(PrdId, ModelId)>, StoreError> {
        Ok(self.lock().siblings(jobs).into_iter().collect())
    }

    async fn load(&self) -> Result<Vec<ModelLoad>, StoreError> {
        let state = self.lock();
        let load = state.models.iter().map(|model| ModelLoad {
            model: model.id,
            assigned: state.assigned.get(&model.id).map_or(0, |jobs| u32::try_from(jobs.len()).unwrap_or(u32::MAX)),
            in_progress: state.in_progress.get(&model.id).copied().unwrap_or(0),
        });
        Ok(load.filter(|load| load.assigned + load.in_progress > 0).collect())
    }

    async fn assign(&self, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
        Ok(self.verb(|state| assignments.iter().map(|assignment| state.assign(assignment)).collect()))
    }

    async fn unassign(&self, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
        Ok(self.verb(|state| jobs.iter().map(|job| state.unassign(*job, reason)).collect()))
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        self.verb(|state| state.claim(claim))
    }

    async fn heartbeat(&self, leases: &[LeaseProof], lease: Duration) -> Result<Each<DateTime<Utc>>, StoreError> {
        Ok(self.verb(|state| leases.iter().map(|proof| state.heartbeat(proof, lease)).collect()))
    }

    async fn report(&self, reports: &[Report]) -> Result<Each<Reported>, StoreError> {
        Ok(self.verb(|state| state.report(reports)))
    }

    async fn release(&self, releases: &[Release]) -> Result<Each<JobStatus>, StoreError> {
        Ok(self.verb(|state| releases.iter().map(|release| state.release(release)).collect()))
    }

    async fn expire(&self, limit: u32) -> Result<Vec<Expired>, StoreError> {
        self.verb(|state| state.expire(limit))
    }

    async fn assessable(&self, limit: u32) -> Result<Vec<PrdId>, StoreError> {
        Ok(self.lock().assessable.iter().take(limit as usize).copied().collect())
    }

    async fn settle(&self, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
        Ok(self.verb(|state| verdicts.iter().map(|verdict| state.settle(verdict)).collect()))
    }

    async fn cancel(&self, prd: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
        self.verb(|state| state.cancel(prd, actor, reason))
    }

    async fn silent_jobs(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<Job>, StoreError> {
        Ok(self.lock().silent(since, limit))
    }

    async fn failing_jobs(&self, since: DateTime<Utc>, more_than: u32) -> Result<Vec<(JobId, u32)>, StoreError> {
        Ok(self.lock().failing(since, more_than))
    }

    async fn next_deadline(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(self.verb(|state| {
            let lease = state.leases.first().map(|(until, _)| *until);
            let retries = state.jobs_in(JobStatus::Queued).filter_map(|row| row.job.not_before);
            lease.into_iter().chain(retries.filter(|at| *at > state.now)).min()
        }))
    }
}
