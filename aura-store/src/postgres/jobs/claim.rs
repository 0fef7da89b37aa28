//! Claiming: workers take assigned jobs under fresh leases.

use std::collections::{BTreeMap, HashMap};

use aura_core::{
    Action, Actor, Job, JobId, JobState, JobStatus, PrdId, StoreError,
    contract::store::{Claim, ClaimedJob, Each, Wanted},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::PgRow;

use super::{
    super::{
        Core,
        join::Turn,
        marks::Scan,
        row::Named,
        value,
        write::{Statement, Write, again},
    },
    list::uuids,
    queue::leave_queue,
    record::{self, claimed_columns, door_word},
};
use crate::facts::{facts_of_all, groups};

const ACTION: &str = "claim jobs";

/// Claims for many workers in one transaction. Jobs that another transaction is claiming are passed over.
pub(super) async fn claim_any(core: &Core, claims: &[Claim], turn: &Turn) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
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
    again(|| claim_once(core, claims, &groups, begin, turn)).await
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
        "SELECT wanted.model AS id FROM unnest((SELECT $1::int[]), (SELECT $2::bigint[])) AS wanted (model, mark)
         WHERE EXISTS (SELECT 1 FROM queue WHERE queue.model = wanted.model AND queue.seq > wanted.mark OFFSET 0) LIMIT 1",
    )
    .bind(models.to_vec())
    .bind(marks.to_vec())
}

/// Claims that are served by one statement.
struct Group<'c> {
    models: &'c [i32],
    /// Each with its place among all claims.
    claims: Vec<(usize, &'c Claim)>,
    /// For each job that is wanted, which of the claims gets it, from 1.
    slots: Vec<i32>,
}

impl<'c> Group<'c> {
    fn of(claims: &'c [Claim], models: &'c [i32], items: &[usize]) -> Self {
        let claims: Vec<_> = items.iter().filter_map(|&item| Some((item, claims.get(item)?))).collect();
        let slots = (1..).zip(&claims).flat_map(|(claim, (_, Claim { wanted, .. }))| {
            let max = if let Wanted::Any { max, .. } = wanted { *max } else { 0 };
            (0..max).map(move |_| claim)
        });
        Self { models, slots: slots.collect(), claims }
    }

    /// Behind which place to look first.
    fn from(&self, core: &Core, begin: i64) -> i64 {
        core.frontier.from(self.models).max(begin)
    }

    /// Takes the oldest jobs behind `from` for these slots.
    fn take<'q>(&'q self, now: Option<DateTime<Utc>>, slots: &'q [i32], from: i64) -> Statement<'q> {
        sqlx::query(if slots.len() <= FEW { TAKE_FEW } else { TAKE_MANY })
            .bind(now)
            .bind(self.models)
            .bind(self.claims.iter().map(|(_, claim)| claim.worker.as_str()).collect::<Vec<_>>())
            .bind(self.claims.iter().map(|(_, claim)| door_word(claim.door)).collect::<Vec<_>>())
            .bind(self.claims.iter().map(|(_, claim)| value::micros_of(claim.lease)).collect::<Vec<_>>())
            .bind(slots)
            .bind(from)
    }

    async fn claim(&self, write: &mut Write<'_>, begin: i64) -> Result<Vec<Taken>, StoreError> {
        let from = self.from(write.core, begin);
        let rows = write.rows(self.take(Some(write.now), &self.slots, from)).await?;
        self.taken(write, rows, from, begin).await
    }

    /// What was taken behind `from`. There may be jobs that came back before it: with less found than wanted they are looked for.
    async fn taken(
        &self,
        write: &mut Write<'_>,
        rows: Vec<PgRow>,
        from: i64,
        begin: i64,
    ) -> Result<Vec<Taken>, StoreError> {
        let wanted = self.slots.len();
        let mut found = self.read(rows, write.now)?;
        if found.len() < wanted && from > begin {
            let more = write.rows(self.take(Some(write.now), &self.slots_without(&found), begin)).await?;
            found.extend(self.read(more, write.now)?);
        }
        let last = found.iter().map(|found| found.seq).max();
        write.core.frontier.reached(self.models, last.filter(|_| found.len() == wanted));
        Ok(found.into_iter().map(|found| found.taken).collect())
    }

    /// What is wanted still.
    fn slots_without(&self, found: &[Found]) -> Vec<i32> {
        let mut got = HashMap::<i32, usize>::new();
        for Found { slot, .. } in found {
            *got.entry(*slot).or_default() += 1;
        }
        let is_left = |slot: &i32| match got.get_mut(slot) {
            Some(got) if *got > 0 => {
                *got -= 1;
                false
            }
            _ => true,
        };
        self.slots.iter().copied().filter(is_left).collect()
    }

    /// The jobs of these rows, the oldest first.
    fn read(&self, rows: Vec<PgRow>, now: DateTime<Utc>) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let named = Named::new("job", &row);
            let (seq, place) = (named.get("seq")?, record::item(&row)?);
            let (Some((item, claim)), Ok(slot)) = (self.claims.get(place), i32::try_from(place + 1)) else {
                return Err(named.corrupt("n", "is no claim's"));
            };
            found.push(Found { seq, slot, taken: Taken::of(row, *item, claim, now)? });
        }
        found.sort_by_key(|found| found.seq);
        Ok(found)
    }
}

/// A job that was found in the queue.
struct Found {
    /// Its place there.
    seq: i64,
    /// The slot that it was taken for.
    slot: i32,
    taken: Taken,
}

/// What a claim sets, behind a list of jobs `taken (job, worker, door, ends, token)`; the moment is the one of `at`.
macro_rules! goes_in_progress {
    () => {
        "status = 'IN_PROGRESS', worker_id = taken.worker, door = taken.door, lease_token = taken.token,
             lease_until = taken.ends, claimed_at = (SELECT now FROM at), updated_at = (SELECT now FROM at),
             attempt = attempt + 1, not_before = NULL, report = NULL, report_worker = NULL, reported_at = NULL "
    };
}
pub(super) use goes_in_progress;

/// What was asked for by the PRDs of jobs that were `begun`; it never changes.
macro_rules! with_their_prds {
    () => {
        "SELECT begun.*, asked.* FROM begun LEFT JOIN LATERAL (
             SELECT request, created_at AS asked_at, jobs,
                 (SELECT verdict FROM verdicts WHERE verdicts.prd_id = prds.id) AS verdict
             FROM prds WHERE prds.id = begun.prd_id OFFSET 0
         ) AS asked ON true "
    };
}
pub(super) use with_their_prds;

/// A job that was claimed, and which of the claims it is for.
pub(super) struct Taken {
    pub(super) claim: usize,
    pub(super) job: Job,
    /// Where its PRD is, unless that has a row of its own. It is read when the job is taken for good: it may be large, and others must
    /// not wait for that.
    row: Option<PgRow>,
}

impl Taken {
    /// A row of a job that was claimed at this moment.
    pub(super) fn of(row: PgRow, item: usize, claim: &Claim, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let job = record::claimed(&row, claim, now)?;
        Ok(Self { claim: item, job, row: record::has_prd(&row).then_some(row) })
    }
}

async fn claim_once(
    core: &Core,
    claims: &[Claim],
    groups: &BTreeMap<Vec<i32>, Vec<usize>>,
    begin: i64,
    turn: &Turn,
) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let mut groups: Vec<_> = groups.iter().map(|(models, items)| Group::of(claims, models, items)).collect();
    let Some(last) = groups.pop() else { return Ok(claims.iter().map(|_| Ok(Vec::new())).collect()) };
    let from = last.from(core, begin);
    let (mut write, rows) = core.write_by(ACTION, |now| last.take(now, &last.slots, from)).await?;
    let mut taken = last.taken(&mut write, rows, from, begin).await?;
    for group in groups {
        taken.extend(group.claim(&mut write, begin).await?);
    }
    leave_trail(&mut write, &taken).await?;
    commit(write, claims.len(), taken, turn).await
}

/// Claims within a verb that is under way: jobs, each with the claim that gets it.
pub(super) async fn within(
    write: &mut Write<'_>,
    claims: &[Claim],
    groups: &BTreeMap<Vec<i32>, Vec<usize>>,
    begin: i64,
) -> Result<Vec<Taken>, StoreError> {
    let mut taken = Vec::new();
    for (models, items) in groups {
        taken.extend(Group::of(claims, models, items).claim(write, begin).await?);
    }
    leave_trail(write, &taken).await?;
    Ok(taken)
}

/// Ends a verb that claimed; answers with what each claim got. After the commit nothing is left that could fail for all of them.
pub(super) async fn commit(
    mut write: Write<'_>,
    claims: usize,
    taken: Vec<Taken>,
    turn: &Turn,
) -> Result<Each<Vec<ClaimedJob>>, StoreError> {
    let prds = prds_apart(&mut write, &taken).await?;
    write.is_awaited = turn.is_awaited();
    write.commit_and(turn.ended()).await?;
    let prd_of = |job: &Job, row: Option<PgRow>| match (row, prds.get(&job.prd_id)) {
        (Some(row), _) => record::prd_of(Named::new("job", &row), job),
        (None, Some(row)) => record::prd_of(Named::new("PRD", row), job),
        (None, None) => Err(record::without_prd(job)),
    };
    let mut answers: Each<Vec<ClaimedJob>> = (0..claims).map(|_| Ok(Vec::new())).collect();
    let mut unread = Vec::new();
    for Taken { claim, job, row } in taken {
        match (answers.get_mut(claim), prd_of(&job, row)) {
            (Some(Ok(claimed)), Ok(prd)) => claimed.push(ClaimedJob { job, prd }),
            (_, Err(error)) => unread.push((claim, error)),
            _ => {}
        }
    }
    // Who got nothing else is told; the others have work to do. The job waits for the end of its lease.
    for (claim, error) in unread {
        tracing::warn!(%error, "a job was claimed whose PRD cannot be read");
        if let Some(answer) = answers.get_mut(claim)
            && answer.as_ref().is_ok_and(Vec::is_empty)
        {
            *answer = Err(error);
        }
    }
    Ok(answers)
}

/// The PRDs that did not come with their jobs.
async fn prds_apart(write: &mut Write<'_>, taken: &[Taken]) -> Result<HashMap<PrdId, PgRow>, StoreError> {
    let apart = taken.iter().filter(|taken| taken.row.is_none());
    let mut ids = uuids(apart.map(|taken| taken.job.prd_id));
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let query = sqlx::query(
        "SELECT id, request, created_at AS asked_at, jobs,
             (SELECT verdict FROM verdicts WHERE verdicts.prd_id = prds.id) AS verdict
         FROM prds WHERE id = ANY(ARRAY(SELECT unnest($1::uuid[])))",
    );
    let rows = write.rows(query.bind(ids)).await?;
    rows.into_iter().map(|row| Ok((PrdId::from_uuid(Named::new("PRD", &row).get("id")?), row))).collect()
}

/// The most jobs that may be wanted for their PRDs to come in the rows that claim them. That spares a round trip; but looking each of
/// them up costs the server more than one scan for many.
pub(super) const FEW: usize = 32;

/// Takes the oldest jobs of these models whose place is behind `$7`, one for each slot. Jobs of held models are passed over. A lease
/// without end ends with the year 9999.
macro_rules! take {
    ($begin:literal, $end:expr) => {
        concat!(
            "WITH at AS MATERIALIZED (
                 SELECT coalesce($1::timestamptz, clock_timestamp()) AS now
             ), oldest AS (
                 SELECT found.place, found.seq FROM models CROSS JOIN LATERAL (
                     SELECT queue.ctid AS place, queue.seq FROM queue WHERE queue.model = models.id AND queue.seq > $7
                     ORDER BY queue.seq LIMIT cardinality($6::int[]) FOR UPDATE SKIP LOCKED
                 ) AS found WHERE models.id = ANY($2::int[]) AND models.hold IS NULL
             ), gone AS (
                 DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT place FROM oldest ORDER BY seq LIMIT cardinality($6)))
                 RETURNING job, seq
             ), tokens AS MATERIALIZED (
                 SELECT ARRAY(SELECT nextval('lease_tokens') FROM generate_series(1, cardinality($3::text[]))) AS token,
                     ARRAY(SELECT least(now + lease * interval '1 microsecond', '9999-12-31 23:59:59+00')
                         FROM at, unnest($5::bigint[]) WITH ORDINALITY AS wanted (lease, n) ORDER BY n) AS ends
             ), slots AS (
                 SELECT job, ($6::int[])[row_number() OVER (ORDER BY seq)] AS claim FROM gone
             ), noted AS (
                 INSERT INTO claims (until, jobs)
                 SELECT min(ends[claim]), array_agg(job) FROM slots, tokens HAVING count(*) > 0
             )",
            $begin,
            "UPDATE jobs SET ",
            goes_in_progress!(),
            "FROM (SELECT job, claim, ($3::text[])[claim] AS worker, ($4::text[])[claim] AS door,
                       tokens.ends[claim] AS ends, tokens.token[claim] AS token FROM slots, tokens OFFSET 0) AS taken
             WHERE jobs.id = taken.job AND jobs.status = 'ASSIGNED' RETURNING (SELECT now FROM at) AS now,
                 (SELECT name FROM server_run) AS run, taken.claim::bigint AS n, jobs.seq, ",
            claimed_columns!(),
            $end
        )
    };
}
const TAKE_FEW: &str = take!(", begun AS (", concat!(") ", with_their_prds!()));
const TAKE_MANY: &str = take!(" ", "");

async fn claim_job_once(core: &Core, claim: &Claim, id: JobId) -> Result<Vec<ClaimedJob>, StoreError> {
    let mut write = core.write(ACTION).await?;
    check(&mut write, id).await?;
    let query = sqlx::query(concat!(
        "WITH at AS (
             SELECT $1::timestamptz AS now
         ), gone AS (
             ",
        leave_queue!("SELECT assigned_model AS model, seq FROM jobs WHERE id = $2"),
        "), noted AS (
             INSERT INTO claims (until, jobs) VALUES ($5, ARRAY[$2])
         ), begun AS (
             UPDATE jobs SET ",
        goes_in_progress!(),
        "FROM (SELECT $2::uuid AS job, $3::text AS worker, $4::text AS door, $5::timestamptz AS ends,
                       nextval('lease_tokens') AS token) AS taken
             WHERE jobs.id = taken.job AND jobs.status = 'ASSIGNED' RETURNING ",
        claimed_columns!(),
        ") ",
        with_their_prds!()
    ));
    let now = write.now;
    let query = query
        .bind(now)
        .bind(id.as_uuid())
        .bind(claim.worker.as_str())
        .bind(door_word(claim.door))
        .bind(value::after(now, claim.lease));
    let rows = write.rows(query).await?;
    let begun = rows.into_iter().map(|row| Taken::of(row, 0, claim, now)).collect::<Result<Vec<_>, _>>()?;
    leave_trail(&mut write, &begun).await?;
    commit(write, 1, begun, &Turn::default()).await?.pop().unwrap_or_else(|| Ok(Vec::new()))
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
pub(super) async fn leave_trail(write: &mut Write<'_>, taken: &[Taken]) -> Result<(), StoreError> {
    let names = write.names_of(taken.iter().filter_map(|Taken { job, .. }| job.state.model())).await?;
    let keyed = taken.iter().filter_map(|Taken { claim, job, .. }| match &job.state {
        JobState::InProgress { model, lease } => Some(((*claim, *model, job.attempt, lease.token), (job, lease))),
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
