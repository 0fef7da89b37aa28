//! Submission: PRDs with their jobs, queued.

use std::collections::{HashMap, HashSet};

use aura_core::{
    Action, Actor, JobId, JobStatus, ModelId, Prd, StoreError,
    contract::store::{Each, NewPrdRecord, Submitted},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{
        Core,
        error::is_duplicate,
        row::{Named, each},
        write::{Answers, Write, again},
    },
    record::{self, prd_columns},
};

const ACTION: &str = "store PRDs";

/// How PRDs are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expecting {
    /// None of them is there yet: it is the usual case, and takes two thirds of the other's time. Fails as a whole where one is.
    NewOnes,
    /// Some may be there, by id or by key.
    Any,
}

pub(super) async fn submit(core: &Core, prds: &[NewPrdRecord]) -> Result<Each<Submitted>, StoreError> {
    let keyed = prds.iter().any(|record| record.request.idempotency_key.is_some());
    if !keyed {
        match again(|| submit_once(core, prds, Expecting::NewOnes)).await {
            Err(error) if is_duplicate(&error) => {}
            outcome => return outcome,
        }
    }
    match again(|| submit_once(core, prds, Expecting::Any)).await {
        // A job's id is taken: it concerns one item, so each is stored alone.
        Err(error) if is_duplicate(&error) && prds.len() > 1 => {
            let mut answers = Vec::with_capacity(prds.len());
            for record in prds {
                match again(|| submit_once(core, std::slice::from_ref(record), Expecting::Any)).await {
                    Ok(answer) => answers.extend(answer),
                    Err(error) if is_duplicate(&error) => answers.push(Err(taken(record))),
                    Err(error) => return Err(error),
                }
            }
            Ok(answers)
        }
        Err(error) if is_duplicate(&error) => Ok(prds.iter().map(|record| Err(taken(record))).collect()),
        outcome => outcome,
    }
}

fn taken(record: &NewPrdRecord) -> StoreError {
    let jobs: Vec<_> = record.jobs.iter().map(ToString::to_string).collect();
    StoreError::conflict("PRD", record.id, format!("one of its jobs exists already: {}", jobs.join(", ")))
}

async fn submit_once(core: &Core, prds: &[NewPrdRecord], expecting: Expecting) -> Result<Each<Submitted>, StoreError> {
    let mut write = core.write(ACTION).await?;
    let mut answers = Answers::of(prds.len());
    let unknown = unknown_models(&mut write, prds).await?;
    for (item, record) in prds.iter().enumerate() {
        if let Some(model) = record.pinned.filter(|model| unknown.contains(model)) {
            answers.set(item, Err(StoreError::not_found("model", model)));
        }
    }
    for item in insert(&mut write, prds, &answers.missing(), expecting).await? {
        let Some(record) = prds.get(item) else { continue };
        for _ in &record.jobs {
            write.moves.made(JobStatus::Queued);
        }
        if record.jobs.is_empty() {
            // It has to be looked at too, although no job will be handed in.
            write.moves.assess_later(record.id);
        }
        leave_trail(&mut write, record);
        let prd = Prd {
            id: record.id,
            request: record.request.clone(),
            jobs: record.jobs.clone(),
            created_at: write.now,
            verdict: None,
        };
        answers.set(item, Ok(Submitted { prd, created: true }));
    }
    answer_known(&mut write, prds, &mut answers).await?;
    write.commit().await?;
    answers.all()
}

async fn unknown_models(write: &mut Write<'_>, prds: &[NewPrdRecord]) -> Result<HashSet<ModelId>, StoreError> {
    let pinned: HashSet<_> = prds.iter().filter_map(|record| record.pinned).collect();
    if pinned.is_empty() {
        return Ok(pinned);
    }
    let names = write.names_of(pinned.iter().copied()).await?;
    Ok(pinned.into_iter().filter(|model| !names.contains_key(model)).collect())
}

/// Jobs get their places in the order in which they came.
const NEW_ONES: &str = "
    WITH new_jobs AS MATERIALIZED (
        SELECT id, prd, project, role, attempts, pinned, nextval('jobs_seq_seq') AS seq
        FROM unnest($6::uuid[], $7::uuid[], $8::int[], $9::text[], $10::int[], $11::int[])
            AS new (id, prd, project, role, attempts, pinned)
    ), with_jobs AS (
        INSERT INTO jobs (id, prd_id, seq, project_id, role, max_attempts, pinned_model, created_at, updated_at)
        SELECT id, prd, seq, project, role, attempts, pinned, $1, $1 FROM new_jobs
    ), queued AS (
        INSERT INTO queue (model, seq, job, since) SELECT 0, seq, id, $1 FROM new_jobs
    )
    INSERT INTO prds (id, request, idempotency_key, created_at, jobs)
    SELECT id, request::json, key, $1, jobs::uuid[]
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS new (id, request, key, jobs) RETURNING id";

/// Two batches with the same keys wait for one another in the order of the keys, and not in a circle.
const ANY: &str = "
    WITH made AS (
        INSERT INTO prds (id, request, idempotency_key, created_at, jobs)
        SELECT id, request::json, key, $1, jobs::uuid[]
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS new (id, request, key, jobs, n)
        ORDER BY key, n ON CONFLICT DO NOTHING RETURNING id
    ), with_jobs AS (
        INSERT INTO jobs (id, prd_id, project_id, role, max_attempts, pinned_model, created_at, updated_at)
        SELECT new.id, prd, project, role, attempts, pinned, $1, $1
        FROM unnest($6::uuid[], $7::uuid[], $8::int[], $9::text[], $10::int[], $11::int[])
                WITH ORDINALITY AS new (id, prd, project, role, attempts, pinned, n)
            JOIN made ON made.id = prd
        ORDER BY n RETURNING id, seq
    ), queued AS (
        INSERT INTO queue (model, seq, job, since) SELECT 0, seq, id, $1 FROM with_jobs
    )
    SELECT id FROM made";

/// Stores those that are not there yet, by id or by key, with their jobs; answers which items these were.
async fn insert(
    write: &mut Write<'_>,
    prds: &[NewPrdRecord],
    wanted: &[usize],
    expecting: Expecting,
) -> Result<Vec<usize>, StoreError> {
    let (mut ids, mut bodies, mut keys, mut jobs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut job_ids, mut of, mut projects, mut roles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut attempts, mut pinned) = (Vec::new(), Vec::new());
    let mut items: HashMap<Uuid, usize> = HashMap::new();
    for &item in wanted {
        let Some(record) = prds.get(item) else { continue };
        let id = record.id.as_uuid();
        // The same id twice in a batch: the first one is stored.
        if items.contains_key(&id) {
            continue;
        }
        items.insert(id, item);
        ids.push(id);
        bodies.push(serde_json::to_string(&record.request).map_err(unwritten)?);
        keys.push(record.request.idempotency_key.as_deref().map(|key| super::super::value::text(key).into_owned()));
        jobs.push(literal(&record.jobs));
        for job in &record.jobs {
            job_ids.push(job.as_uuid());
            of.push(id);
            projects.push(record.request.project.0);
            roles.push(record.request.role.as_str());
            attempts.push(i32::try_from(record.request.limits.max_attempts).unwrap_or(i32::MAX));
            pinned.push(record.pinned.map(|model| model.0));
        }
    }
    let query = sqlx::query(match expecting {
        Expecting::NewOnes => NEW_ONES,
        Expecting::Any => ANY,
    });
    let query = query.bind(write.now).bind(ids).bind(bodies).bind(keys).bind(jobs);
    let query = query.bind(job_ids).bind(of).bind(projects).bind(roles).bind(attempts).bind(pinned);
    let made: Vec<Uuid> = each(&write.rows(query).await?, |row| Named::new("PRD", row).get("id"))?;
    let mut fresh: Vec<usize> = made.iter().filter_map(|id| items.get(id).copied()).collect();
    fresh.sort_unstable();
    Ok(fresh)
}

fn unwritten(error: serde_json::Error) -> StoreError {
    StoreError::Backend { action: "write a PRD as JSON", source: Box::new(error) }
}

/// An array as PostgreSQL writes it: there are no arrays of arrays of different lengths.
fn literal(jobs: &[JobId]) -> String {
    let ids: Vec<_> = jobs.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// One entry names the PRD's jobs. It is filed under the first of them, where the view of their histories finds it.
fn leave_trail(write: &mut Write<'_>, record: &NewPrdRecord) {
    let NewPrdRecord { id, request, jobs, .. } = record;
    let submitter = Actor::submitter();
    let details =
        json!({ "prd_id": id, "jobs": jobs, "title": request.headline(), "role": request.role, "plan": request.plan });
    match jobs.first() {
        Some(first) => write.trail.both(&submitter, *first, Action::PrdSubmitted, details),
        None => write.trail.entry(&submitter, Action::PrdSubmitted, details),
    }
}

/// Items that were there already get what there is when it is the same request, compared as JSON, since that is what was
/// stored. The same id again is the same submission sent again, after an answer that was lost.
async fn answer_known(
    write: &mut Write<'_>,
    prds: &[NewPrdRecord],
    answers: &mut Answers<Submitted>,
) -> Result<(), StoreError> {
    for item in answers.missing() {
        let Some(record) = prds.get(item) else { continue };
        let key = record.request.idempotency_key.as_deref().map(|key| super::super::value::text(key).into_owned());
        let query = sqlx::query(concat!(
            "SELECT ",
            prd_columns!(),
            "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id
             WHERE prds.idempotency_key = $1 UNION ALL SELECT ",
            prd_columns!(),
            "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id WHERE prds.id = $2 LIMIT 1"
        ));
        let row = write.row(query.bind(key.clone()).bind(record.id.as_uuid())).await?;
        let Some(row) = row else {
            return Err(StoreError::Unavailable {
                message: format!("PRD {} was stored and taken away by another transaction: try again", record.id),
                source: None,
            });
        };
        let prd = record::prd(&row)?;
        let stored: Value = Named::new("PRD", &row).json("request")?;
        let answer = if key.is_none() || prd.request.idempotency_key != record.request.idempotency_key {
            Err(StoreError::conflict("PRD", prd.id, "exists already"))
        } else if stored == serde_json::to_value(&record.request).map_err(unwritten)? {
            Ok(Submitted { prd, created: false })
        } else {
            let reason = "has the same idempotency key, but another request: use a new key for new work";
            Err(StoreError::conflict("PRD", prd.id, reason))
        };
        answers.set(item, answer);
    }
    Ok(())
}
