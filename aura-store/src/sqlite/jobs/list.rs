//! Reading PRDs, jobs and their histories.

use aura_core::{
    Job, JobEvent, JobId, JobStatus, Prd, PrdId, StoreError,
    contract::store::{JobCount, JobFilter},
};

use super::{
    super::{
        SqliteStore,
        row::{Named, each},
    },
    record::{self, job_columns, prd_columns},
};

/// The PRDs whose ids are in a JSON array, in its order.
pub(super) const PRDS_BY_ID: &str = concat!(
    "SELECT ",
    prd_columns!(),
    "FROM json_each(?1) AS wanted CROSS JOIN prds ON prds.id = wanted.value
     LEFT JOIN verdicts ON verdicts.prd_id = prds.id ORDER BY wanted.key"
);

/// Ids as a JSON array, to be bound as one value.
pub(super) fn id_list<I: ToString>(ids: impl IntoIterator<Item = I>) -> String {
    serde_json::Value::from_iter(ids.into_iter().map(|id| id.to_string())).to_string()
}

pub(super) async fn prds(store: &SqliteStore, ids: &[PrdId]) -> Result<Vec<Prd>, StoreError> {
    each(&store.rows("read PRDs", sqlx::query(PRDS_BY_ID).bind(id_list(ids))).await?, record::prd)
}

pub(super) async fn prd_by_key(store: &SqliteStore, key: &str) -> Result<Option<Prd>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        prd_columns!(),
        "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id WHERE idempotency_key = ?"
    ));
    store.row("read a PRD by its key", query.bind(key)).await?.map(|row| record::prd(&row)).transpose()
}

pub(super) async fn recent_prds(
    store: &SqliteStore,
    before: Option<PrdId>,
    limit: u32,
) -> Result<Vec<Prd>, StoreError> {
    let query = match before {
        None => sqlx::query(concat!(
            "SELECT ",
            prd_columns!(),
            "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id ORDER BY prds.seq DESC LIMIT ?"
        )),
        Some(before) => sqlx::query(concat!(
            "SELECT ",
            prd_columns!(),
            "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id
             WHERE prds.seq < (SELECT seq FROM prds WHERE id = ?) ORDER BY prds.seq DESC LIMIT ?"
        ))
        .bind(before.to_string()),
    };
    each(&store.rows("list PRDs", query.bind(limit)).await?, record::prd)
}

pub(super) async fn job(store: &SqliteStore, id: JobId) -> Result<Option<Job>, StoreError> {
    let query = sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE id = ?")).bind(id.to_string());
    store.row("read a job", query).await?.map(|row| record::job(&row)).transpose()
}

/// Each combination goes to the index that narrows most; a unary plus keeps SQLite from another one.
pub(super) async fn jobs(store: &SqliteStore, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
    let sql = match (filter.prd, filter.status, filter.model) {
        (Some(_), ..) => concat!(
            "SELECT ",
            job_columns!(),
            "FROM jobs WHERE prd_id = ?1 AND (?2 IS NULL OR +status = ?2) AND (?3 IS NULL OR +assigned_model = ?3)
             AND seq > coalesce((SELECT seq FROM jobs WHERE id = ?4), 0) ORDER BY seq LIMIT ?5"
        ),
        (None, Some(_), _) => concat!(
            "SELECT ",
            job_columns!(),
            "FROM jobs WHERE ?1 IS NULL AND status = ?2 AND (?3 IS NULL OR +assigned_model = ?3)
             AND seq > coalesce((SELECT seq FROM jobs WHERE id = ?4), 0) ORDER BY seq LIMIT ?5"
        ),
        (None, None, Some(_)) => concat!(
            "SELECT ",
            job_columns!(),
            "FROM jobs WHERE ?1 IS NULL AND ?2 IS NULL AND assigned_model = ?3
             AND seq > coalesce((SELECT seq FROM jobs WHERE id = ?4), 0) ORDER BY seq LIMIT ?5"
        ),
        (None, None, None) => concat!(
            "SELECT ",
            job_columns!(),
            "FROM jobs WHERE ?1 IS NULL AND ?2 IS NULL AND ?3 IS NULL
             AND seq > coalesce((SELECT seq FROM jobs WHERE id = ?4), 0) ORDER BY seq LIMIT ?5"
        ),
    };
    let query = sqlx::query(sql)
        .bind(filter.prd.map(|id| id.to_string()))
        .bind(filter.status.map(JobStatus::as_str))
        .bind(filter.model.map(|id| id.0))
        .bind(filter.after.map(|id| id.to_string()))
        .bind(filter.limit);
    each(&store.rows("list jobs", query).await?, record::job)
}

pub(super) async fn job_counts(store: &SqliteStore) -> Result<Vec<JobCount>, StoreError> {
    let query = sqlx::query("SELECT status AS id, jobs FROM job_totals WHERE jobs > 0");
    let mut counts = each(&store.rows("count jobs", query).await?, |row| {
        let named = Named::new("job count", row);
        Ok(JobCount { status: named.parsed("id")?, jobs: named.number("jobs")? })
    })?;
    counts.sort_by_key(|count| count.status);
    Ok(counts)
}

pub(super) async fn job_events(store: &SqliteStore, job: JobId) -> Result<Vec<JobEvent>, StoreError> {
    let query =
        sqlx::query("SELECT id, job_id, event_type, details, created_at FROM job_events WHERE job_id = ? ORDER BY id");
    each(&store.rows("read a job's history", query.bind(job.to_string())).await?, |row| {
        let named = Named::new("job event", row);
        Ok(JobEvent {
            id: named.get("id")?,
            job_id: named.parsed("job_id")?,
            event_type: named.get("event_type")?,
            details: named.json("details")?,
            created_at: named.time("created_at")?,
        })
    })
}
