//! Artifacts and scored runs, with the statistics that are kept as runs land.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Artifact, ArtifactId, JobId, JobState, JobStatus, ModelId, ModelRun, ModelStats, ProjectId, RunId,
    Spending, StoreError,
    contract::{
        RunStore,
        store::{ArtifactBatch, Each, Judgement, Next, RunFilter},
    },
};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{MemoryStore, state::State};
use crate::moment::after;

impl State {
    fn add_artifacts(&mut self, batch: &ArtifactBatch, extend_to: Duration) -> Result<Vec<Artifact>, StoreError> {
        // The model first: who uploads in another's name should hear that, and not of a lease.
        if let Some(owner) = self.row(batch.job)?.job.state.model()
            && owner != batch.model
        {
            let reason = format!(
                "belongs to model {}, not to {}",
                self.model(owner)?.profile.name,
                self.model(batch.model)?.profile.name
            );
            return Err(StoreError::conflict("job", batch.job, reason));
        }
        let (model_id, lease) = self.proven(batch.job, batch.worker.as_ref(), batch.token)?;
        let until = lease.until.max(after(self.now, extend_to));
        self.extend(batch.job, until)?;
        let mut stored = Vec::with_capacity(batch.items.len());
        for content in &batch.items {
            self.artifacts += 1;
            let (id, created_at) = (ArtifactId(self.artifacts), self.now);
            let row = self.row_mut(batch.job)?;
            let artifact = Artifact {
                id,
                job_id: batch.job,
                attempt: row.job.attempt,
                model_id,
                content: content.clone(),
                created_at,
            };
            row.artifacts.push(artifact.clone());
            let details = json!({ "artifact_id": id, "artifact_type": content.kind });
            self.record(batch.job, Actor::worker(&lease.worker), Action::ArtifactStored, details)?;
            stored.push(artifact);
        }
        Ok(stored)
    }

    fn judge(&mut self, judgement: &Judgement) -> Result<RunId, StoreError> {
        let run = &judgement.run;
        let job = &self.row(run.job_id)?.job;
        let status = job.state.status();
        if status != JobStatus::Submitted {
            return Err(StoreError::conflict("job", run.job_id, format!("is {status} and not SUBMITTED")));
        }
        if job.attempt != run.attempt {
            let reason = format!("is at attempt {}, the run is of attempt {}", job.attempt, run.attempt);
            return Err(StoreError::conflict("job", run.job_id, reason));
        }
        if job.state.model() != Some(run.model_id) {
            return Err(StoreError::conflict("job", run.job_id, "is of another model than the run"));
        }
        let attempts_left = job.has_attempts_left();
        self.model(run.model_id)?;
        let id = RunId(i64::try_from(self.runs.len()).unwrap_or(i64::MAX - 1) + 1);
        self.runs_by_job.entry(run.job_id).or_default().push(self.runs.len());
        self.runs.push(ModelRun { id, run: run.clone(), created_at: self.now });
        if run.counts {
            let day = (self.now.date_naive(), run.model_id);
            self.daily.entry(day).or_insert(ModelStats::none(run.model_id)).add(run);
        }
        let day = (self.now.date_naive(), run.model_id, run.project_id);
        self.spending.entry(day).or_insert(Spending::none(run.model_id, run.project_id)).add(run);
        let scored = json!({ "run_id": id, "score": run.score, "attainable": run.attainable, "success": run.success });
        self.record(run.job_id, Actor::accountant(), Action::RunScored, scored)?;
        if judgement.tests_failed {
            self.record(run.job_id, Actor::accountant(), Action::TestFailed, json!({ "run_id": id }))?;
        }
        self.conclude(judgement, attempts_left)?;
        Ok(id)
    }

    fn conclude(&mut self, Judgement { run, next, .. }: &Judgement, attempts_left: bool) -> Result<(), StoreError> {
        let model = self.model_name(Some(run.model_id));
        let (state, action, details) = match next {
            Next::Validate => {
                let state = JobState::Validated { model: run.model_id, score: run.score };
                (state, Action::JobValidated, json!({ "score": run.score }))
            }
            Next::Retry { reason } if attempts_left => {
                (JobState::Queued, Action::JobRequeued, json!({ "reason": reason, "model": model }))
            }
            Next::Retry { reason } | Next::Fail { reason } => {
                let state = JobState::Failed { model: Some(run.model_id), reason: reason.clone() };
                (state, Action::JobFailed, json!({ "reason": reason, "model": model }))
            }
        };
        if let Next::Retry { reason } | Next::Fail { reason } = next {
            self.row_mut(run.job_id)?.job.last_error = Some(reason.clone());
        }
        self.advance(run.job_id, state, Actor::accountant(), action, details)
    }

    fn stats_since(&self, since: DateTime<Utc>) -> Vec<ModelStats> {
        let mut sums: BTreeMap<ModelId, ModelStats> = BTreeMap::new();
        for ((_, model), day) in self.daily.range((since.date_naive(), ModelId(i32::MIN))..) {
            let sum = sums.entry(*model).or_insert(ModelStats::none(*model));
            sum.runs += day.runs;
            sum.successes += day.successes;
            sum.sum_score += day.sum_score;
            sum.sum_share += day.sum_share;
            sum.sum_share_squared += day.sum_share_squared;
        }
        sums.into_values().collect()
    }

    fn spending_since(&self, since: DateTime<Utc>) -> Vec<Spending> {
        let mut sums: BTreeMap<(ModelId, ProjectId), Spending> = BTreeMap::new();
        let first = (since.date_naive(), ModelId(i32::MIN), ProjectId(i32::MIN));
        for ((_, model, project), day) in self.spending.range(first..) {
            let sum = sums.entry((*model, *project)).or_insert(Spending::none(*model, *project));
            sum.runs += day.runs;
            sum.input_tokens = sum.input_tokens.saturating_add(day.input_tokens);
            sum.output_tokens = sum.output_tokens.saturating_add(day.output_tokens);
            sum.cost = sum.cost + day.cost;
            sum.uncounted += day.uncounted;
            sum.unpriced += day.unpriced;
        }
        sums.into_values().collect()
    }
}

#[async_trait]
impl RunStore for MemoryStore {
    async fn add_artifacts(
        &self,
        batches: &[ArtifactBatch],
        extend_to: Duration,
    ) -> Result<Each<Vec<Artifact>>, StoreError> {
        Ok(self.verb(|state| batches.iter().map(|batch| state.add_artifacts(batch, extend_to)).collect()))
    }

    async fn artifacts(&self, job: JobId) -> Result<Vec<Artifact>, StoreError> {
        Ok(self.lock().jobs.get(&job).map(|row| row.artifacts.clone()).unwrap_or_default())
    }

    async fn judge(&self, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
        Ok(self.verb(|state| judgements.iter().map(|judgement| state.judge(judgement)).collect()))
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<ModelRun>, StoreError> {
        let state = self.lock();
        let fits = |run: &&ModelRun| {
            filter.job.is_none_or(|job| run.run.job_id == job)
                && filter.model.is_none_or(|model| run.run.model_id == model)
                && filter.before.is_none_or(|before| run.id < before)
        };
        let limit = filter.limit as usize;
        Ok(match filter.job {
            Some(job) => {
                let places = state.runs_by_job.get(&job).map(Vec::as_slice).unwrap_or_default();
                let runs = places.iter().rev().filter_map(|place| state.runs.get(*place));
                runs.filter(fits).take(limit).cloned().collect()
            }
            None => state.runs.iter().rev().filter(fits).take(limit).cloned().collect(),
        })
    }

    async fn stats(&self, since: DateTime<Utc>) -> Result<Vec<ModelStats>, StoreError> {
        Ok(self.lock().stats_since(since))
    }

    async fn spending(&self, since: DateTime<Utc>) -> Result<Vec<Spending>, StoreError> {
        Ok(self.lock().spending_since(since))
    }
}
