//! Assignment and claim in one go, for workers that wait in the scheduler's own process: a job is begun one transaction, one look and
//! one bell sooner. What may go to a waiting worker at once does so in one statement, and is never seen ASSIGNED.

use std::collections::{BTreeMap, HashSet};

use aura_core::{
    JobStatus, ModelId, StoreError,
    contract::store::{Assignment, Claim, Dispatched, Wanted},
};

use super::{
    super::{
        Core,
        join::Turn,
        marks::Scan,
        row::Named,
        value,
        write::{Answers, Write, again},
    },
    assign::{self, distinct, model_takes_jobs},
    claim::{self, Taken, by_models, claim_job, goes_in_progress, models_of, with_their_prds},
    queue::and_free_in_queue,
    record::{self, claimed_columns, door_word},
};
use crate::facts::About;

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
    let mut write = core.write("assign and claim jobs").await?;
    let mut answers = Answers::of(assignments.len());
    let (pairs, rest) = pair(assignments, claims);
    let mut taken = begin_at_once(&mut write, assignments, claims, &pairs, &mut answers).await?;
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

/// Begins what may be begun by all that one statement can see: the job is the only one of its PRD. The others get no answer.
async fn begin_at_once(
    write: &mut Write<'_>,
    assignments: &[Assignment],
    claims: &[Claim],
    pairs: &[Pair],
    answers: &mut Answers<()>,
) -> Result<Vec<Taken>, StoreError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let (mut items, mut ids, mut models, mut probes, mut of) = (vec![], vec![], vec![], vec![], vec![]);
    let mut seen = HashSet::new();
    for (item, claim) in pairs {
        let Some(Assignment { job, model, probe, .. }) = assignments.get(*item) else { continue };
        // The same job again in this batch comes too late.
        if !seen.insert(*job) {
            continue;
        }
        items.push(i64::try_from(*item).unwrap_or(i64::MAX));
        ids.push(job.as_uuid());
        models.push(model.0);
        probes.push(*probe);
        of.push(i32::try_from(claim + 1).unwrap_or(i32::MAX));
    }
    let now = write.now;
    let query = sqlx::query(concat!(
        "WITH at AS (
             SELECT $1::timestamptz AS now
         ), waits AS (
             SELECT new.*, there.place, job.place AS job_place
             FROM (SELECT unnest($2::bigint[]) AS item, unnest($3::uuid[]) AS id, unnest($4::int[]) AS model,
                       unnest($5::boolean[]) AS probe, unnest($6::int[]) AS claim) AS new ",
        and_free_in_queue!(),
        " WHERE ",
        model_takes_jobs!("$10"),
        "
         ), tokens AS MATERIALIZED (
             SELECT ARRAY(SELECT nextval('lease_tokens') FROM generate_series(1, cardinality($7::text[]))) AS token
         ), taken AS (
             SELECT waits.*, ($7::text[])[claim] AS worker, ($8::text[])[claim] AS door,
                 ($9::timestamptz[])[claim] AS ends, tokens.token[claim] AS token
             FROM waits, tokens
         ), begun AS (
             UPDATE jobs SET assigned_model = taken.model, probe = taken.probe, ",
        goes_in_progress!(),
        "FROM taken
             WHERE jobs.ctid = taken.job_place AND jobs.id = taken.id AND jobs.status = 'QUEUED'
               AND coalesce(jobs.pinned_model = taken.model, true)
               AND (SELECT cardinality(prds.jobs) = 1 FROM prds WHERE prds.id = jobs.prd_id)
             RETURNING taken.item, taken.claim::bigint AS n, taken.ends, jobs.seq, taken.place, ",
        claimed_columns!(),
        "), gone AS (
             DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT place FROM begun))
         ), noted AS (
             INSERT INTO claims (until, jobs) SELECT min(ends), array_agg(id) FROM begun HAVING count(*) > 0
         )
         ",
        with_their_prds!(),
        "ORDER BY begun.seq"
    ));
    let distinct = distinct(&models);
    let query = query.bind(now).bind(items).bind(ids).bind(models).bind(probes).bind(of);
    let query = query
        .bind(claims.iter().map(|claim| claim.worker.as_str().to_owned()).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| door_word(claim.door)).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| value::after(now, claim.lease)).collect::<Vec<_>>())
        .bind(&distinct);
    let mut begun = Vec::new();
    let rows = write.rows(query).await?;
    let names = write.names_of(distinct.into_iter().map(ModelId)).await?;
    for row in rows {
        let named = Named::new("job", &row);
        let (item, place) = (named.number::<usize>("item")?, record::item(&row)?);
        let (Some(assignment), Some(claim)) = (assignments.get(item), claims.get(place)) else {
            return Err(named.corrupt("item", "is nobody's"));
        };
        let taken = Taken::of(row, place, claim, now)?;
        let before = About { attempt: taken.job.attempt.saturating_sub(1), ..About::from(&taken.job) };
        assign::note(write, assignment, before, names.get(&assignment.model).map(String::as_str));
        answers.set(item, Ok(()));
        begun.push(taken);
    }
    claim::leave_trail(write, &begun).await?;
    Ok(begun)
}
