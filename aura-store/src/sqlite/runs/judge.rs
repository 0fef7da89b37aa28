//! Judging: a submitted attempt gets its run, and the job goes where the run sends it.

use aura_core::{
    Action, Actor, EvidenceStrength, Job, JobState, JobStatus, NewRun, RunId, StoreError,
    contract::store::{Each, Judgement, Next},
};
use serde_json::json;

use super::super::{
    SqliteStore,
    row::Named,
    write::{Write, answer},
};
use crate::facts::facts;

pub(super) async fn judge(store: &SqliteStore, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
    let mut write = store.write("store runs").await?;
    let mut answers = Vec::with_capacity(judgements.len());
    for judgement in judgements {
        answer(judge_one(&mut write, judgement).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn judge_one(write: &mut Write<'_>, judgement: &Judgement) -> Result<RunId, StoreError> {
    let run = &judgement.run;
    let job = write.job(run.job_id).await?;
    check(write, &job, run).await?;
    let (status, reason) = match &judgement.next {
        Next::Validate => (JobStatus::Validated, None),
        Next::Retry { reason } if job.has_attempts_left() => (JobStatus::Queued, Some(reason.as_str())),
        Next::Retry { reason } | Next::Fail { reason } => (JobStatus::Failed, Some(reason.as_str())),
    };
    if !move_on(write, &job, run, status, reason).await? {
        return Err(not_submitted(&job));
    }
    let id = insert(write, run).await?;
    let name = write.name_of(Some(run.model_id)).await?;
    let accountant = Actor::accountant();
    let scored = json!({ "run_id": id, "score": run.score, "attainable": run.attainable, "success": run.success,
                         "strength": run.strength });
    write.trail.both(&accountant, job.id, Action::RunScored, facts(&job, name.as_deref(), scored));
    if judgement.tests_failed {
        write.trail.both(
            &accountant,
            job.id,
            Action::TestFailed,
            facts(&job, name.as_deref(), json!({ "run_id": id })),
        );
    }
    let (action, more) = match status {
        JobStatus::Validated => (Action::JobValidated, json!({ "score": run.score })),
        JobStatus::Queued => (Action::JobRequeued, json!({ "reason": reason })),
        _ => (Action::JobFailed, json!({ "reason": reason })),
    };
    write.trail.both(&accountant, job.id, action, facts(&job, name.as_deref(), more));
    Ok(id)
}

/// Refuses a run that is not of the attempt that was handed in.
async fn check(write: &mut Write<'_>, job: &Job, run: &NewRun) -> Result<(), StoreError> {
    let JobState::Submitted { model, .. } = job.state else {
        return Err(not_submitted(job));
    };
    let refuse = |reason: String| Err(StoreError::conflict("job", job.id, reason));
    if job.attempt != run.attempt {
        return refuse(format!("is at attempt {}: attempt {} cannot be scored any more", job.attempt, run.attempt));
    }
    if model != run.model_id {
        return refuse(format!("was done by model {model}, not by model {}", run.model_id));
    }
    let query = sqlx::query("SELECT id FROM model_runs WHERE job_id = ? AND attempt = ?");
    if write.row(query.bind(job.id.to_string()).bind(run.attempt)).await?.is_some() {
        return refuse(format!("attempt {} has its score already", run.attempt));
    }
    Ok(())
}

fn not_submitted(job: &Job) -> StoreError {
    let status = job.state.status();
    StoreError::conflict("job", job.id, format!("is {status}: only a job that is SUBMITTED can be scored"))
}

async fn move_on(
    write: &mut Write<'_>,
    job: &Job,
    run: &NewRun,
    status: JobStatus,
    reason: Option<&str>,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE jobs SET status = ?1, updated_at = ?2, probe = 0, not_before = NULL, last_error = coalesce(?3, last_error),
             score = iif(?1 = 'VALIDATED', ?4, NULL), reason = iif(?1 = 'FAILED', ?3, NULL),
             assigned_model = iif(?1 = 'QUEUED', NULL, assigned_model), worker_id = iif(?1 = 'QUEUED', NULL, worker_id)
         WHERE id = ?5 AND status = 'SUBMITTED' AND attempt = ?6",
    );
    let query = query
        .bind(status.as_str())
        .bind(write.now_text())
        .bind(reason.map(str::to_owned))
        .bind(run.score.get())
        .bind(job.id.to_string())
        .bind(run.attempt);
    Ok(write.run(query).await? > 0)
}

/// The day's sums are kept by a trigger.
async fn insert(write: &mut Write<'_>, run: &NewRun) -> Result<RunId, StoreError> {
    let count = |tokens: Option<u64>| tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
    let query = sqlx::query(
        "INSERT INTO model_runs (model_id, job_id, project_id, success, confidence, score, details, created_at, attempt,
             attainable, strength, counts, input_tokens, cached_input_tokens, output_tokens, cost_nanos)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    );
    let query = query
        .bind(run.model_id.0)
        .bind(run.job_id.to_string())
        .bind(run.project_id.0)
        .bind(run.success)
        .bind(run.confidence.map(aura_core::Confidence::get))
        .bind(run.score.get())
        .bind(run.details.to_string())
        .bind(write.now_text())
        .bind(run.attempt)
        .bind(run.attainable.get())
        .bind(run.strength.map(EvidenceStrength::as_str))
        .bind(run.counts)
        .bind(count(run.usage.input_tokens))
        .bind(count(run.usage.cached_input_tokens))
        .bind(count(run.usage.output_tokens))
        .bind(count(run.cost.map(aura_core::Usd::nanos)));
    let row = write.row(query).await?;
    let row = row.ok_or_else(|| StoreError::corrupt("job", run.job_id, "its run got no number"))?;
    Named::new("run", &row).get("id").map(RunId)
}
