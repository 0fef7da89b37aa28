//! What the memory store holds, and the few ways in which it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use aura_core::{
    Action, Actor, Alert, Artifact, AuditEntry, AuditSeq, Job, JobEvent, JobId, JobState, JobStatus, Model, ModelId,
    ModelRun, ModelScore, ModelStats, Prd, PrdId, ProjectId, Promotion, Spending, StoreError,
    audit::{EntryHash, NewEntry},
    contract::Report,
};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

/// A job with what only the store needs to know of it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) job: Job,
    /// The token of the last claim; grows at every claim.
    pub(super) token: i64,
    /// The accepted report of the current attempt.
    pub(super) report: Option<Report>,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) events: Vec<JobEvent>,
    /// Rules with an open flag.
    pub(super) flags: HashSet<String>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now: DateTime<Utc>,
    pub(super) prds: BTreeMap<PrdId, Prd>,
    pub(super) keys: HashMap<String, PrdId>,
    pub(super) jobs: BTreeMap<JobId, Row>,
    /// Jobs that are not final, by state: what the engines look through, however many have ended.
    pub(super) live: BTreeMap<JobStatus, BTreeSet<JobId>>,
    pub(super) counts: BTreeMap<JobStatus, u64>,
    /// Jobs by model, assigned or in progress.
    pub(super) assigned: HashMap<ModelId, BTreeSet<JobId>>,
    pub(super) in_progress: HashMap<ModelId, u32>,
    pub(super) leases: BTreeSet<(DateTime<Utc>, JobId)>,
    /// PRDs without a verdict none of whose jobs is queued, assigned or in progress.
    pub(super) assessable: BTreeSet<PrdId>,
    pub(super) models: Vec<Model>,
    pub(super) scores: HashMap<ModelId, ModelScore>,
    pub(super) promotions: Vec<Promotion>,
    pub(super) runs: Vec<ModelRun>,
    pub(super) runs_by_job: HashMap<JobId, Vec<usize>>,
    pub(super) daily: BTreeMap<(NaiveDate, ModelId), ModelStats>,
    pub(super) spending: BTreeMap<(NaiveDate, ModelId, ProjectId), Spending>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) alerts: Vec<Alert>,
    pub(super) events: i64,
    pub(super) artifacts: i64,
}

impl State {
    pub(super) fn row(&self, job: JobId) -> Result<&Row, StoreError> {
        self.jobs.get(&job).ok_or_else(|| StoreError::not_found("job", job))
    }

    pub(super) fn row_mut(&mut self, job: JobId) -> Result<&mut Row, StoreError> {
        self.jobs.get_mut(&job).ok_or_else(|| StoreError::not_found("job", job))
    }

    pub(super) fn model(&self, id: ModelId) -> Result<&Model, StoreError> {
        self.models.iter().find(|model| model.id == id).ok_or_else(|| StoreError::not_found("model", id))
    }

    pub(super) fn model_name(&self, id: Option<ModelId>) -> Value {
        id.and_then(|id| self.model(id).ok()).map_or(Value::Null, |model| model.profile.name.as_str().into())
    }

    /// Writes one entry of the audit log behind the last one.
    pub(super) fn log(&mut self, actor: Actor, action: Action, details: Value) {
        let seq = AuditSeq(i64::try_from(self.audit.len()).unwrap_or(i64::MAX - 1) + 1);
        let genesis = EntryHash::genesis();
        let previous = self.audit.last().and_then(|entry| entry.hash.as_ref()).unwrap_or(&genesis);
        let entry = AuditEntry::seal(NewEntry { actor, action, details }, seq, self.now, previous);
        self.audit.push(entry);
    }

    /// Writes one line of a job's history.
    pub(super) fn line(&mut self, id: JobId, action: Action, details: Value) -> Result<(), StoreError> {
        let now = self.now;
        let event = self.events + 1;
        self.row_mut(id)?.events.push(JobEvent {
            id: event,
            job_id: id,
            event_type: action.as_str().to_owned(),
            details,
            created_at: now,
        });
        self.events = event;
        Ok(())
    }

    /// Writes one line of a job's history together with its audit entry.
    pub(super) fn record(
        &mut self,
        id: JobId,
        actor: Actor,
        action: Action,
        mut details: Value,
    ) -> Result<(), StoreError> {
        let row = self.row(id)?;
        let (prd, attempt, model) = (row.job.prd_id, row.job.attempt, row.job.state.model());
        if let Value::Object(fields) = &mut details {
            fields.insert("job_id".to_owned(), json!(id));
            fields.insert("prd_id".to_owned(), json!(prd));
            fields.insert("attempt".to_owned(), json!(attempt));
            let model = self.model_name(model);
            if !fields.contains_key("model") && !model.is_null() {
                fields.insert("model".to_owned(), model);
            }
        }
        self.line(id, action, details.clone())?;
        self.log(actor, action, details);
        Ok(())
    }

    /// Moves a job along a legal arrow, with its line of history, its audit entry and every index.
    pub(super) fn advance(
        &mut self,
        id: JobId,
        next: JobState,
        actor: Actor,
        action: Action,
        details: Value,
    ) -> Result<(), StoreError> {
        self.shift(id, next)?;
        self.record(id, actor, action, details)
    }

    /// The same for a job whose audit entry names others too, and is written behind it.
    pub(super) fn advance_among_others(
        &mut self,
        id: JobId,
        next: JobState,
        action: Action,
        details: Value,
    ) -> Result<(), StoreError> {
        self.shift(id, next)?;
        self.line(id, action, details)
    }

    fn shift(&mut self, id: JobId, next: JobState) -> Result<(), StoreError> {
        let now = self.now;
        let row = self.row_mut(id)?;
        let (from, to) = (row.job.state.status(), next.status());
        if !from.may_become(to) {
            return Err(StoreError::conflict("job", id, format!("is {from} and cannot become {to}")));
        }
        let before = std::mem::replace(&mut row.job.state, next);
        row.job.updated_at = now;
        row.flags.clear();
        let (prd, after) = (row.job.prd_id, row.job.state.clone());
        self.unindex(id, &before);
        self.index(id, &after);
        self.reconsider(prd);
        Ok(())
    }

    pub(super) fn index(&mut self, id: JobId, state: &JobState) {
        let status = state.status();
        *self.counts.entry(status).or_default() += 1;
        if !status.is_final() {
            self.live.entry(status).or_default().insert(id);
        }
        match state {
            JobState::Assigned { model } => drop(self.assigned.entry(*model).or_default().insert(id)),
            JobState::InProgress { model, lease } => {
                *self.in_progress.entry(*model).or_default() += 1;
                self.leases.insert((lease.until, id));
            }
            _ => {}
        }
    }

    fn unindex(&mut self, id: JobId, state: &JobState) {
        let status = state.status();
        if let Some(count) = self.counts.get_mut(&status) {
            *count = count.saturating_sub(1);
        }
        if let Some(live) = self.live.get_mut(&status) {
            live.remove(&id);
        }
        match state {
            JobState::Assigned { model } => {
                if let Some(jobs) = self.assigned.get_mut(model) {
                    jobs.remove(&id);
                }
            }
            JobState::InProgress { model, lease } => {
                if let Some(jobs) = self.in_progress.get_mut(model) {
                    *jobs = jobs.saturating_sub(1);
                }
                self.leases.remove(&(lease.until, id));
            }
            _ => {}
        }
    }

    /// Whether a PRD waits for the accountant now.
    pub(super) fn reconsider(&mut self, prd: PrdId) {
        let waits = self.prds.get(&prd).is_some_and(|prd| {
            prd.verdict.is_none()
                && prd.jobs.iter().filter_map(|job| self.jobs.get(job)).all(|row| {
                    let status = row.job.state.status();
                    status.is_final() || status == JobStatus::Submitted
                })
        });
        if waits {
            self.assessable.insert(prd);
        } else {
            self.assessable.remove(&prd);
        }
    }

    /// Gives a job in progress back to the queue, or ends it when no attempt is left. The reason becomes its last error.
    pub(super) fn give_back(
        &mut self,
        id: JobId,
        actor: Actor,
        reason: &str,
        not_before: Option<DateTime<Utc>>,
        unbilled: bool,
    ) -> Result<JobStatus, StoreError> {
        let row = self.row_mut(id)?;
        row.job.last_error = Some(reason.to_owned());
        let (next, action) = if row.job.has_attempts_left() {
            row.job.not_before = not_before;
            (JobState::Queued, Action::JobRequeued)
        } else {
            let model = row.job.state.model();
            (JobState::Failed { model, reason: reason.to_owned() }, Action::JobFailed)
        };
        let status = next.status();
        let model = row.job.state.model();
        let mut details = json!({ "reason": reason, "model": self.model_name(model) });
        match details.as_object_mut() {
            Some(details) if unbilled => drop(details.insert("unbilled".to_owned(), true.into())),
            _ => self.ended_without_a_run(id)?,
        }
        self.advance(id, next, actor, action, details)?;
        Ok(status)
    }

    /// Takes down that an attempt under way ends without a run, and may have been billed.
    pub(super) fn ended_without_a_run(&mut self, id: JobId) -> Result<(), StoreError> {
        let job = &self.row(id)?.job;
        if let JobState::InProgress { model, .. } = job.state {
            let project = job.project_id;
            let day = (self.now.date_naive(), model, project);
            self.spending.entry(day).or_insert(Spending::none(model, project)).add_unknown();
        }
        Ok(())
    }
}
