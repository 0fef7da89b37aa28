//! Claiming: workers take assigned jobs under fresh leases.

use std::collections::{BTreeMap, HashMap};

use aura_core::{
    Action, Actor, Job, JobId, JobState, JobStatus, Prd, PrdId, StoreError,
    contract::store::{Claim, ClaimedJob, Each, Wanted},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Core,
        row::{Named, each},
        value,
        write::{Statement, Write, again},
    },
    list::{PRDS_BY_ID, uuids},
    record::{self, door_word, job_columns},
};
use crate::facts::{facts_of_all, groups};

const ACTION: &str = "claim jobs";

/// Claims for many workers in one transaction. Jobs that another transaction is claiming are passed over.
pub(super) async fn claim_any(core: &Core, claims: &[Claim]) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let groups = by_models(claims);
    // Most idle workers find nothing: it is not worth a transaction.
    let mut models: Vec<i32> = groups.keys().flatten().copied().collect();
    models.sort_unstable();
    models.dedup();
    if core.row(ACTION, oldest_assigned(&models)).await?.is_none() {
        return Ok(claims.iter().map(|_| Ok(Vec::new())).collect());
    }
    let taken = again(|| claim_once(core, claims, &groups)).await?;
    with_prds(core, claims.len(), taken).await
}

/// Claims this very job.
pub(super) async fn claim_job(core: &Core, claim: &Claim, id: JobId) -> Result<Vec<ClaimedJob>, StoreError> {
    let taken = again(|| claim_job_once(core, claim, id)).await?;
    let mut answers = with_prds(core, 1, taken.into_iter().map(|job| (0, job)).collect()).await?;
    answers.pop().unwrap_or_else(|| Ok(Vec::new()))
}

/// Claims that want jobs of the same models are served by one statement.
fn by_models(claims: &[Claim]) -> BTreeMap<Vec<i32>, Vec<usize>> {
    let mut groups: BTreeMap<Vec<i32>, Vec<usize>> = BTreeMap::new();
    for (item, claim) in claims.iter().enumerate() {
        let Wanted::Any { models, .. } = &claim.wanted else { continue };
        let mut models: Vec<i32> = models.iter().map(|model| model.0).collect();
        models.sort_unstable();
        models.dedup();
        groups.entry(models).or_default().push(item);
    }
    groups
}

fn oldest_assigned<'q>(models: &[i32]) -> Statement<'q> {
    sqlx::query(
        "SELECT wanted AS id FROM unnest($1::int[]) AS wanted
         WHERE EXISTS (SELECT 1 FROM queue WHERE model = wanted) LIMIT 1",
    )
    .bind(models.to_vec())
}

/// A place for one job, at a worker.
struct Slots {
    items: Vec<usize>,
    workers: Vec<String>,
    doors: Vec<&'static str>,
    ends: Vec<DateTime<Utc>>,
    /// Which claim it belongs to, from 1: the jobs of a claim share its token.
    claims: Vec<i32>,
}

impl Slots {
    fn of(claims: &[Claim], items: &[usize], now: DateTime<Utc>) -> Self {
        let mut slots =
            Self { items: Vec::new(), workers: Vec::new(), doors: Vec::new(), ends: Vec::new(), claims: Vec::new() };
        for (place, &item) in items.iter().enumerate() {
            let Some(claim) = claims.get(item) else { continue };
            let Wanted::Any { max, .. } = claim.wanted else { continue };
            for _ in 0..max {
                slots.items.push(item);
                slots.workers.push(claim.worker.as_str().to_owned());
                slots.doors.push(door_word(claim.door));
                slots.ends.push(value::after(now, claim.lease));
                slots.claims.push(i32::try_from(place).unwrap_or(i32::MAX).saturating_add(1));
            }
        }
        slots
    }

    /// The places that are left when the first ones are taken.
    fn without(&self, taken: usize) -> Self {
        fn rest<T: Clone>(all: &[T], taken: usize) -> Vec<T> {
            all.get(taken..).unwrap_or_default().to_vec()
        }
        Self {
            items: rest(&self.items, taken),
            workers: rest(&self.workers, taken),
            doors: rest(&self.doors, taken),
            ends: rest(&self.ends, taken),
            claims: rest(&self.claims, taken),
        }
    }
}

/// What a claim sets, behind a list of jobs `taken (job, worker, door, ends, token)`; `$1` is the moment.
macro_rules! take {
    () => {
        "status = 'IN_PROGRESS', worker_id = taken.worker, door = taken.door, lease_token = taken.token,
             lease_until = taken.ends, claimed_at = $1, updated_at = $1, attempt = attempt + 1, not_before = NULL,
             report = NULL, report_worker = NULL, reported_at = NULL "
    };
}

async fn claim_once(
    core: &Core,
    claims: &[Claim],
    groups: &BTreeMap<Vec<i32>, Vec<usize>>,
) -> Result<Vec<(usize, Job)>, StoreError> {
    let mut write = core.write(ACTION).await?;
    let mut taken = Vec::new();
    for (models, items) in groups {
        let slots = Slots::of(claims, items, write.now);
        let wanted = slots.items.len();
        let from = core.frontier.from(models);
        let mut found = take(&mut write, models, &slots, from).await?;
        // Behind the frontier there may be jobs that came back; with less found than wanted they are looked for.
        if found.len() < wanted && from > 0 {
            let rest = slots.without(found.len());
            found.extend(take(&mut write, models, &rest, 0).await?);
        }
        core.frontier.reached(models, found.iter().map(|(seq, ..)| *seq).max().filter(|_| found.len() == wanted));
        taken.extend(found.into_iter().map(|(_, item, job)| (item, job)));
    }
    leave_trail(&mut write, taken.iter().map(|(claim, job)| (*claim, job))).await?;
    write.commit().await?;
    Ok(taken)
}

/// Takes the oldest jobs of these models whose place is behind `from`: their places, which claim each is for, and the jobs.
async fn take(
    write: &mut Write<'_>,
    models: &[i32],
    slots: &Slots,
    from: i64,
) -> Result<Vec<(i64, usize, Job)>, StoreError> {
    let most = i64::try_from(slots.items.len()).unwrap_or(i64::MAX);
    // Jobs of held models are passed over.
    let query = sqlx::query(concat!(
        "WITH oldest AS (
             SELECT found.place, found.seq FROM models CROSS JOIN LATERAL (
                 SELECT queue.ctid AS place, queue.seq FROM queue WHERE queue.model = models.id AND queue.seq > $8
                 ORDER BY queue.seq LIMIT $3 FOR UPDATE SKIP LOCKED
             ) AS found WHERE models.id = ANY($2::int[]) AND models.hold IS NULL
         ), gone AS (
             DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT place FROM oldest ORDER BY seq LIMIT $3))
             RETURNING job, seq
         ), tokens AS MATERIALIZED (
             SELECT ARRAY(SELECT nextval('lease_tokens') FROM generate_series(1, $9::int)) AS token
         ), taken AS (
             SELECT job, ($4::text[])[n] AS worker, ($5::text[])[n] AS door, ($6::timestamptz[])[n] AS ends,
                 tokens.token[($7::int[])[n]] AS token, n
             FROM (SELECT job, row_number() OVER (ORDER BY seq) AS n FROM gone) AS numbered, tokens
         ), noted AS (
             INSERT INTO claims (until, jobs) SELECT min(ends), array_agg(job) FROM taken HAVING count(*) > 0
         )
         UPDATE jobs SET ",
        take!(),
        "FROM taken WHERE jobs.id = taken.job AND jobs.status = 'ASSIGNED' RETURNING taken.n, jobs.seq, ",
        job_columns!()
    ));
    let query = query
        .bind(write.now)
        .bind(models.to_vec())
        .bind(most)
        .bind(slots.workers.clone())
        .bind(slots.doors.clone())
        .bind(slots.ends.clone())
        .bind(slots.claims.clone())
        .bind(from)
        .bind(slots.claims.last().copied().unwrap_or_default());
    let mut rows = each(&write.rows(query).await?, |row| {
        Ok((Named::new("job", row).get::<i64>("seq")?, record::item(row)?, record::job(row)?))
    })?;
    rows.sort_by_key(|(seq, ..)| *seq);
    Ok(rows.into_iter().filter_map(|(seq, slot, job)| Some((seq, *slots.items.get(slot)?, job))).collect())
}

async fn claim_job_once(core: &Core, claim: &Claim, id: JobId) -> Result<Vec<Job>, StoreError> {
    let mut write = core.write(ACTION).await?;
    check(&mut write, id).await?;
    let query = sqlx::query(concat!(
        "WITH gone AS (
             DELETE FROM queue USING jobs WHERE jobs.id = $2 AND queue.model = jobs.assigned_model AND queue.seq = jobs.seq
         ), noted AS (
             INSERT INTO claims (until, jobs) VALUES ($5, ARRAY[$2])
         )
         UPDATE jobs SET ",
        take!(),
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
    write.commit().await?;
    Ok(jobs)
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

/// Leaves an entry for each claim, or for each model and attempt within it.
async fn leave_trail(
    write: &mut Write<'_>,
    taken: impl Iterator<Item = (usize, &Job)> + Clone,
) -> Result<(), StoreError> {
    let names = write.names_of(taken.clone().filter_map(|(_, job)| job.state.model())).await?;
    for ((_, model, _), jobs) in groups(taken.map(|(claim, job)| ((claim, job.state.model(), job.attempt), job))) {
        let Some(JobState::InProgress { lease, .. }) = jobs.first().map(|job| &job.state) else { continue };
        for job in &jobs {
            write.moves.moved(job.id, JobStatus::Assigned, JobStatus::InProgress, model);
        }
        let name = model.and_then(|model| names.get(&model));
        let more = json!({ "worker": lease.worker, "token": lease.token, "until": lease.until });
        let details = facts_of_all(&jobs, name.map(String::as_str), more);
        write.trail.of_claim(&Actor::worker(&lease.worker), &jobs, lease.token, Action::JobClaimed, details);
    }
    Ok(())
}

/// Adds the PRDs, read after the commit: what was asked for never changes.
async fn with_prds(core: &Core, claims: usize, taken: Vec<(usize, Job)>) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let mut ids: Vec<Uuid> = uuids(taken.iter().map(|(_, job)| job.prd_id));
    ids.sort_unstable();
    ids.dedup();
    let mut prds: HashMap<PrdId, Prd> = HashMap::new();
    if !ids.is_empty() {
        let rows = core.rows(ACTION, sqlx::query(PRDS_BY_ID).bind(ids)).await?;
        prds = each(&rows, record::prd)?.into_iter().map(|prd| (prd.id, prd)).collect();
    }
    let mut answers: Vec<Vec<ClaimedJob>> = std::iter::repeat_with(Vec::new).take(claims).collect();
    for (item, job) in taken {
        let prd = prds.get(&job.prd_id).cloned();
        let prd = prd.ok_or_else(|| StoreError::corrupt("job", job.id, "its PRD is missing"))?;
        if let Some(answer) = answers.get_mut(item) {
            answer.push(ClaimedJob { job, prd });
        }
    }
    Ok(answers.into_iter().map(Ok).collect())
}
