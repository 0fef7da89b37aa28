//! What the engines ask: what can be assigned or assessed, who is busy, silent or failing, and when to look again. None of
//! these costs anything that grows with what is finished.

use std::collections::BTreeSet;

use aura_core::{
    Job, JobId, ModelId, PrdId, StoreError,
    contract::store::{ModelLoad, Schedulable},
};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;

use super::{
    super::{
        Core,
        marks::Scan,
        row::{Named, each},
    },
    list::uuids,
    record::{self, claimed_lately, job_columns, submitted},
};

/// Queued jobs, and with each what else is named.
macro_rules! queued {
    ($with:literal) => {
        concat!(
            "SELECT ",
            job_columns!(),
            $with,
            " FROM jobs WHERE id = ANY(ARRAY(
                 SELECT job FROM queue
                 WHERE model = 0 AND seq > (SELECT $3::bigint)
                     AND (not_before IS NULL OR not_before <= (SELECT coalesce($1, statement_timestamp())))
                 ORDER BY seq LIMIT (SELECT $2::bigint)))
             AND status = 'QUEUED' ORDER BY seq"
        )
    };
}

/// A job whose PRD is missing was written by hand; no worker could do it.
pub(super) async fn schedulable(core: &Core, limit: u32) -> Result<Vec<Job>, StoreError> {
    each(&queued(core, queued!(""), limit).await?, record::job)
}

/// In one look: the scheduler waits for it each time that something is queued.
pub(super) async fn schedulable_with_siblings(core: &Core, limit: u32) -> Result<Schedulable, StoreError> {
    let sql = queued!(
        ", ARRAY(SELECT sibling.assigned_model FROM jobs AS sibling WHERE sibling.prd_id = jobs.prd_id
                   AND sibling.assigned_model IS NOT NULL
                   AND sibling.status IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED')) AS siblings"
    );
    let (mut jobs, mut taken) = (Vec::new(), BTreeSet::new());
    for row in queued(core, sql, limit).await? {
        let job = record::job(&row)?;
        let siblings: Vec<i32> = Named::new("job", &row).get("siblings")?;
        taken.extend(siblings.into_iter().map(|model| (job.prd_id, ModelId(model))));
        jobs.push(job);
    }
    Ok(Schedulable { jobs, siblings: taken.into_iter().collect() })
}

async fn queued(core: &Core, sql: &'static str, limit: u32) -> Result<Vec<PgRow>, StoreError> {
    let query = sqlx::query(sql).bind(core.given_now()).bind(i64::from(limit)).bind(core.mark(Scan::QUEUED).await?);
    core.rows("list jobs that can be assigned", query).await
}

/// Nearly every PRD has one job, and a queued one has no model: few rows come back.
pub(super) async fn siblings(core: &Core, jobs: &[JobId]) -> Result<Vec<(PrdId, ModelId)>, StoreError> {
    let query = sqlx::query(
        "SELECT DISTINCT sibling.prd_id AS id, sibling.assigned_model
         FROM jobs AS job JOIN jobs AS sibling ON sibling.prd_id = job.prd_id
         WHERE job.id = ANY(ARRAY(SELECT unnest($1::uuid[]))) AND sibling.status IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED')",
    );
    each(&core.rows("list the models of siblings", query.bind(uuids(jobs.iter().copied()))).await?, |row| {
        let named = Named::new("PRD", row);
        Ok((PrdId::from_uuid(named.get("id")?), ModelId(named.get("assigned_model")?)))
    })
}

pub(super) async fn load(core: &Core) -> Result<Vec<ModelLoad>, StoreError> {
    let query = sqlx::query(
        "SELECT model AS id, assigned, in_progress FROM (
             SELECT model, coalesce(sum(jobs) FILTER (WHERE status = 'ASSIGNED'), 0)::bigint AS assigned,
                 coalesce(sum(jobs) FILTER (WHERE status = 'IN_PROGRESS'), 0)::bigint AS in_progress
             FROM job_totals WHERE model <> 0 GROUP BY model
         ) AS busy WHERE assigned > 0 OR in_progress > 0 ORDER BY model",
    );
    each(&core.rows("read how busy models are", query).await?, |row| {
        let named = Named::new("load of model", row);
        Ok(ModelLoad {
            model: ModelId(named.get("id")?),
            assigned: named.number("assigned")?,
            in_progress: named.number("in_progress")?,
        })
    })
}

/// A PRD that is to be looked at may still have jobs under way; such jobs are as many as workers have.
pub(super) async fn assessable(core: &Core, limit: u32) -> Result<Vec<PrdId>, StoreError> {
    let query = sqlx::query(
        "SELECT prd_id AS id FROM (
             SELECT prd_id FROM prds_to_assess UNION SELECT prd FROM handed_in, unnest(prds) AS prd
         ) AS due
         WHERE EXISTS (SELECT 1 FROM prds WHERE prds.id = due.prd_id OFFSET 0)
           AND NOT EXISTS (SELECT 1 FROM verdicts WHERE verdicts.prd_id = due.prd_id OFFSET 0)
           AND NOT EXISTS (
             SELECT 1 FROM jobs WHERE jobs.prd_id = due.prd_id AND status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS') OFFSET 0)
         ORDER BY prd_id LIMIT $1",
    );
    let rows = core.rows("list PRDs to be assessed", query.bind(i64::from(limit))).await?;
    each(&rows, |row| Ok(PrdId::from_uuid(Named::new("PRD", row).get("id")?)))
}

pub(super) async fn silent_jobs(core: &Core, since: DateTime<Utc>, limit: u32) -> Result<Vec<Job>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM jobs WHERE id = ANY(ARRAY(SELECT job FROM queue WHERE since <= $1) || ",
        claimed_lately!(),
        " || ",
        submitted!(),
        ") AND updated_at <= $1 AND status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS', 'SUBMITTED')
         ORDER BY updated_at, seq LIMIT $2"
    ));
    each(&core.rows("list silent jobs", query.bind(since).bind(i64::from(limit))).await?, record::job)
}

/// Events are counted behind the job's last stored piece: by number where the piece left an event, by time where it was
/// written by hand.
pub(super) async fn failing_jobs(
    core: &Core,
    since: DateTime<Utc>,
    more_than: u32,
) -> Result<Vec<(JobId, u32)>, StoreError> {
    let query = sqlx::query(
        "SELECT failed.job_id AS id, count(*) AS failures FROM (
             SELECT id, job_id, created_at FROM audit_log WHERE action = 'test_failed' AND job_id IS NOT NULL UNION ALL
             SELECT id, job_id, created_at FROM job_events_by_hand WHERE event_type = 'test_failed'
         ) AS failed
         WHERE failed.created_at >= $1
           AND failed.id > coalesce((SELECT max(stored.id) FROM audit_log AS stored
                                     WHERE stored.job_id = failed.job_id AND stored.action = 'artifact.stored'), 0)
           AND failed.created_at >= coalesce((SELECT max(created_at) FROM model_artifacts
                                              WHERE model_artifacts.job_id = failed.job_id), '-infinity')
         GROUP BY failed.job_id HAVING count(*) > $2 ORDER BY min(failed.id)",
    );
    let query = query.bind(since).bind(i64::from(more_than));
    each(&core.rows("list failing jobs", query).await?, |row| {
        let named = Named::new("job", row);
        Ok((JobId::from_uuid(named.get("id")?), named.number("failures")?))
    })
}

/// A job put in progress by hand has no lease to wait for: it can be taken back at once.
pub(super) async fn next_deadline(core: &Core) -> Result<Option<DateTime<Utc>>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT 'next' AS id, least(
             (SELECT min(coalesce(lease_until, $1, statement_timestamp())) FROM jobs WHERE status = 'IN_PROGRESS' AND id = ANY(",
        claimed_lately!(),
        ")),
             (SELECT not_before FROM queue WHERE model = 0 AND not_before IS NOT NULL AND not_before > coalesce($1, statement_timestamp())
              ORDER BY not_before LIMIT 1)
         ) AS at"
    ));
    match core.row("find the next deadline", query.bind(core.given_now())).await? {
        Some(row) => Named::new("deadline", &row).maybe_time("at"),
        None => Ok(None),
    }
}
