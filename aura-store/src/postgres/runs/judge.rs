//! Judging: submitted attempts get their runs, and the jobs go where the runs send them.

use std::collections::{BTreeMap, HashMap, HashSet};

use aura_core::{
    Action, Actor, Confidence, EvidenceStrength, Job, JobId, JobState, JobStatus, ModelId, NewRun, PrdId, RunId,
    StoreError, Usd,
    contract::store::{Each, Judgement, Next},
};
use serde_json::json;

use super::super::{
    Core,
    marks::Scan,
    row::{Named, each},
    value,
    write::{Answers, Write, again},
};
use crate::facts::{About, facts};

pub(in crate::postgres) async fn judge(core: &Core, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
    again(|| judge_once(core, judgements)).await
}

/// A judgement that is taken, and where its job went.
struct Taken<'j> {
    judgement: &'j Judgement,
    about: About,
    status: JobStatus,
}

/// By their places among the judgements.
type AllTaken<'j> = BTreeMap<usize, Taken<'j>>;

async fn judge_once(core: &Core, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
    let mut write = core.write("store runs").await?;
    let mut answers = Answers::of(judgements.len());
    let taken = move_on(&mut write, judgements).await?;
    if !taken.is_empty() {
        let runs = insert(&mut write, &taken).await?;
        let names = write.names_of(taken.values().map(|taken| taken.judgement.run.model_id)).await?;
        for ((item, taken), id) in taken.iter().zip(runs) {
            leave_trail(&mut write, taken, id, &names);
            answers.set(*item, Ok(id));
        }
    }
    refuse(&mut write, judgements, &taken, &mut answers).await?;
    write.commit().await?;
    answers.all()
}

/// Whether a job is to be tried again, and has an attempt left.
macro_rules! again {
    () => {
        "(next.status = 'QUEUED' AND jobs.attempt < jobs.max_attempts)"
    };
}

/// Moves the jobs whose runs are of the attempt that was handed in and has no run yet. Of several runs of one job the first one
/// counts.
async fn move_on<'j>(write: &mut Write<'_>, judgements: &'j [Judgement]) -> Result<AllTaken<'j>, StoreError> {
    let (mut items, mut jobs, mut attempts, mut models) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut statuses, mut reasons, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (item, Judgement { run, next, .. }) in (0_i64..).zip(judgements) {
        if !seen.insert(run.job_id) {
            continue;
        }
        items.push(item);
        jobs.push(run.job_id.as_uuid());
        attempts.push(i32::try_from(run.attempt).unwrap_or(i32::MAX));
        models.push(run.model_id.0);
        scores.push(run.score.get());
        statuses.push(match next {
            Next::Validate => JobStatus::Validated.as_str(),
            Next::Retry { .. } => JobStatus::Queued.as_str(),
            Next::Fail { .. } => JobStatus::Failed.as_str(),
        });
        reasons.push(reason_of(next).map(|reason| value::text(reason).into_owned()));
    }
    let query = sqlx::query(concat!(
        "WITH moved AS (
             UPDATE jobs SET updated_at = $8, probe = false, not_before = NULL,
                 status = CASE WHEN next.status = 'VALIDATED' THEN 'VALIDATED' WHEN ",
        again!(),
        " THEN 'QUEUED' ELSE 'FAILED' END,
                 last_error = coalesce(next.why, last_error),
                 score = CASE WHEN next.status = 'VALIDATED' THEN next.score END,
                 reason = CASE WHEN next.status <> 'VALIDATED' AND NOT ",
        again!(),
        " THEN next.why END,
                 tried = CASE WHEN ",
        again!(),
        " AND (assigned_model = ANY (tried)) IS NOT TRUE THEN tried || assigned_model ELSE tried END,
                 leases = CASE WHEN ",
        again!(),
        " THEN leases || lease_token ELSE leases END,
                 assigned_model = CASE WHEN ",
        again!(),
        " THEN NULL ELSE assigned_model END,
                 report_worker = CASE WHEN ",
        again!(),
        " THEN worker_id END,
                 worker_id = CASE WHEN ",
        again!(),
        " THEN NULL ELSE worker_id END
             FROM (SELECT unnest($1::bigint[]) AS item, unnest($2::uuid[]) AS job, unnest($3::int[]) AS attempt,
                       unnest($4::int[]) AS model, unnest($5::text[]) AS status, unnest($6::text[]) AS why,
                       unnest($7::float8[]) AS score ORDER BY job) AS next
             WHERE jobs.id = next.job AND jobs.status = 'SUBMITTED' AND jobs.attempt = next.attempt
                 AND jobs.assigned_model = next.model
                 AND NOT EXISTS (SELECT 1 FROM model_runs
                                 WHERE model_runs.job_id = jobs.id AND model_runs.attempt = next.attempt OFFSET 0)
             RETURNING jobs.id, next.item, jobs.seq, jobs.prd_id, jobs.attempt, jobs.status, jobs.assigned_model
         ), ended AS (
             INSERT INTO ended_jobs (status, seq, model, job)
             SELECT status, seq, assigned_model, id FROM moved WHERE status <> 'QUEUED'
         ), there AS (
             INSERT INTO queue (model, seq, job, since) SELECT 0, seq, id, $8 FROM moved WHERE status = 'QUEUED'
         )
         SELECT id, item, seq, prd_id, attempt, status FROM moved",
    ));
    let query = query.bind(items).bind(jobs).bind(attempts).bind(models).bind(statuses).bind(reasons).bind(scores);
    let mut taken = AllTaken::new();
    for row in write.rows(query.bind(write.now)).await? {
        let named = Named::new("job", &row);
        let (item, status): (usize, _) = (named.number("item")?, named.parsed("status")?);
        let prd = PrdId::from_uuid(named.get("prd_id")?);
        let about = About { job: JobId::from_uuid(named.get("id")?), prd, attempt: named.small("attempt")? };
        if status == JobStatus::Queued {
            write.back(Scan::QUEUED, named.get("seq")?);
        }
        if let Some(judgement) = judgements.get(item) {
            taken.insert(item, Taken { judgement, about, status });
        }
    }
    Ok(taken)
}

const fn reason_of(next: &Next) -> Option<&String> {
    match next {
        Next::Validate => None,
        Next::Retry { reason } | Next::Fail { reason } => Some(reason),
    }
}

/// Says of the judgements that are not taken why not.
async fn refuse(
    write: &mut Write<'_>,
    judgements: &[Judgement],
    taken: &AllTaken<'_>,
    answers: &mut Answers<RunId>,
) -> Result<(), StoreError> {
    let missing = answers.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let refused = || missing.iter().filter_map(|item| Some((*item, &judgements.get(*item)?.run)));
    let judged: HashSet<JobId> = taken.values().map(|taken| taken.about.job).collect();
    let jobs = write.lock_jobs(refused().map(|(_, run)| run.job_id)).await?;
    for (item, run) in refused() {
        let conflict = |why: String| StoreError::conflict("job", run.job_id, why);
        let why = match jobs.get(&run.job_id) {
            None => StoreError::not_found("job", run.job_id),
            Some(_) if judged.contains(&run.job_id) => conflict("was judged by the judgement before".to_owned()),
            Some(job) => conflict(why_not(job, run)),
        };
        answers.set(item, Err(why));
    }
    Ok(())
}

/// Why a run is not of the attempt that was handed in.
fn why_not(job: &Job, run: &NewRun) -> String {
    match job.state {
        JobState::Submitted { .. } if job.attempt != run.attempt => {
            format!("is at attempt {}: attempt {} cannot be scored any more", job.attempt, run.attempt)
        }
        JobState::Submitted { model, .. } if model != run.model_id => {
            format!("was done by model {model}, not by model {}", run.model_id)
        }
        JobState::Submitted { .. } => format!("attempt {} has its score already", run.attempt),
        ref state => format!("is {}: only a job that is SUBMITTED can be scored", state.status()),
    }
}

/// Stores the runs; answers with their numbers, in their order. The day's sums are kept by a trigger. Fractions travel as text:
/// PostgreSQL would round a float to 15 digits on its way to `numeric`.
async fn insert(write: &mut Write<'_>, taken: &AllTaken<'_>) -> Result<Vec<RunId>, StoreError> {
    let count = |tokens: Option<u64>| tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
    let (mut models, mut jobs, mut projects, mut successes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut confidences, mut scores, mut details, mut attempts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut attainable, mut strengths, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut input, mut cached, mut output, mut costs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for NewRun { model_id, job_id, attempt, project_id, success, confidence, score, usage, .. } in
        taken.values().map(|taken| &taken.judgement.run)
    {
        models.push(model_id.0);
        jobs.push(job_id.as_uuid());
        projects.push(project_id.0);
        successes.push(*success);
        confidences.push(confidence.map(Confidence::get).map(|confidence| confidence.to_string()));
        scores.push(score.get().to_string());
        attempts.push(i32::try_from(*attempt).unwrap_or(i32::MAX));
        input.push(count(usage.input_tokens));
        cached.push(count(usage.cached_input_tokens));
        output.push(count(usage.output_tokens));
    }
    for run in taken.values().map(|taken| &taken.judgement.run) {
        details.push(value::json_text(&run.details));
        attainable.push(run.attainable.get());
        strengths.push(run.strength.map(EvidenceStrength::as_str));
        counts.push(run.counts);
        costs.push(count(run.cost.map(Usd::nanos)));
    }
    let query = sqlx::query(
        "INSERT INTO model_runs (model_id, job_id, project_id, success, confidence, score, details, created_at, attempt,
             attainable, strength, counts, input_tokens, output_tokens, cached_input_tokens, cost_nanos)
         SELECT model, job, project, success, confidence::numeric, score::numeric, details::jsonb, $16, attempt, attainable,
             strength, counts, input, output, cached, cost
         FROM (SELECT unnest($1::int[]) AS model, unnest($2::uuid[]) AS job, unnest($3::int[]) AS project,
                   unnest($4::boolean[]) AS success, unnest($5::text[]) AS confidence, unnest($6::text[]) AS score,
                   unnest($7::text[]) AS details, unnest($8::int[]) AS attempt, unnest($9::float8[]) AS attainable,
                   unnest($10::text[]) AS strength, unnest($11::boolean[]) AS counts, unnest($12::bigint[]) AS input,
                   unnest($13::bigint[]) AS output, unnest($14::bigint[]) AS cached, unnest($15::bigint[]) AS cost) AS new
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
        .bind(cached)
        .bind(costs)
        .bind(write.now);
    let mut ids = each(&write.rows(query).await?, |row| Named::new("run", row).get("id").map(RunId))?;
    ids.sort_unstable();
    Ok(ids)
}

fn leave_trail(write: &mut Write<'_>, taken: &Taken<'_>, id: RunId, names: &HashMap<ModelId, String>) {
    let Taken { judgement, about, status } = *taken;
    let (run, reason) = (&judgement.run, reason_of(&judgement.next));
    let name = names.get(&run.model_id).map(String::as_str);
    write.moves.moved_and_entered(about.job, JobStatus::Submitted, status, None);
    let accountant = Actor::accountant();
    let mut both = |action, more| write.trail.both(&accountant, about.job, action, facts(about, name, more));
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
