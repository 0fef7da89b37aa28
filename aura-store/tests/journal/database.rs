//! What the database holds at the end, read by plain SQL rather than by the store that wrote it.

use std::{collections::BTreeMap, time::Duration};

use aura_core::{AuditEntry, AuditSeq, JobId, JobStatus, PrdId, audit::EntryHash};
use sqlx::{PgPool, Row as _, postgres::PgRow};

#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    pub(crate) prds: Vec<PrdRow>,
    pub(crate) jobs: Vec<JobRow>,
    /// Job and attempt of each.
    pub(crate) runs: Vec<(JobId, u32)>,
    pub(crate) history: Vec<AuditEntry>,
    /// How many runs the statistics of models add up to.
    pub(crate) counted: i64,
    /// How many jobs are in each state, as the store keeps count.
    pub(crate) totals: BTreeMap<JobStatus, i64>,
    /// Rows that only wait for something, in any table: at the end nothing does.
    pub(crate) left: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct PrdRow {
    pub(crate) id: PrdId,
    pub(crate) key: String,
    pub(crate) settled: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) id: JobId,
    pub(crate) prd: PrdId,
    pub(crate) status: JobStatus,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
}

async fn rows(pool: &PgPool, sql: &'static str) -> Vec<PgRow> {
    sqlx::query(sql).fetch_all(pool).await.unwrap()
}

fn small(row: &PgRow, column: &str) -> u32 {
    u32::try_from(row.get::<i32, _>(column)).unwrap()
}

/// How many PRDs and jobs have not ended.
pub(crate) async fn open_ends(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let sql = "SELECT (SELECT count(*) FROM prds WHERE id NOT IN (SELECT prd_id FROM verdicts))
                   + (SELECT count(*) FROM jobs WHERE ended IS NULL)";
    sqlx::query_scalar(sql).fetch_one(pool).await
}

pub(crate) async fn attempt_of(pool: &PgPool, job: JobId) -> Result<u32, sqlx::Error> {
    let attempt: i32 =
        sqlx::query_scalar("SELECT attempt FROM jobs WHERE id = $1").bind(job.as_uuid()).fetch_one(pool).await?;
    Ok(u32::try_from(attempt).unwrap_or_default())
}

/// For how long a transaction waits for its process when that one was stopped.
pub(crate) const STILL: Duration = Duration::from_millis(50);

/// How many transactions have waited so long for their process.
pub(crate) async fn still_transactions(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
                   AND state_change < clock_timestamp() - $1 * interval '1 s'";
    sqlx::query_scalar(sql).bind(STILL.as_secs_f64()).fetch_one(pool).await
}

impl Database {
    pub(crate) async fn read(pool: &PgPool) -> Self {
        let prds = "SELECT id, coalesce(idempotency_key, request ->> 'title', '') AS key,
                        EXISTS (SELECT FROM verdicts WHERE prd_id = id) AS settled FROM prds";
        let prds = rows(pool, prds).await;
        let prds = prds.iter().map(|row| PrdRow {
            id: PrdId::from_uuid(row.get("id")),
            key: row.get("key"),
            settled: row.get("settled"),
        });
        let jobs = rows(pool, "SELECT id, prd_id, status, attempt, max_attempts FROM jobs ORDER BY seq").await;
        let jobs = jobs.iter().map(|row| JobRow {
            id: JobId::from_uuid(row.get("id")),
            prd: PrdId::from_uuid(row.get("prd_id")),
            status: row.get::<&str, _>("status").parse().unwrap(),
            attempt: small(row, "attempt"),
            max_attempts: small(row, "max_attempts"),
        });
        let runs = rows(pool, "SELECT job_id, attempt FROM model_runs").await;
        let runs = runs.iter().map(|row| (JobId::from_uuid(row.get("job_id")), small(row, "attempt")));
        let history = "SELECT id, actor, action, details, created_at, encode(hash, 'hex') AS hash
                       FROM audit_log ORDER BY id";
        let history = rows(pool, history).await.into_iter().map(|row| AuditEntry {
            seq: AuditSeq(row.get("id")),
            actor: row.get("actor"),
            action: row.get("action"),
            details: row.get("details"),
            created_at: row.get("created_at"),
            hash: row.get::<Option<String>, _>("hash").map(EntryHash),
        });
        let counted = rows(pool, "SELECT coalesce(sum(runs), 0)::bigint AS runs FROM model_daily").await;
        let totals = "SELECT status, sum(jobs)::bigint AS jobs FROM job_totals GROUP BY status HAVING sum(jobs) <> 0";
        let totals = rows(pool, totals).await;
        let totals = totals.iter().map(|row| (row.get::<&str, _>("status").parse().unwrap(), row.get("jobs")));
        let left = "SELECT 'queue holds job ' || job AS what FROM queue UNION ALL
                    SELECT 'prds_to_assess holds ' || prd_id FROM prds_to_assess
                        WHERE prd_id NOT IN (SELECT prd_id FROM verdicts) UNION ALL
                    SELECT 'ended_jobs is wrong about ' || coalesce(ended.job, jobs.id)
                        FROM ended_jobs AS ended FULL JOIN
                            (SELECT * FROM jobs WHERE status IN ('VALIDATED', 'FAILED', 'CANCELLED')) AS jobs
                            ON (ended.job, ended.status, ended.seq, ended.model)
                                = (jobs.id, jobs.status, jobs.seq, coalesce(jobs.assigned_model, 0))
                        WHERE ended.job IS NULL OR jobs.id IS NULL";
        Self {
            prds: prds.collect(),
            jobs: jobs.collect(),
            runs: runs.collect(),
            history: history.collect(),
            counted: counted.iter().map(|row| row.get::<i64, _>("runs")).sum(),
            totals: totals.collect(),
            left: rows(pool, left).await.iter().map(|row| row.get("what")).collect(),
        }
    }
}
