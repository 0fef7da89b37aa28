//! Judging: submitted attempts get their runs, and the jobs go where the runs send them.

use std::collections::{HashMap, HashSet};

use aura_core::{
    Action, Actor, Confidence, EvidenceStrength, Job, JobState, JobStatus, ModelId, NewRun, RunId, StoreError,
    contract::store::{Each, Judgement, Next},
};
use serde_json::json;
use uuid::Uuid;

use super::super::{
    Core,
    row::{Named, each},
    value,
    write::{Answers, Write, again},
};
use crate::facts::facts;

pub(in crate::postgres) async fn judge(core: &Core, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
    again(|| judge_once(core, judgements)).await
}

/// A judgement that is taken, with the job as it was.
struct Taken<'j> {
    item: usize,
    judgement: &'j Judgement,
    job: Job,
    status: JobStatus,
    reason: Option<&'j str>,
}

async fn judge_once(core: &Core, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
    let mut write = core.write("store runs").await?;
    let mut jobs = write.lock_jobs(judgements.iter().map(|judgement| judgement.run.job_id)).await?;
    let scored = scored(&mut write, judgements).await?;
    let mut answers = Answers::of(judgements.len());
    let mut taken = Vec::with_capacity(judgements.len());
    for (item, judgement) in judgements.iter().enumerate() {
        let run = &judgement.run;
        if let Err(error) = check(jobs.get(&run.job_id), run, &scored) {
            answers.set(item, Err(error));
            continue;
        }
        // Taken out: the same job again in this batch comes too late.
        let Some(job) = jobs.remove(&run.job_id) else { continue };
        let (status, reason) = match &judgement.next {
            Next::Validate => (JobStatus::Validated, None),
            Next::Retry { reason } if job.has_attempts_left() => (JobStatus::Queued, Some(reason.as_str())),
            Next::Retry { reason } | Next::Fail { reason } => (JobStatus::Failed, Some(reason.as_str())),
        };
        taken.push(Taken { item, judgement, job, status, reason });
    }
    for item in answers.missing() {
        if let (Some(judgement), false) = (judgements.get(item), taken.iter().any(|taken| taken.item == item)) {
            let job = judgement.run.job_id;
            answers.set(item, Err(StoreError::conflict("job", job, "was judged by the judgement before")));
        }
    }
    if !taken.is_empty() {
        move_on(&mut write, &taken).await?;
        let runs = insert(&mut write, &taken).await?;
        let names = write.names_of(taken.iter().map(|taken| taken.judgement.run.model_id)).await?;
        for (taken, id) in taken.iter().zip(runs) {
            leave_trail(&mut write, taken, id, &names);
            answers.set(taken.item, Ok(id));
        }
    }
    write.commit().await?;
    answers.all()
}

/// Which attempts have a run already.
async fn scored(write: &mut Write<'_>, judgements: &[Judgement]) -> Result<HashSet<(Uuid, u32)>, StoreError> {
    let jobs: Vec<Uuid> = judgements.iter().map(|judgement| judgement.run.job_id.as_uuid()).collect();
    let query =
        sqlx::query("SELECT job_id AS id, attempt FROM model_runs WHERE job_id = ANY($1) AND attempt IS NOT NULL");
    let scored = each(&write.rows(query.bind(jobs)).await?, |row| {
        let named = Named::new("run of job", row);
        Ok((named.get("id")?, named.small("attempt")?))
    })?;
    Ok(scored.into_iter().collect())
}

/// Refuses a run that is not of the attempt that was handed in.
fn check(job: Option<&Job>, run: &NewRun, scored: &HashSet<(Uuid, u32)>) -> Result<(), StoreError> {
    let Some(job) = job else { return Err(StoreError::not_found("job", run.job_id)) };
    let refuse = |reason: String| Err(StoreError::conflict("job", job.id, reason));
    let JobState::Submitted { model, .. } = job.state else {
        return refuse(format!("is {}: only a job that is SUBMITTED can be scored", job.state.status()));
    };
    if job.attempt != run.attempt {
        return refuse(format!("is at attempt {}: attempt {} cannot be scored any more", job.attempt, run.attempt));
    }
    if model != run.model_id {
        return refuse(format!("was done by model {model}, not by model {}", run.model_id));
    }
    if scored.contains(&(run.job_id.as_uuid(), run.attempt)) {
        return refuse(format!("attempt {} has its score already", run.attempt));
    }
    Ok(())
}

async fn move_on(write: &mut Write<'_>, taken: &[Taken<'_>]) -> Result<(), StoreError> {
    let (mut jobs, mut statuses, mut reasons, mut scores) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Taken { judgement, status, reason, .. } in taken {
        jobs.push(judgement.run.job_id.as_uuid());
        statuses.push(status.as_str());
        reasons.push(reason.map(|reason| value::text(reason).into_owned()));
        scores.push(judgement.run.score.get());
    }
    let query = sqlx::query(
        "WITH moved AS (
             UPDATE jobs SET status = next.status, updated_at = $5, probe = false, not_before = NULL,
                 last_error = coalesce(next.why, last_error),
                 score = CASE WHEN next.status = 'VALIDATED' THEN next.score END,
                 reason = CASE WHEN next.status = 'FAILED' THEN next.why END,
                 tried = CASE WHEN next.status = 'QUEUED' AND (assigned_model = ANY (tried)) IS NOT TRUE THEN tried || assigned_model
                              ELSE tried END,
                 leases = CASE WHEN next.status = 'QUEUED' THEN leases || lease_token ELSE leases END,
                 assigned_model = CASE WHEN next.status = 'QUEUED' THEN NULL ELSE assigned_model END,
                 report_worker = CASE WHEN next.status = 'QUEUED' THEN worker_id END,
                 worker_id = CASE WHEN next.status = 'QUEUED' THEN NULL ELSE worker_id END
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::float8[]) AS next (job, status, why, score)
             WHERE jobs.id = next.job AND jobs.status = 'SUBMITTED'
             RETURNING jobs.id, jobs.seq, jobs.status
         ), there AS (
             INSERT INTO queue (model, seq, job, since) SELECT 0, seq, id, $5 FROM moved WHERE status = 'QUEUED'
         )
         SELECT 0 AS model, min(seq) AS seq FROM moved WHERE status = 'QUEUED' HAVING count(*) > 0",
    );
    write.run_back(query.bind(jobs).bind(statuses).bind(reasons).bind(scores).bind(write.now)).await
}

/// Stores the runs; answers with their numbers, in their order. The day's sums are kept by a trigger. Fractions travel as text:
/// PostgreSQL would round a float to 15 digits on its way to `numeric`.
async fn insert(write: &mut Write<'_>, taken: &[Taken<'_>]) -> Result<Vec<RunId>, StoreError> {
    let count = |tokens: Option<u64>| tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
    let (mut models, mut jobs, mut projects, mut successes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut confidences, mut scores, mut details, mut attempts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut attainable, mut strengths, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for NewRun { model_id, job_id, attempt, project_id, success, confidence, score, usage, .. } in
        taken.iter().map(|taken| &taken.judgement.run)
    {
        models.push(model_id.0);
        jobs.push(job_id.as_uuid());
        projects.push(project_id.0);
        successes.push(*success);
        confidences.push(confidence.map(Confidence::get).map(|confidence| confidence.to_string()));
        scores.push(score.get().to_string());
        attempts.push(i32::try_from(*attempt).unwrap_or(i32::MAX));
        input.push(count(usage.input_tokens));
        output.push(count(usage.output_tokens));
    }
    for run in taken.iter().map(|taken| &taken.judgement.run) {
        details.push(value::json_text(&run.details));
        attainable.push(run.attainable.get());
        strengths.push(run.strength.map(EvidenceStrength::as_str));
        counts.push(run.counts);
    }
    let query = sqlx::query(
        "INSERT INTO model_runs (model_id, job_id, project_id, success, confidence, score, details, created_at, attempt,
             attainable, strength, counts, input_tokens, output_tokens)
         SELECT model, job, project, success, confidence::numeric, score::numeric, details::jsonb, $14, attempt, attainable,
             strength, counts, input, output
         FROM unnest($1::int[], $2::uuid[], $3::int[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::int[],
                     $9::float8[], $10::text[], $11::boolean[], $12::bigint[], $13::bigint[])
             AS new (model, job, project, success, confidence, score, details, attempt, attainable, strength, counts, input,
                     output)
         RETURNING id",
    );
    let query = query
        .bind(models)
        .bind(jobs)
        .bind(projects)
        .bind(successes)
        .bind(confidences)
        .bind(scores)
        .bind(details)
        .bind(attempts)
        .bind(attainable)
        .bind(strengths)
        .bind(counts)
        .bind(input)
        .bind(output)
        .bind(write.now);
    let mut ids = each(&write.rows(query).await?, |row| Named::new("run", row).get("id").map(RunId))?;
    ids.sort_unstable();
    Ok(ids)
}

fn leave_trail(write: &mut Write<'_>, taken: &Taken<'_>, id: RunId, names: &HashMap<ModelId, String>) {
    let Taken { judgement, job, status, reason, .. } = taken;
    let run = &judgement.run;
    let name = names.get(&run.model_id).map(String::as_str);
    write.moves.moved(job.id, JobStatus::Submitted, *status, None);
    let accountant = Actor::accountant();
    let mut both = |action, more| write.trail.both(&accountant, job.id, action, facts(job, name, more));
    let scored = json!({ "run_id": id, "score": run.score, "attainable": run.attainable, "success": run.success,
                         "strength": run.strength });
    both(Action::RunScored, scored);
    if judgement.tests_failed {
        both(Action::TestFailed, json!({ "run_id": id }));
    }
    match status {
        JobStatus::Validated => both(Action::JobValidated, json!({ "score": run.score })),
        JobStatus::Queued => both(Action::JobRequeued, json!({ "reason": reason })),
        _ => both(Action::JobFailed, json!({ "reason": reason })),
    }
}
