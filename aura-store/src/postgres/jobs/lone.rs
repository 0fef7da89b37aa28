//! A submission that comes alone: one statement, which is a transaction of its own. An orchestra that is idle waits for one answer of the
//! database before it may begin the job, where a batch waits for four.

use std::slice;

use aura_core::{
    JobStatus, StoreError,
    contract::store::{Each, NewPrdRecord, Submitted},
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    super::{
        Core,
        join::Turn,
        row::Named,
        trail::{Trail, hash_behind, measured},
        write::{Committed, Statement, again},
    },
    submit::{ACTION, leave_trail, submit_any, submitted, unwritten},
};

/// All of it or nothing; nothing as long as the server's run has no name, since who names it has others wait.
///
/// The audit entry is chained here: from `head` on nobody else can append until the statement has ended. (Who drops old months waits for
/// it, and its own bound ends that wait where others wait behind.) The commit does not wait for the disk, as that of a batch does not.
/// What the planner would count is hidden from it: see [`Core::rows`].
const LONE: &str = concat!(
    "WITH at AS MATERIALIZED (
         SELECT coalesce($1::timestamptz, clock_timestamp()) AS now, name AS run FROM server_run
     ), new_jobs AS MATERIALIZED (
         SELECT id, nextval('jobs_seq_seq') AS seq, now FROM at, (SELECT unnest((SELECT $3::uuid[])) AS id) AS new
     ), with_jobs AS (
         INSERT INTO jobs (id, prd_id, seq, project_id, role, max_attempts, pinned_model, created_at, updated_at)
         SELECT id, $2, seq, $5, $6, $7, $8, now, now FROM new_jobs RETURNING 1
     ), queued AS (
         INSERT INTO queue (model, seq, job, since) SELECT 0, seq, id, now FROM new_jobs RETURNING 1
     ), made AS (
         INSERT INTO prds (id, request, created_at, jobs) SELECT $2, $4::json, now, $3 FROM at RETURNING 1
     ), totals AS (
         INSERT INTO job_totals (status, model, jobs) SELECT 'QUEUED', 0, cardinality($3) FROM at RETURNING 1
     ), kept AS (
         SELECT (SELECT count(*) FROM with_jobs) + (SELECT count(*) FROM queued) + (SELECT count(*) FROM made)
             + (SELECT count(*) FROM totals) AS rows
     ), head AS MATERIALIZED (
         SELECT now, run, held.hash AS previous, held.seq + 1 AS id, (held.seq + 1)::text AS place,
             to_char(now AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS moment
         FROM at CROSS JOIN kept CROSS JOIN LATERAL (SELECT * FROM hold_audit_head(false) WHERE kept.rows >= 0 OFFSET 0) AS held
     ), entry AS MATERIALIZED (
         SELECT now, run, id, ",
    hash_behind!("previous", "place", "$11", "moment"),
    " AS hash FROM head
     ), entered AS (
         INSERT INTO audit_log (id, actor, action, details, created_at, hash, job_id)
         SELECT id, $9, $10, $12::text::jsonb, now, hash, $13 FROM entry
     ), ends AS (
         INSERT INTO audit_head (seq, hash) SELECT id, hash FROM entry
     )
     SELECT now, run, id FROM entry"
);

/// Whether a PRD may be stored so: it has jobs, and what the verbs set for themselves is set on the connection.
pub(super) fn is_possible(core: &Core, record: &NewPrdRecord) -> bool {
    !core.pooled && !record.jobs.is_empty()
}

/// Stores a PRD that is not there yet; nothing where that cannot be done in one go.
pub(super) async fn submit(core: &Core, record: &NewPrdRecord, turn: &Turn) -> Result<Option<Submitted>, StoreError> {
    let Some(statement) = statement(record, core.given_now())? else { return Ok(None) };
    let rows = core.rows(ACTION, statement).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let entry = Named::new("audit log", row);
    let committed = Committed {
        run: Some(entry.get("run")?),
        last: Some(entry.get("id")?),
        to: vec![JobStatus::Queued],
        has_waited: false,
    };
    let now = entry.time("now")?;
    core.goes_on(committed, turn.ended()).await?;
    Ok(Some(submitted(record, now)))
}

/// Stores a PRD that may be there already, by a statement whose answer was lost. One that is still under way is waited for: both want the
/// same ids.
pub(super) async fn submit_again(core: &Core, record: &NewPrdRecord) -> Result<Each<Submitted>, StoreError> {
    match again(|| submit_any(core, slice::from_ref(record), true)).await {
        Ok(answers) => {
            // Nobody was told of what is there.
            core.news.moved(vec![JobStatus::Queued]);
            Ok(answers)
        }
        Err(error) if error.is_retryable() => {
            let id = record.id;
            let message =
                format!("the connection was cut while PRD {id} was stored: look whether it is there ({error})");
            Err(StoreError::Unavailable { message, source: Some(Box::new(error)) })
        }
        Err(error) => Err(error),
    }
}

fn statement(record: &NewPrdRecord, now: Option<DateTime<Utc>>) -> Result<Option<Statement<'_>>, StoreError> {
    let NewPrdRecord { id, request, pinned, jobs } = record;
    let mut trail = Trail::default();
    leave_trail(&mut trail, record);
    let query = sqlx::query(LONE)
        .bind(now)
        .bind(id.as_uuid())
        .bind(jobs.iter().map(|job| job.as_uuid()).collect::<Vec<Uuid>>())
        .bind(serde_json::to_string(request).map_err(unwritten)?)
        .bind(request.project.0)
        .bind(request.role.as_str())
        .bind(i32::try_from(request.limits.max_attempts).unwrap_or(i32::MAX))
        .bind(pinned.map(|model| model.0));
    Ok(trail.bind_one(query))
}
