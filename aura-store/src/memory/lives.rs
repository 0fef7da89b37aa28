//! A job's life: assign, claim, heartbeat, report, release, expire.

use std::time::Duration;

use aura_core::{
    Action, Actor, JobId, JobState, JobStatus, Lease, LeaseProof, ModelId, StoreError, WorkerId,
    contract::{
        Release, Report, Reported,
        store::{Assignment, Claim, ClaimedJob, Each, Expired, Wanted},
    },
    job::{Delivery, Door, FencingToken},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::state::State;
use crate::{
    facts::{facts_of_all, groups},
    moment::after,
};

impl State {
    pub(super) fn assign(&mut self, assignment: &Assignment) -> Result<(), StoreError> {
        let Assignment { job: id, model: model_id, probe, reason } = assignment;
        let job = &self.row(*id)?.job;
        if job.state != JobState::Queued {
            return Err(StoreError::conflict("job", id, format!("is {} and not QUEUED", job.state.status())));
        }
        let model = self.model(*model_id)?;
        let refuse = |reason: String| Err(StoreError::conflict("model", &model.profile.name, reason));
        if job.pinned.is_some_and(|pinned| pinned != *model_id) {
            return refuse("is not the model that the job asks for".to_owned());
        }
        if let Some(hold) = &model.hold {
            return refuse(format!("is on hold: {hold}"));
        }
        if !model.is_active && !probe {
            return refuse("is suspended".to_owned());
        }
        let siblings = self.prds.get(&job.prd_id).map(|prd| prd.jobs.as_slice()).unwrap_or_default();
        let taken = siblings
            .iter()
            .filter(|sibling| *sibling != id)
            .filter_map(|sibling| self.jobs.get(sibling))
            .any(|row| row.job.state.status().occupies_its_model() && row.job.state.model() == Some(*model_id));
        if taken {
            return refuse("works on another job of the same PRD".to_owned());
        }
        let details = json!({ "reason": reason, "probe": probe });
        self.advance(*id, JobState::Assigned { model: *model_id }, Actor::scheduler(), Action::JobAssigned, details)
    }

    pub(super) fn unassign(&mut self, id: JobId, reason: &str) -> Result<(), StoreError> {
        let JobState::Assigned { model } = self.row(id)?.job.state else {
            return Err(StoreError::conflict("job", id, "is not ASSIGNED any more"));
        };
        let details = json!({ "reason": reason, "model": self.model_name(Some(model)) });
        self.advance(id, JobState::Queued, Actor::scheduler(), Action::JobUnassigned, details)
    }

    fn held(&self, model: ModelId) -> bool {
        self.model(model).is_ok_and(|model| model.hold.is_some())
    }

    pub(super) fn claim(&mut self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        let wanted: Vec<JobId> = match &claim.wanted {
            Wanted::Job(id) => {
                self.check_claimable(*id)?;
                vec![*id]
            }
            Wanted::Any { models, max } => {
                let free = models.iter().filter(|model| !self.held(**model));
                let mut ids: Vec<_> = free
                    .filter_map(|model| self.assigned.get(model))
                    .flat_map(|jobs| jobs.iter().take(*max as usize))
                    .copied()
                    .collect();
                ids.sort();
                ids.dedup();
                ids.truncate(*max as usize);
                ids
            }
        };
        let claimed: Vec<_> = wanted.into_iter().map(|id| self.claim_one(id, claim)).collect::<Result<_, _>>()?;
        let keyed = claimed.iter().map(|ClaimedJob { job, .. }| ((job.state.model(), job.attempt), job));
        for ((model, _), jobs) in groups(keyed) {
            let Some(JobState::InProgress { lease, .. }) = jobs.first().map(|job| &job.state) else { continue };
            let details = facts_of_all(&jobs, self.model_name(model).as_str(), claim_details(lease));
            self.log(Actor::worker(&claim.worker), Action::JobClaimed, details);
        }
        Ok(claimed)
    }

    fn check_claimable(&self, id: JobId) -> Result<(), StoreError> {
        let refuse = |reason: String| Err(StoreError::conflict("job", id, reason));
        match &self.row(id)?.job.state {
            JobState::Assigned { model } if self.held(*model) => refuse("its model is on hold".to_owned()),
            JobState::Assigned { .. } => Ok(()),
            JobState::Queued => refuse("is QUEUED: it waits for a model and cannot be claimed yet".to_owned()),
            JobState::InProgress { lease, .. } => refuse(format!("is claimed by worker {} already", lease.worker)),
            state => refuse(format!("is {} and cannot be claimed any more", state.status())),
        }
    }

    fn claim_one(&mut self, id: JobId, claim: &Claim) -> Result<ClaimedJob, StoreError> {
        let now = self.now;
        let row = self.row_mut(id)?;
        let JobState::Assigned { model } = row.job.state else {
            return Err(StoreError::conflict("job", id, "is not ASSIGNED any more"));
        };
        row.token += 1;
        row.report = None;
        row.job.attempt += 1;
        row.job.not_before = None;
        if !row.job.tried.contains(&model) {
            row.job.tried.push(model);
        }
        let lease = Lease {
            worker: claim.worker.clone(),
            token: FencingToken(row.token),
            until: after(now, claim.lease),
            claimed_at: now,
            door: claim.door,
        };
        let details = claim_details(&lease);
        self.advance_among_others(id, JobState::InProgress { model, lease }, Action::JobClaimed, details)?;
        let job = self.row(id)?.job.clone();
        let prd = self.prds.get(&job.prd_id).cloned().ok_or_else(|| StoreError::not_found("PRD", job.prd_id))?;
        Ok(ClaimedJob { job, prd })
    }

    /// The live lease that a proof shows, or nothing.
    pub(super) fn proven(
        &self,
        job: JobId,
        worker: Option<&WorkerId>,
        token: Option<FencingToken>,
    ) -> Result<(ModelId, Lease), StoreError> {
        match &self.row(job)?.job.state {
            JobState::InProgress { model, lease }
                if worker.is_none_or(|worker| lease.worker == *worker)
                    && token.map_or(lease.door == Door::Remote, |token| lease.token == token)
                    && self.now < lease.until =>
            {
                Ok((*model, lease.clone()))
            }
            _ => Err(StoreError::LeaseLost { job, worker: worker.cloned() }),
        }
    }

    /// Moves a lease's end and the job's last sign of life.
    pub(super) fn extend(&mut self, job: JobId, until: DateTime<Utc>) -> Result<(), StoreError> {
        let now = self.now;
        let row = self.row_mut(job)?;
        row.job.updated_at = now;
        if let JobState::InProgress { lease, .. } = &mut row.job.state {
            let before = std::mem::replace(&mut lease.until, until);
            self.leases.remove(&(before, job));
            self.leases.insert((until, job));
        }
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, proof: &LeaseProof, lease: Duration) -> Result<DateTime<Utc>, StoreError> {
        let (_, live) = self.proven(proof.job, Some(&proof.worker), proof.token)?;
        // A longer lease that was granted before is never cut short by a beat.
        let until = live.until.max(after(self.now, lease));
        self.extend(proof.job, until)?;
        Ok(until)
    }

    pub(super) fn report(&mut self, reports: &[Report]) -> Each<Reported> {
        let answers: Each<_> = reports.iter().map(|report| self.report_one(report)).collect();
        let taken = answers.iter().flatten().filter(|taken| !taken.repeated);
        let jobs: Vec<_> = taken.filter_map(|taken| self.jobs.get(&taken.job)).map(|row| row.job.clone()).collect();
        let keyed = jobs.iter().filter_map(|job| match &job.state {
            JobState::Submitted { model, delivery } => {
                Some(((&delivery.worker, delivery.claimed_at, *model, job.attempt, delivery.success), job))
            }
            _ => None,
        });
        for ((worker, _, model, _, success), jobs) in groups(keyed) {
            let name = self.model_name(Some(model));
            let details = facts_of_all(&jobs, name.as_str(), json!({ "worker": worker, "success": success }));
            self.log(Actor::worker(worker), Action::JobSubmitted, details);
        }
        answers
    }

    fn report_one(&mut self, report: &Report) -> Result<Reported, StoreError> {
        let LeaseProof { job: id, worker, token } = &report.proof;
        let row = self.row(*id)?;
        if let Some(first) = &row.report
            && first.proof.worker == *worker
            && token.is_none_or(|token| token.0 == row.token)
        {
            return if first.success == report.success && first.details == report.details {
                Ok(Reported { job: *id, repeated: true })
            } else {
                Err(StoreError::conflict("job", id, "was reported before with another body; the first report stands"))
            };
        }
        let (model, lease) = self.proven(*id, Some(worker), *token)?;
        let delivery = Delivery {
            worker: worker.clone(),
            success: report.success,
            details: report.details.clone(),
            door: lease.door,
            claimed_at: lease.claimed_at,
            reported_at: self.now,
        };
        let details = json!({ "worker": worker, "success": report.success });
        self.advance_among_others(*id, JobState::Submitted { model, delivery }, Action::JobSubmitted, details)?;
        self.row_mut(*id)?.report = Some(report.clone());
        Ok(Reported { job: *id, repeated: false })
    }

    pub(super) fn release(&mut self, release: &Release) -> Result<JobStatus, StoreError> {
        let LeaseProof { job, worker, token } = &release.proof;
        self.proven(*job, Some(worker), *token)?;
        let not_before = release.retry_after.map(|wait| after(self.now, wait));
        if release.blameless {
            let job = &mut self.row_mut(*job)?.job;
            job.max_attempts = job.max_attempts.saturating_add(1).min(i32::MAX.unsigned_abs());
        }
        self.give_back(*job, Actor::worker(worker), &release.reason, not_before, release.unbilled)
    }

    pub(super) fn expire(&mut self, limit: u32) -> Result<Vec<Expired>, StoreError> {
        let now = self.now;
        let ended: Vec<_> = self
            .leases
            .iter()
            .take_while(|(until, _)| *until <= now)
            .take(limit as usize)
            .map(|(_, job)| *job)
            .collect();
        let mut expired = Vec::with_capacity(ended.len());
        for job in ended {
            let worker = match &self.row(job)?.job.state {
                JobState::InProgress { lease, .. } => lease.worker.to_string(),
                _ => continue,
            };
            let reason = format!("the lease of worker {worker} ended without a sign of life");
            let status = self.give_back(job, Actor::scheduler(), &reason, None, false)?;
            expired.push(Expired { job, now: status });
        }
        Ok(expired)
    }
}

/// What the trail says of a claim.
fn claim_details(lease: &Lease) -> Value {
    json!({ "worker": lease.worker, "token": lease.token, "until": lease.until })
}
