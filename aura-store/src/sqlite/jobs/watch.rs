//! What the engines ask: what can be assigned or assessed, who is busy, silent or failing, and when to look again.
//!
//! The engines ask at every pass, so the statements name the index that keeps their cost from growing with what is finished:
//! SQLite, which keeps no statistics here, would guess.

use aura_core::{Job, JobId, ModelId, PrdId, StoreError, contract::store::ModelLoad};
use chrono::{DateTime, Utc};

use super::{
    super::{
        SqliteStore, moment,
        row::{Named, each},
    },
    list::id_list,
    record::{self, job_columns},
};

/// A job whose PRD is missing was written by hand; no worker could do it.
pub(super) async fn schedulable(store: &SqliteStore, limit: u32) -> Result<Vec<Job>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM jobs WHERE status = 'QUEUED' AND (not_before IS NULL OR not_before <= ?)
         AND EXISTS (SELECT 1 FROM prds WHERE prds.id = jobs.prd_id) ORDER BY seq LIMIT ?"
    ));
    let query = query.bind(moment::text(store.clock.now())).bind(limit);
    each(&store.rows("list jobs that can be assigned", query).await?, record::job)
}

pub(super) async fn siblings(store: &SqliteStore, jobs: &[JobId]) -> Result<Vec<(PrdId, ModelId)>, StoreError> {
    let query = sqlx::query(
        "SELECT DISTINCT sibling.prd_id AS id, sibling.assigned_model
         FROM json_each(?) AS wanted CROSS JOIN jobs AS job ON job.id = wanted.value
         CROSS JOIN jobs AS sibling INDEXED BY jobs_by_prd ON sibling.prd_id = job.prd_id
         WHERE sibling.status IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED')",
    );
    each(&store.rows("list the models of siblings", query.bind(id_list(jobs))).await?, |row| {
        let named = Named::new("PRD", row);
        Ok((named.parsed("id")?, ModelId(named.number("assigned_model")?)))
    })
}

pub(super) async fn load(store: &SqliteStore) -> Result<Vec<ModelLoad>, StoreError> {
    let query = sqlx::query(
        "SELECT model AS id, sum(assigned) AS assigned, sum(in_progress) AS in_progress FROM (
             SELECT assigned_model AS model, count(*) AS assigned, 0 AS in_progress
             FROM jobs INDEXED BY jobs_assigned WHERE status = 'ASSIGNED' GROUP BY assigned_model
             UNION ALL
             SELECT assigned_model, 0, count(*)
             FROM jobs INDEXED BY jobs_running WHERE status = 'IN_PROGRESS' GROUP BY assigned_model
         ) GROUP BY model ORDER BY model",
    );
    each(&store.rows("read how busy models are", query).await?, |row| {
        let named = Named::new("load of model", row);
        Ok(ModelLoad {
            model: ModelId(named.number("id")?),
            assigned: named.number("assigned")?,
            in_progress: named.number("in_progress")?,
        })
    })
}

pub(super) async fn assessable(store: &SqliteStore, limit: u32) -> Result<Vec<PrdId>, StoreError> {
    let query = sqlx::query(
        "SELECT prds.id FROM open_prds JOIN prds ON prds.seq = open_prds.prd_seq
         WHERE open_jobs = 0 ORDER BY open_prds.prd_seq LIMIT ?",
    );
    each(&store.rows("list PRDs to be assessed", query.bind(limit)).await?, |row| Named::new("PRD", row).parsed("id"))
}

pub(super) async fn silent_jobs(store: &SqliteStore, since: DateTime<Utc>, limit: u32) -> Result<Vec<Job>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM jobs WHERE status NOT IN ('VALIDATED', 'FAILED', 'CANCELLED') AND updated_at <= ?
         ORDER BY updated_at, seq LIMIT ?"
    ));
    each(&store.rows("list silent jobs", query.bind(moment::text(since)).bind(limit)).await?, record::job)
}

/// Events are counted behind the job's last stored piece: by number where the piece left an event, by time where it was
/// written by hand.
pub(super) async fn failing_jobs(
    store: &SqliteStore,
    since: DateTime<Utc>,
    more_than: u32,
) -> Result<Vec<(JobId, u32)>, StoreError> {
    let query = sqlx::query(
        "SELECT failed.job_id AS id, count(*) AS failures FROM job_events AS failed INDEXED BY job_events_test_failed
         WHERE failed.event_type = 'test_failed' AND failed.created_at >= ?1
           AND failed.id > coalesce((SELECT max(stored.id) FROM job_events AS stored
                                     WHERE stored.job_id = failed.job_id AND stored.event_type = 'artifact.stored'), 0)
           AND failed.created_at >= coalesce((SELECT max(created_at) FROM model_artifacts
                                              WHERE model_artifacts.job_id = failed.job_id), '')
         GROUP BY failed.job_id HAVING count(*) > ?2 ORDER BY min(failed.id)",
    );
    let query = query.bind(moment::text(since)).bind(more_than);
    each(&store.rows("list failing jobs", query).await?, |row| {
        let named = Named::new("job", row);
        Ok((named.parsed("id")?, named.number("failures")?))
    })
}

pub(super) async fn next_deadline(store: &SqliteStore) -> Result<Option<DateTime<Utc>>, StoreError> {
    let query = sqlx::query(
        "SELECT 'next' AS id, min(at) AS at FROM (
             SELECT min(coalesce(lease_until, '')) AS at FROM jobs INDEXED BY jobs_leased
             WHERE status = 'IN_PROGRESS'
             UNION ALL
             SELECT min(not_before) FROM jobs INDEXED BY jobs_delayed
             WHERE status = 'QUEUED' AND not_before IS NOT NULL AND not_before > ?1
         )",
    );
    let Some(row) = store.row("find the next deadline", query.bind(moment::text(store.clock.now()))).await? else {
        return Ok(None);
    };
    let named = Named::new("deadline", &row);
    // A job put in progress by hand has no lease to wait for: it can be taken back at once.
    match named.get::<Option<&str>>("at")? {
        Some("") => Ok(Some(moment::micros(store.clock.now()))),
        _ => named.maybe_time("at"),
    }
}
