//! Claiming: workers take assigned jobs under fresh leases.

use std::collections::{BTreeMap, HashMap};

use aura_core::{
    Action, Actor, Job, JobId, JobState, Prd, PrdId, StoreError,
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
use crate::facts::facts;

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
         WHERE EXISTS (SELECT 1 FROM jobs WHERE status = 'ASSIGNED' AND assigned_model = wanted) LIMIT 1",
    )
    .bind(models.to_vec())
}

/// A place for one job, at a worker.
struct Slots {
    items: Vec<usize>,
    workers: Vec<String>,
    doors: Vec<&'static str>,
    ends: Vec<DateTime<Utc>>,
}

impl Slots {
    fn of(claims: &[Claim], items: &[usize], now: DateTime<Utc>) -> Self {
        let mut slots = Self { items: Vec::new(), workers: Vec::new(), doors: Vec::new(), ends: Vec::new() };
        for &item in items {
            let Some(claim) = claims.get(item) else { continue };
            let Wanted::Any { max, .. } = claim.wanted else { continue };
            for _ in 0..max {
                slots.items.push(item);
                slots.workers.push(claim.worker.as_str().to_owned());
                slots.doors.push(door_word(claim.door));
                slots.ends.push(value::after(now, claim.lease));
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
        }
    }
}

/// What a claim sets, behind a list of jobs `taken (id, worker, door, ends)`; `$1` is the moment.
macro_rules! take {
    () => {
        "status = 'IN_PROGRESS', worker_id = taken.worker, door = taken.door, lease_token = lease_token + 1,
             lease_until = taken.ends, claimed_at = $1, updated_at = $1, attempt = attempt + 1, not_before = NULL,
             tried = CASE WHEN assigned_model = ANY(tried) THEN tried ELSE tried || assigned_model END,
             report = NULL, report_token = NULL, report_worker = NULL, reported_at = NULL "
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
    leave_trail(&mut write, taken.iter().map(|(_, job)| job)).await?;
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
    // Jobs of held models, and rows that no worker could do, are passed over.
    let query = sqlx::query(concat!(
            "WITH oldest AS (
                 SELECT found.id, found.seq FROM models CROSS JOIN LATERAL (
                     SELECT jobs.id, jobs.seq FROM jobs
                     WHERE jobs.status = 'ASSIGNED' AND jobs.assigned_model = models.id AND jobs.attempt < jobs.max_attempts
                       AND jobs.seq > $7 AND EXISTS (SELECT 1 FROM prds WHERE prds.id = jobs.prd_id)
                     ORDER BY jobs.seq LIMIT $3 FOR NO KEY UPDATE OF jobs SKIP LOCKED
                 ) AS found WHERE models.id = ANY($2::int[]) AND models.hold IS NULL
             ), numbered AS (
                 SELECT id, row_number() OVER (ORDER BY seq) AS n FROM oldest ORDER BY seq LIMIT $3
             ), taken AS (
                 SELECT id, ($4::text[])[n] AS worker, ($5::text[])[n] AS door, ($6::timestamptz[])[n] AS ends, n
                 FROM numbered
             )
             UPDATE jobs SET ",
            take!(),
            "FROM taken WHERE jobs.id = taken.id AND jobs.status = 'ASSIGNED' RETURNING taken.n, jobs.seq, ",
            job_columns!()
        ));
    let query = query
        .bind(write.now)
        .bind(models.to_vec())
        .bind(most)
        .bind(slots.workers.clone())
        .bind(slots.doors.clone())
        .bind(slots.ends.clone())
        .bind(from);
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
        "UPDATE jobs SET ",
        take!(),
        "FROM (SELECT $2::uuid AS id, $3::text AS worker, $4::text AS door, $5::timestamptz AS ends) AS taken
         WHERE jobs.id = taken.id AND jobs.status = 'ASSIGNED' RETURNING ",
        job_columns!()
    ));
    let query = query
        .bind(write.now)
        .bind(id.as_uuid())
        .bind(claim.worker.as_str())
        .bind(door_word(claim.door))
        .bind(value::after(write.now, claim.lease));
    let jobs = each(&write.rows(query).await?, record::job)?;
    leave_trail(&mut write, jobs.iter()).await?;
    write.commit().await?;
    Ok(jobs)
}

/// Locks the job, or says why it cannot be claimed.
async fn check(write: &mut Write<'_>, id: JobId) -> Result<(), StoreError> {
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

async fn leave_trail(write: &mut Write<'_>, jobs: impl Iterator<Item = &Job> + Clone) -> Result<(), StoreError> {
    let names = write.names_of(jobs.clone().filter_map(|job| job.state.model())).await?;
    for job in jobs {
        let JobState::InProgress { model, lease } = &job.state else { continue };
        let more = json!({ "worker": lease.worker, "token": lease.token, "until": lease.until });
        let details = facts(job, names.get(model).map(String::as_str), more);
        write.trail.both(&Actor::worker(&lease.worker), job.id, Action::JobClaimed, details);
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
