//! Assignment and claim in one go, for workers that wait in the scheduler's own process: a job is begun one transaction, one look and
//! one bell sooner. What may go to a waiting worker at once does so in one statement, and is never seen ASSIGNED.

use std::collections::{BTreeMap, HashSet};

use aura_core::{
    JobStatus, ModelId, StoreError,
    contract::store::{Assignment, Claim, Dispatched, Term, Wanted},
};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{
    super::{
        Core,
        duties::{bind_term, while_term_holds},
        join::Turn,
        marks::Scan,
        row::Named,
        trail::Head,
        value,
        write::{Answers, Statement, Write, again},
    },
    assign::{self, distinct, model_takes_jobs},
    claim::{self, FEW, Taken, by_models, claim_job, goes_in_progress, models_of, with_their_prds},
    queue::and_free_in_queue,
    record::{self, claimed_columns, door_word},
};
use crate::facts::About;

const ACTION: &str = "assign and claim jobs";

pub(super) async fn dispatch(
    core: &Core,
    assignments: &[Assignment],
    claims: &[Claim],
) -> Result<Dispatched, StoreError> {
    let mut begin = i64::MAX;
    for model in models_of(&by_models(claims)) {
        begin = begin.min(core.mark(Scan::Queue(model)).await?);
    }
    let mut done = again(|| dispatch_once(core, assignments, claims, begin)).await?;
    for (claim, claimed) in claims.iter().zip(&mut done.claimed) {
        if let Wanted::Job(id) = claim.wanted {
            *claimed = claim_job(core, claim, id).await;
        }
    }
    Ok(done)
}

async fn dispatch_once(
    core: &Core,
    assignments: &[Assignment],
    claims: &[Claim],
    begin: i64,
) -> Result<Dispatched, StoreError> {
    let mut answers = Answers::of(assignments.len());
    let (pairs, rest) = pair(assignments, claims);
    let at_once = AtOnce::of(assignments, &pairs);
    let (mut write, mut taken) = if at_once.is_empty() {
        (core.write(ACTION).await?, Vec::new())
    } else {
        // Others must not wait for the end of the log while many PRDs are on their way.
        let are_all = at_once.items.len() == assignments.len() && assignments.len() <= FEW;
        let begin = |now| at_once.begin(core.term.as_ref(), claims, are_all, now);
        let (mut write, rows) = core.write_within_term_by(ACTION, begin).await?;
        let begun = at_once.begun(&mut write, rows, assignments, claims, &mut answers).await?;
        (write, begun)
    };
    assign::within(&mut write, assignments, &rest, &mut answers).await?;
    // What could not be begun at once may be assigned now.
    if write.moves.to().contains(&JobStatus::Assigned) {
        let left = less(claims, &taken);
        // What was just put before a model may have a lower number than what was known to wait there.
        let begin = write.lowest_back().map_or(begin, |lowest| begin.min(lowest - 1));
        taken.extend(claim::within(&mut write, &left, &by_models(&left), begin).await?);
        if !write.moves.to().contains(&JobStatus::Assigned) {
            write.all_taken_again();
        }
    }
    let claimed = claim::commit(write, claims.len(), taken, &Turn::default()).await?;
    Ok(Dispatched { assigned: answers.all()?, claimed })
}

/// An assignment and the claim that may have its job, by their places.
type Pair = (usize, usize);

/// Finds each assignment a claim that wants its model's jobs, who came first first; answers also which assignments found none.
fn pair(assignments: &[Assignment], claims: &[Claim]) -> (Vec<Pair>, Vec<usize>) {
    let mut room: Vec<u32> = claims.iter().map(Claim::most).collect();
    // From which claim on there may be one with room, for each model.
    let mut from: BTreeMap<i32, usize> = BTreeMap::new();
    let (mut pairs, mut rest) = (Vec::new(), Vec::new());
    for (item, Assignment { model, .. }) in assignments.iter().enumerate() {
        let from = from.entry(model.0).or_default();
        let has_room = |place: &usize| {
            let wants = claims.get(*place).is_some_and(|claim| claim.wants(*model));
            wants && room.get(*place).is_some_and(|room| *room > 0)
        };
        *from = (*from..claims.len()).find(has_room).unwrap_or(claims.len());
        match room.get_mut(*from) {
            Some(room) => {
                *room -= 1;
                pairs.push((item, *from));
            }
            None => rest.push(item),
        }
    }
    (pairs, rest)
}

/// What the claims still want.
fn less(claims: &[Claim], taken: &[Taken]) -> Vec<Claim> {
    let mut left = claims.to_vec();
    for Taken { claim, .. } in taken {
        if let Some(Claim { wanted: Wanted::Any { max, .. }, .. }) = left.get_mut(*claim) {
            *max = max.saturating_sub(1);
        }
    }
    left
}

/// Begins what may be begun by all that one statement can see: the job is the only one of its PRD. Its first row is there as long as
/// the `$at` of the verb is.
macro_rules! begin {
    ($at:expr) => {
        concat!(
            "WITH at AS MATERIALIZED (
                 SELECT coalesce($1::timestamptz, clock_timestamp()) AS now ",
            $at,
            "
             ), waits AS (
                 SELECT new.*, there.place, job.place AS job_place
                 FROM (SELECT unnest($2::bigint[]) AS item, unnest($3::uuid[]) AS id, unnest($4::int[]) AS model,
                           unnest($5::boolean[]) AS probe, unnest($6::int[]) AS claim) AS new ",
            and_free_in_queue!(),
            " WHERE EXISTS (SELECT 1 FROM at) AND ",
            model_takes_jobs!("$10"),
            "
             ), tokens AS MATERIALIZED (
                 SELECT ARRAY(SELECT nextval('lease_tokens') FROM generate_series(1, cardinality($7::text[]))) AS token
             ), taken AS (
                 SELECT waits.*, ($7::text[])[claim] AS worker, ($8::text[])[claim] AS door,
                     least(now + ($9::bigint[])[claim] * interval '1 microsecond', '9999-12-31 23:59:59+00') AS ends,
                     tokens.token[claim] AS token
                 FROM at, waits, tokens
             ), begun AS (
                 UPDATE jobs SET assigned_model = taken.model, probe = taken.probe, ",
            goes_in_progress!(),
            "FROM taken
                 WHERE jobs.ctid = taken.job_place AND jobs.id = taken.id AND jobs.status = 'QUEUED'
                   AND coalesce(jobs.pinned_model = taken.model, true)
                   AND (SELECT cardinality(prds.jobs) = 1 FROM prds WHERE prds.id = jobs.prd_id)
                 RETURNING taken.item, taken.claim::bigint AS n, taken.ends, jobs.seq AS place_in_line, taken.place, ",
            claimed_columns!(),
            "), gone AS (
                 DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT place FROM begun)) RETURNING 1
             ), noted AS (
                 INSERT INTO claims (until, jobs) SELECT min(ends), array_agg(id) FROM begun HAVING count(*) > 0 RETURNING 1
             ), whole AS MATERIALIZED (
                 SELECT $11 AND count(*) = cardinality($3) AS is_it FROM begun
             ), totals AS (
                 INSERT INTO job_totals (status, model, jobs)
                 SELECT 'QUEUED', 0, -cardinality($3) FROM whole WHERE is_it
                 UNION ALL SELECT 'IN_PROGRESS', assigned_model, count(*) FROM begun, whole WHERE is_it GROUP BY assigned_model
                 RETURNING 1
             ), kept AS (
                 SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM noted) + (SELECT count(*) FROM totals) AS rows
             ), head AS MATERIALIZED (
                 SELECT held.* FROM kept CROSS JOIN whole
                     CROSS JOIN LATERAL (SELECT * FROM hold_audit_head(true) WHERE kept.rows >= 0 AND is_it OFFSET 0) AS held
             )
             SELECT at.now, (SELECT name FROM server_run) AS run, head.*, begun.* FROM at LEFT JOIN head ON true LEFT JOIN (",
            with_their_prds!(),
            ") AS begun ON true ORDER BY begun.place_in_line"
        )
    };
}
const BEGIN: &str = begin!("");
const BEGIN_WITHIN_TERM: &str = begin!(while_term_holds!("$12", "$13", "$14", "$1"));

/// Jobs that may be begun in one go, column by column.
#[derive(Default)]
struct AtOnce {
    items: Vec<i64>,
    ids: Vec<Uuid>,
    models: Vec<i32>,
    probes: Vec<bool>,
    /// For which claim each is, by its place, from one.
    of: Vec<i32>,
}

impl AtOnce {
    fn of(assignments: &[Assignment], pairs: &[Pair]) -> Self {
        let mut at_once = Self::default();
        let mut seen = HashSet::new();
        for (item, claim) in pairs {
            let Some(Assignment { job, model, probe, .. }) = assignments.get(*item) else { continue };
            // The same job again in this batch comes too late.
            if !seen.insert(*job) {
                continue;
            }
            at_once.items.push(i64::try_from(*item).unwrap_or(i64::MAX));
            at_once.ids.push(job.as_uuid());
            at_once.models.push(model.0);
            at_once.probes.push(*probe);
            at_once.of.push(i32::try_from(claim + 1).unwrap_or(i32::MAX));
        }
        at_once
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Where these are all, and all are begun, nothing is left to be done but to leave the trail and to close flags: what else goes with
    /// the moves is written too, and the end of the audit log is held.
    fn begin<'q>(
        &'q self,
        term: Option<&Term>,
        claims: &'q [Claim],
        are_all: bool,
        now: Option<DateTime<Utc>>,
    ) -> Statement<'q> {
        let query = sqlx::query(if term.is_some() { BEGIN_WITHIN_TERM } else { BEGIN });
        let query = query.bind(now).bind(&self.items).bind(&self.ids).bind(&self.models).bind(&self.probes);
        let query = query
            .bind(&self.of)
            .bind(claims.iter().map(|claim| claim.worker.as_str()).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| door_word(claim.door)).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| value::micros_of(claim.lease)).collect::<Vec<_>>())
            .bind(distinct(&self.models))
            .bind(are_all);
        match term {
            Some(term) => bind_term(query, term),
            None => query,
        }
    }

    /// Reads what was begun, and notes what goes with it. The others get no answer.
    async fn begun(
        &self,
        write: &mut Write<'_>,
        rows: Vec<PgRow>,
        assignments: &[Assignment],
        claims: &[Claim],
        answers: &mut Answers<()>,
    ) -> Result<Vec<Taken>, StoreError> {
        if let Some(row) = rows.first()
            && Named::new("audit log", row).get::<Option<i64>>("seq")?.is_some()
        {
            write.has_head(Head::of(row)?);
        }
        let names = write.names_of(distinct(&self.models).into_iter().map(ModelId)).await?;
        let mut begun = Vec::new();
        for row in rows {
            let named = Named::new("job", &row);
            // The moment's own row.
            let Some(item) = named.get::<Option<i64>>("item")? else { continue };
            let (item, place) = (usize::try_from(item).unwrap_or(usize::MAX), record::item(&row)?);
            let (Some(assignment), Some(claim)) = (assignments.get(item), claims.get(place)) else {
                return Err(named.corrupt("item", "is nobody's"));
            };
            let taken = Taken::of(row, place, claim, write.now)?;
            let before = About { attempt: taken.job.attempt.saturating_sub(1), ..About::from(&taken.job) };
            assign::note(write, assignment, before, names.get(&assignment.model).map(String::as_str));
            answers.set(item, Ok(()));
            begun.push(taken);
        }
        claim::leave_trail(write, &begun).await?;
        Ok(begun)
    }
}
