//! Submission: PRDs with their jobs, queued.

use std::collections::{HashMap, HashSet};

use aura_core::{
    Action, Actor, JobId, JobStatus, ModelId, Prd, StoreError,
    contract::store::{Each, NewPrdRecord, Submitted},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{
    super::{
        Core,
        error::{is_duplicate, is_lost},
        join::Turn,
        row::{Named, each},
        trail::{Head, Trail},
        value,
        write::{Answers, Statement, Write, again},
    },
    lone,
    record::{self, prd_columns},
};

pub(super) const ACTION: &str = "store PRDs";

/// Its `turn` ends when the transaction has: the next batch need not wait for the disk.
pub(super) async fn submit(core: &Core, prds: &[NewPrdRecord], turn: &Turn) -> Result<Each<Submitted>, StoreError> {
    // Of those without a key none is there yet, nearly always: that takes two thirds of the time, and fails as a whole where one is.
    let is_new = |record: &NewPrdRecord| {
        record.request.idempotency_key.is_none() && record.pinned.is_none_or(|model| core.known_name(model).is_some())
    };
    if core.term.is_none() && !prds.is_empty() && prds.iter().all(is_new) {
        if let [record] = prds
            && lone::is_possible(core, record)
        {
            match again(|| lone::submit(core, record, turn)).await {
                Ok(Some(submitted)) => return Ok(vec![Ok(submitted)]),
                Err(error) if is_lost(&error) => return lone::submit_again(core, record).await,
                Err(error) if !is_duplicate(&error) => return Err(error),
                Ok(None) | Err(_) => {}
            }
        }
        match again(|| submit_new_ones(core, prds, turn)).await {
            Ok(Some(answers)) => return Ok(answers),
            Err(error) if !is_duplicate(&error) => return Err(error),
            Ok(None) | Err(_) => {}
        }
    }
    match again(|| submit_any(core, prds, false)).await {
        // A job's id is taken: it concerns one item, so each is stored alone.
        Err(error) if is_duplicate(&error) && prds.len() > 1 => {
            let mut answers = Vec::with_capacity(prds.len());
            for record in prds {
                match again(|| submit_any(core, std::slice::from_ref(record), false)).await {
                    Ok(answer) => answers.extend(answer),
                    Err(error) if is_duplicate(&error) => answers.push(Err(taken(record))),
                    Err(error) => answers.push(Err(error)),
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

/// Stores PRDs of which none is there yet, each for a model that is known or for any; nothing where that cannot be done in one go.
async fn submit_new_ones(
    core: &Core,
    prds: &[NewPrdRecord],
    turn: &Turn,
) -> Result<Option<Each<Submitted>>, StoreError> {
    let new = Columns::of(prds, &(0..prds.len()).collect::<Vec<_>>())?;
    if new.ids.len() < prds.len() {
        return Ok(None);
    }
    // Nobody else can append while the end of the audit log is held: what can be made ready is.
    let mut trail = Trail::default();
    prds.iter().for_each(|record| leave_trail(&mut trail, record));
    let given = core.given_now();
    let (write, mut rows) = core.write_from(ACTION, given, new.statement(NEW_ONES, given)).await?;
    let (Some(mut write), Some(head)) = (write, rows.pop()) else { return Ok(None) };
    if write.server_run.is_none() {
        // Who names the run has others wait, and must not hold the end of the log meanwhile.
        return Ok(None);
    }
    write.has_head(Head::of(&head)?);
    write.trail = trail;
    prds.iter().for_each(|record| count(&mut write, record));
    let now = write.now;
    write.commit_and(turn.ended()).await?;
    Ok(Some(prds.iter().map(|record| Ok(submitted(record, now))).collect()))
}

/// Stores PRDs of which some may be there: by key, or by id where they were `sent` before.
pub(super) async fn submit_any(core: &Core, prds: &[NewPrdRecord], sent: bool) -> Result<Each<Submitted>, StoreError> {
    let mut write = core.write(ACTION).await?;
    let mut answers = Answers::of(prds.len());
    let unknown = unknown_models(&mut write, prds).await?;
    for (item, record) in prds.iter().enumerate() {
        if let Some(model) = record.pinned.filter(|model| unknown.contains(model)) {
            answers.set(item, Err(StoreError::not_found("model", model)));
        }
    }
    let new = Columns::of(prds, &answers.missing())?;
    let now = write.now;
    let rows = write.rows(new.statement(ANY, Some(now))).await?;
    made(&mut write, prds, &new.items_of(&rows)?, &mut answers);
    answer_known(&mut write, prds, sent, &mut answers).await?;
    let answers = answers.all()?;
    let repeat = sent || answers.iter().flatten().any(|submitted| !submitted.created);
    write.commit_repeating(repeat, async { Ok(()) }).await?;
    Ok(answers)
}

/// Answers the items that were stored, and notes what goes with them.
fn made(write: &mut Write<'_>, prds: &[NewPrdRecord], items: &[usize], answers: &mut Answers<Submitted>) {
    for &item in items {
        let Some(record) = prds.get(item) else { continue };
        count(write, record);
        leave_trail(&mut write.trail, record);
        answers.set(item, Ok(submitted(record, write.now)));
    }
}

fn count(write: &mut Write<'_>, record: &NewPrdRecord) {
    for _ in &record.jobs {
        write.moves.made(JobStatus::Queued);
    }
    if record.jobs.is_empty() {
        // It has to be looked at too, although no job will be handed in.
        write.moves.assess_later(record.id);
    }
}

pub(super) fn submitted(record: &NewPrdRecord, created_at: DateTime<Utc>) -> Submitted {
    let (request, jobs) = (record.request.clone(), record.jobs.clone());
    Submitted { prd: Prd { id: record.id, request, jobs, created_at, verdict: None }, created: true }
}

async fn unknown_models(write: &mut Write<'_>, prds: &[NewPrdRecord]) -> Result<HashSet<ModelId>, StoreError> {
    let pinned: HashSet<_> = prds.iter().filter_map(|record| record.pinned).collect();
    if pinned.is_empty() {
        return Ok(pinned);
    }
    let names = write.names_of(pinned.iter().copied()).await?;
    Ok(pinned.into_iter().filter(|model| !names.contains_key(model)).collect())
}

/// All or none of them. Jobs get their places in the order in which they came; the end of the audit log is asked for last. The commit
/// does not wait for the disk: whoever gives the jobs away may begin while the caller waits. His commit reaches the disk after this one,
/// and never without it.
const NEW_ONES: &str = "
    WITH at AS MATERIALIZED (
        SELECT coalesce($1::timestamptz, clock_timestamp()) AS now
    ), new_jobs AS MATERIALIZED (
        SELECT id, prd, project, role, attempts, pinned, nextval('jobs_seq_seq') AS seq, now
        FROM at, (SELECT unnest($6::uuid[]) AS id, unnest($7::uuid[]) AS prd, unnest($8::int[]) AS project,
                unnest($9::text[]) AS role, unnest($10::int[]) AS attempts, unnest($11::int[]) AS pinned) AS new
    ), with_jobs AS (
        INSERT INTO jobs (id, prd_id, seq, project_id, role, max_attempts, pinned_model, created_at, updated_at)
        SELECT id, prd, seq, project, role, attempts, pinned, now, now FROM new_jobs RETURNING 1
    ), queued AS (
        INSERT INTO queue (model, seq, job, since) SELECT 0, seq, id, now FROM new_jobs RETURNING 1
    ), made AS (
        INSERT INTO prds (id, request, idempotency_key, created_at, jobs)
        SELECT id, request::json, key, now, jobs::uuid[]
        FROM at, (SELECT unnest($2::uuid[]) AS id, unnest($3::text[]) AS request, unnest($4::text[]) AS key,
                unnest($5::text[]) AS jobs) AS new
        RETURNING id, jobs
    ), handed AS (
        INSERT INTO handed_in (prds) SELECT array_agg(id) FROM made WHERE jobs = '{}' HAVING count(*) > 0 RETURNING 1
    ), totals AS (
        INSERT INTO job_totals (status, model, jobs) SELECT 'QUEUED', 0, count(*) FROM new_jobs HAVING count(*) > 0 RETURNING 1
    ), kept AS (
        SELECT (SELECT count(*) FROM with_jobs) + (SELECT count(*) FROM queued) + (SELECT count(*) FROM made)
            + (SELECT count(*) FROM handed) + (SELECT count(*) FROM totals) AS rows
    )
    SELECT now, (SELECT name FROM server_run) AS run, head.*
    FROM at CROSS JOIN kept CROSS JOIN LATERAL (SELECT * FROM hold_audit_head(false) WHERE kept.rows >= 0 OFFSET 0) AS head";

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

/// What is stored, column by column.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    requests: Vec<String>,
    keys: Vec<Option<String>>,
    jobs: Vec<String>,
    job_ids: Vec<Uuid>,
    of: Vec<Uuid>,
    projects: Vec<i32>,
    roles: Vec<String>,
    attempts: Vec<i32>,
    pinned: Vec<Option<i32>>,
    /// Which item has which id.
    items: HashMap<Uuid, usize>,
}

impl Columns {
    fn of(prds: &[NewPrdRecord], wanted: &[usize]) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for &item in wanted {
            let Some(record) = prds.get(item) else { continue };
            let id = record.id.as_uuid();
            // The same id twice in a batch: the first one is stored.
            if columns.items.contains_key(&id) {
                continue;
            }
            columns.items.insert(id, item);
            columns.ids.push(id);
            columns.requests.push(serde_json::to_string(&record.request).map_err(unwritten)?);
            columns.keys.push(key_of(record));
            columns.jobs.push(literal(&record.jobs));
            for job in &record.jobs {
                columns.job_ids.push(job.as_uuid());
                columns.of.push(id);
                columns.projects.push(record.request.project.0);
                columns.roles.push(record.request.role.as_str().to_owned());
                columns.attempts.push(i32::try_from(record.request.limits.max_attempts).unwrap_or(i32::MAX));
                columns.pinned.push(record.pinned.map(|model| model.0));
            }
        }
        Ok(columns)
    }

    fn statement(&self, sql: &'static str, now: Option<DateTime<Utc>>) -> Statement<'_> {
        let query = sqlx::query(sql).bind(now);
        let query = query.bind(&self.ids).bind(&self.requests).bind(&self.keys).bind(&self.jobs);
        let query = query.bind(&self.job_ids).bind(&self.of).bind(&self.projects).bind(&self.roles);
        query.bind(&self.attempts).bind(&self.pinned)
    }

    /// The items that these rows name, in order.
    fn items_of(&self, rows: &[PgRow]) -> Result<Vec<usize>, StoreError> {
        let made: Vec<Uuid> = each(rows, |row| Named::new("PRD", row).get("id"))?;
        let mut items: Vec<usize> = made.iter().filter_map(|id| self.items.get(id).copied()).collect();
        items.sort_unstable();
        Ok(items)
    }
}

fn key_of(record: &NewPrdRecord) -> Option<String> {
    record.request.idempotency_key.as_deref().map(|key| value::text(key).into_owned())
}

pub(super) fn unwritten(error: serde_json::Error) -> StoreError {
    StoreError::Backend { action: "write a PRD as JSON", source: Box::new(error) }
}

/// An array as PostgreSQL writes it: there are no arrays of arrays of different lengths.
fn literal(jobs: &[JobId]) -> String {
    let ids: Vec<_> = jobs.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// One entry names the PRD's jobs. It is filed under the first of them, where the view of their histories finds it.
pub(super) fn leave_trail(trail: &mut Trail, record: &NewPrdRecord) {
    let NewPrdRecord { id, request, jobs, .. } = record;
    let submitter = Actor::submitter();
    let details =
        json!({ "prd_id": id, "jobs": jobs, "title": request.headline(), "role": request.role, "plan": request.plan });
    match jobs.first() {
        Some(first) => trail.both(&submitter, *first, Action::PrdSubmitted, details),
        None => trail.entry(&submitter, Action::PrdSubmitted, details),
    }
}

/// Items that were there already get what there is when it is the same request, compared as JSON, since that is what was
/// stored. The same id again is the same submission sent again, after an answer that was lost.
async fn answer_known(
    write: &mut Write<'_>,
    prds: &[NewPrdRecord],
    sent: bool,
    answers: &mut Answers<Submitted>,
) -> Result<(), StoreError> {
    for item in answers.missing() {
        let Some(record) = prds.get(item) else { continue };
        let key = key_of(record);
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
        let is_same = stored == serde_json::to_value(&record.request).map_err(unwritten)?;
        let answer = if sent && prd.id == record.id && is_same {
            Ok(Submitted { prd, created: true })
        } else if key.is_none() || prd.request.idempotency_key != record.request.idempotency_key {
            Err(StoreError::conflict("PRD", prd.id, "exists already"))
        } else if is_same {
            Ok(Submitted { prd, created: false })
        } else {
            let reason = "has the same idempotency key, but another request: use a new key for new work";
            Err(StoreError::conflict("PRD", prd.id, reason))
        };
        answers.set(item, answer);
    }
    Ok(())
}
