//! Claiming: workers take assigned jobs under fresh leases.

use std::collections::{BTreeMap, HashMap};

use aura_core::{
    Action, Actor, Job, JobId, JobState, JobStatus, Lease, Prd, PrdId, StoreError,
    contract::store::{Claim, ClaimedJob, Each, Wanted},
    job::FencingToken,
};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Core,
        marks::Scan,
        row::{Named, each},
        value,
        write::{Statement, Write, again},
    },
    list::uuids,
    record::{self, claimed_columns, door_word, job_columns},
};
use crate::facts::{facts_of_all, groups};

const ACTION: &str = "claim jobs";

/// Claims for many workers in one transaction. Jobs that another transaction is claiming are passed over.
pub(super) async fn claim_any(core: &Core, claims: &[Claim]) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let groups = by_models(claims);
    // Most idle workers find nothing: it is not worth a transaction.
    let models = models_of(&groups);
    let mut marks = Vec::with_capacity(models.len());
    for model in &models {
        marks.push(core.mark(Scan::Queue(*model)).await?);
    }
    // Each is asked, and not only until one says yes: what is claimed now is no news to the next one.
    let is_told = models.iter().filter(|model| core.marks.news(Scan::Queue(**model))).count() > 0;
    if !is_told && core.row(ACTION, oldest_assigned(&models, &marks)).await?.is_none() {
        return Ok(claims.iter().map(|_| Ok(Vec::new())).collect());
    }
    let begin = marks.into_iter().min().unwrap_or_default();
    again(|| claim_once(core, claims, &groups, begin)).await
}

/// Claims this very job.
pub(super) async fn claim_job(core: &Core, claim: &Claim, id: JobId) -> Result<Vec<ClaimedJob>, StoreError> {
    again(|| claim_job_once(core, claim, id)).await
}

pub(super) fn models_of(groups: &BTreeMap<Vec<i32>, Vec<usize>>) -> Vec<i32> {
    let mut models: Vec<i32> = groups.keys().flatten().copied().collect();
    models.sort_unstable();
    models.dedup();
    models
}

/// Claims that want jobs of the same models are served by one statement.
pub(super) fn by_models(claims: &[Claim]) -> BTreeMap<Vec<i32>, Vec<usize>> {
    let mut groups: BTreeMap<Vec<i32>, Vec<usize>> = BTreeMap::new();
    for (item, claim) in claims.iter().enumerate() {
        let Wanted::Any { models, max: 1.. } = &claim.wanted else { continue };
        let mut models: Vec<i32> = models.iter().map(|model| model.0).collect();
        models.sort_unstable();
        models.dedup();
        groups.entry(models).or_default().push(item);
    }
    groups
}

fn oldest_assigned<'q>(models: &[i32], marks: &[i64]) -> Statement<'q> {
    sqlx::query(
        "SELECT wanted.model AS id FROM unnest($1::int[], $2::bigint[]) AS wanted (model, mark)
         WHERE EXISTS (SELECT 1 FROM queue WHERE queue.model = wanted.model AND queue.seq > wanted.mark OFFSET 0) LIMIT 1",
    )
    .bind(models.to_vec())
    .bind(marks.to_vec())
}

/// Claims that are served by one statement.
struct Group<'c> {
    /// Each with its place among all claims.
    claims: Vec<(usize, &'c Claim)>,
    /// For each job that is wanted, which of the claims gets it, from 1.
    slots: Vec<i32>,
}

impl<'c> Group<'c> {
    fn of(claims: &'c [Claim], items: &[usize]) -> Self {
        let claims: Vec<_> = items.iter().filter_map(|&item| Some((item, claims.get(item)?))).collect();
        let slots = (1..).zip(&claims).flat_map(|(claim, (_, Claim { wanted, .. }))| {
            let max = if let Wanted::Any { max, .. } = wanted { *max } else { 0 };
            (0..max).map(move |_| claim)
        });
        Self { slots: slots.collect(), claims }
    }
}

/// What a claim sets, behind a list of jobs `taken (job, worker, door, ends, token)`; `$1` is the moment.
macro_rules! goes_in_progress {
    () => {
        "status = 'IN_PROGRESS', worker_id = taken.worker, door = taken.door, lease_token = taken.token,
             lease_until = taken.ends, claimed_at = $1, updated_at = $1, attempt = attempt + 1, not_before = NULL,
             report = NULL, report_worker = NULL, reported_at = NULL "
    };
}

pub(super) use goes_in_progress;

async fn claim_once(
    core: &Core,
    claims: &[Claim],
    groups: &BTreeMap<Vec<i32>, Vec<usize>>,
    begin: i64,
) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let mut write = core.write(ACTION).await?;
    let taken = within(&mut write, claims, groups, begin).await?;
    commit(write, claims.len(), taken).await
}

/// Claims within a verb that is under way: jobs, each with the claim that gets it.
pub(super) async fn within(
    write: &mut Write<'_>,
    claims: &[Claim],
    groups: &BTreeMap<Vec<i32>, Vec<usize>>,
    begin: i64,
) -> Result<Vec<(usize, Job)>, StoreError> {
    let core = write.core;
    let mut taken = Vec::new();
    for (models, items) in groups {
        let group = Group::of(claims, items);
        let wanted = group.slots.len();
        let from = core.frontier.from(models).max(begin);
        let mut found = take(write, models, &group, 0, from).await?;
        // Behind the frontier there may be jobs that came back; with less found than wanted they are looked for.
        if found.len() < wanted && from > begin {
            let taken = found.len();
            found.extend(take(write, models, &group, taken, begin).await?);
        }
        core.frontier.reached(models, found.iter().map(|(seq, ..)| *seq).max().filter(|_| found.len() == wanted));
        taken.extend(found.into_iter().map(|(_, item, job)| (item, job)));
    }
    leave_trail(write, taken.iter().map(|(claim, job)| (*claim, job))).await?;
    Ok(taken)
}

/// Ends a verb that claimed; answers with what each claim got.
pub(super) async fn commit(
    write: Write<'_>,
    claims: usize,
    taken: Vec<(usize, Job)>,
) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let core = write.core;
    let prds = write.commit_and(prds_of(core, taken.iter().map(|(_, job)| job))).await?;
    let mut answers: Vec<Vec<ClaimedJob>> = std::iter::repeat_with(Vec::new).take(claims).collect();
    for (item, job) in taken {
        if let Some(answer) = answers.get_mut(item) {
            answer.push(with_prd(job, &prds)?);
        }
    }
    Ok(answers.into_iter().map(Ok).collect())
}

/// Takes the oldest jobs of these models whose place is behind `from`, for the claims that are left when the first slots are
/// taken: their places, which claim each is for, and the jobs.
async fn take(
    write: &mut Write<'_>,
    models: &[i32],
    group: &Group<'_>,
    taken: usize,
    from: i64,
) -> Result<Vec<(i64, usize, Job)>, StoreError> {
    let now = write.now;
    let slots = group.slots.get(taken..).unwrap_or_default();
    // Jobs of held models are passed over.
    let query = sqlx::query(concat!(
        "WITH oldest AS (
             SELECT found.place, found.seq FROM models CROSS JOIN LATERAL (
                 SELECT queue.ctid AS place, queue.seq FROM queue WHERE queue.model = models.id AND queue.seq > $7
                 ORDER BY queue.seq LIMIT cardinality($6::int[]) FOR UPDATE SKIP LOCKED
             ) AS found WHERE models.id = ANY($2::int[]) AND models.hold IS NULL
         ), gone AS (
             DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT place FROM oldest ORDER BY seq LIMIT cardinality($6)))
             RETURNING job, seq
         ), tokens AS MATERIALIZED (
             SELECT ARRAY(SELECT nextval('lease_tokens') FROM generate_series(1, cardinality($3::text[]))) AS token
         ), slots AS (
             SELECT job, ($6::int[])[row_number() OVER (ORDER BY seq)] AS claim FROM gone
         ), noted AS (
             INSERT INTO claims (until, jobs) SELECT min(($5::timestamptz[])[claim]), array_agg(job) FROM slots HAVING count(*) > 0
         )
         UPDATE jobs SET ",
        goes_in_progress!(),
        "FROM (SELECT job, claim, ($3::text[])[claim] AS worker, ($4::text[])[claim] AS door,
                   ($5::timestamptz[])[claim] AS ends, tokens.token[claim] AS token FROM slots, tokens OFFSET 0) AS taken
         WHERE jobs.id = taken.job AND jobs.status = 'ASSIGNED' RETURNING taken.claim::bigint AS n, jobs.seq, ",
        claimed_columns!()
    ));
    let query = query
        .bind(now)
        .bind(models.to_vec())
        .bind(group.claims.iter().map(|(_, claim)| claim.worker.as_str()).collect::<Vec<_>>())
        .bind(group.claims.iter().map(|(_, claim)| door_word(claim.door)).collect::<Vec<_>>())
        .bind(group.claims.iter().map(|(_, claim)| value::after(now, claim.lease)).collect::<Vec<_>>())
        .bind(slots)
        .bind(from);
    let mut found = Vec::new();
    for row in write.rows(query).await? {
        let named = Named::new("job", &row);
        let Some((item, claim)) = group.claims.get(record::item(&row)?) else {
            return Err(named.corrupt("n", "is no claim's"));
        };
        found.push((named.get("seq")?, *item, record::claimed(&row, |token| lease(claim, token, now))?));
    }
    found.sort_by_key(|(seq, ..)| *seq);
    Ok(found)
}

/// The lease that a claim gets at this moment.
pub(super) fn lease(claim: &Claim, token: FencingToken, now: DateTime<Utc>) -> Lease {
    let until = value::after(now, claim.lease);
    Lease { worker: claim.worker.clone(), token, until, claimed_at: now, door: claim.door }
}

async fn claim_job_once(core: &Core, claim: &Claim, id: JobId) -> Result<Vec<ClaimedJob>, StoreError> {
    let mut write = core.write(ACTION).await?;
    check(&mut write, id).await?;
    let query = sqlx::query(concat!(
        "WITH gone AS (
             DELETE FROM queue USING jobs WHERE jobs.id = $2 AND queue.model = jobs.assigned_model AND queue.seq = jobs.seq
         ), noted AS (
             INSERT INTO claims (until, jobs) VALUES ($5, ARRAY[$2])
         )
         UPDATE jobs SET ",
        goes_in_progress!(),
        "FROM (SELECT $2::uuid AS job, $3::text AS worker, $4::text AS door, $5::timestamptz AS ends,
                   nextval('lease_tokens') AS token) AS taken
         WHERE jobs.id = taken.job AND jobs.status = 'ASSIGNED' RETURNING ",
        job_columns!()
    ));
    let query = query
        .bind(write.now)
        .bind(id.as_uuid())
        .bind(claim.worker.as_str())
        .bind(door_word(claim.door))
        .bind(value::after(write.now, claim.lease));
    let jobs = each(&write.rows(query).await?, record::job)?;
    leave_trail(&mut write, jobs.iter().map(|job| (0, job))).await?;
    let prds = write.commit_and(prds_of(core, jobs.iter())).await?;
    jobs.into_iter().map(|job| with_prd(job, &prds)).collect()
}

/// Locks the job, or says why it cannot be claimed.
async fn check(write: &mut Write<'_>, id: JobId) -> Result<(), StoreError> {
    write.lock_queue(std::iter::once(id)).await?;
    let Some(job) = write.lock_jobs(std::iter::once(id)).await?.remove(&id) else {
        return Err(StoreError::not_found("job", id));
    };
    let refuse = |reason: String| Err(StoreError::conflict("job", id, reason));
    let model = match &job.state {
        JobState::Assigned { model } => *model,
        JobState::InProgress { lease, .. } => {
            return refuse(format!("worker {} has it until {}", lease.worker, lease.until.to_rfc3339()));
        }
        JobState::Queued => return refuse("waits for a model: it can be claimed once it is ASSIGNED".to_owned()),
        JobState::Submitted { delivery, .. } => {
            return refuse(format!("was handed in by worker {} and waits for its score", delivery.worker));
        }
        state => return refuse(format!("is {}: nothing is left to do", state.status())),
    };
    if !job.has_attempts_left() {
        return refuse("has no attempt left".to_owned());
    }
    let query = sqlx::query("SELECT id, name, hold FROM models WHERE id = $1").bind(model.0);
    let Some(row) = write.row(query).await? else {
        return Err(StoreError::corrupt("job", id, format!("its model {model} is missing")));
    };
    let named = Named::new("model", &row);
    match named.get::<Option<String>>("hold")? {
        Some(hold) => refuse(format!("its model {} is on hold: {hold}", named.get::<String>("name")?)),
        None => Ok(()),
    }
}

/// Leaves an entry for each claim, or for each model, attempt and token within it: what was found behind the frontier has a token
/// of its own.
pub(super) async fn leave_trail(
    write: &mut Write<'_>,
    taken: impl Iterator<Item = (usize, &Job)> + Clone,
) -> Result<(), StoreError> {
    let names = write.names_of(taken.clone().filter_map(|(_, job)| job.state.model())).await?;
    let keyed = taken.filter_map(|(claim, job)| match &job.state {
        JobState::InProgress { model, lease } => Some(((claim, *model, job.attempt, lease.token), (job, lease))),
        _ => None,
    });
    for ((_, model, _, token), claimed) in groups(keyed) {
        let Some((_, lease)) = claimed.first().copied() else { continue };
        let jobs: Vec<&Job> = claimed.iter().map(|(job, _)| *job).collect();
        for job in &jobs {
            write.moves.moved(job.id, JobStatus::Assigned, JobStatus::InProgress, Some(model));
        }
        let more = json!({ "worker": lease.worker, "token": token, "until": lease.until });
        let details = facts_of_all(&jobs, names.get(&model).map(String::as_str), more);
        write.trail.of_claim(&Actor::worker(&lease.worker), &jobs, token, Action::JobClaimed, details);
    }
    Ok(())
}

/// The PRDs of jobs, read after the commit: what was asked for never changes. The subquery hides the array from the planner, which
/// would make a plan anew for each.
async fn prds_of(core: &Core, jobs: impl Iterator<Item = &Job>) -> Result<HashMap<PrdId, Prd>, StoreError> {
    let mut ids: Vec<Uuid> = uuids(jobs.map(|job| job.prd_id));
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = sqlx::query(
        "SELECT id, request, created_at, jobs, (SELECT verdict FROM verdicts WHERE prd_id = prds.id) AS verdict
         FROM prds WHERE id = ANY(ARRAY(SELECT unnest($1::uuid[])))",
    );
    let rows = core.rows(ACTION, query.bind(ids)).await?;
    Ok(each(&rows, record::prd)?.into_iter().map(|prd| (prd.id, prd)).collect())
}

fn with_prd(job: Job, prds: &HashMap<PrdId, Prd>) -> Result<ClaimedJob, StoreError> {
    let prd = prds.get(&job.prd_id).cloned();
    let prd = prd.ok_or_else(|| StoreError::corrupt("job", job.id, "its PRD is missing"))?;
    Ok(ClaimedJob { job, prd })
}
