//! Submission: a PRD with its jobs, queued.

use aura_core::{
    Action, Actor, NewPrd, Prd, StoreError,
    contract::store::{Each, NewPrdRecord, Submitted},
};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;

use super::{
    super::{
        SqliteStore,
        row::Named,
        write::{Write, answer},
    },
    record::{prd, prd_columns},
};

pub(super) async fn submit(store: &SqliteStore, prds: &[NewPrdRecord]) -> Result<Each<Submitted>, StoreError> {
    let mut write = store.write("store PRDs").await?;
    let mut answers = Vec::with_capacity(prds.len());
    for record in prds {
        answer(submit_one(&mut write, record).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn submit_one(write: &mut Write<'_>, record: &NewPrdRecord) -> Result<Submitted, StoreError> {
    let request = serde_json::to_value(&record.request)
        .map_err(|error| StoreError::Backend { action: "write a PRD as JSON", source: Box::new(error) })?;
    if let Some(known) = find_by_key(write, &record.request).await? {
        return same_request(&known, &request).map(|prd| Submitted { prd, created: false });
    }
    check_is_new(write, record).await?;
    insert(write, record, &request).await?;
    let prd = Prd {
        id: record.id,
        request: record.request.clone(),
        jobs: record.jobs.clone(),
        created_at: write.now,
        verdict: None,
    };
    Ok(Submitted { prd, created: true })
}

async fn find_by_key(write: &mut Write<'_>, request: &NewPrd) -> Result<Option<SqliteRow>, StoreError> {
    let Some(key) = &request.idempotency_key else { return Ok(None) };
    let query = sqlx::query(concat!(
        "SELECT ",
        prd_columns!(),
        "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id WHERE idempotency_key = ?"
    ));
    write.row(query.bind(key)).await
}

/// Compares as JSON: that is what was stored.
fn same_request(known: &SqliteRow, request: &Value) -> Result<Prd, StoreError> {
    let stored: Value = Named::new("PRD", known).json("request")?;
    let prd = prd(known)?;
    if stored == *request {
        return Ok(prd);
    }
    let reason = "has the same idempotency key, but another request: use a new key for new work";
    Err(StoreError::conflict("PRD", prd.id, reason))
}

/// Everything that could make the inserts fail for this item alone, asked before anything is written.
async fn check_is_new(write: &mut Write<'_>, record: &NewPrdRecord) -> Result<(), StoreError> {
    let id = record.id.to_string();
    if write.row(sqlx::query("SELECT id FROM prds WHERE id = ?").bind(&id)).await?.is_some() {
        return Err(StoreError::conflict("PRD", id, "exists already"));
    }
    let jobs = serde_json::to_string(&record.jobs).unwrap_or_default();
    let query = sqlx::query("SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(?))").bind(jobs);
    if let Some(row) = write.row(query).await? {
        return Err(StoreError::conflict("job", Named::new("job", &row).get::<String>("id")?, "exists already"));
    }
    if let Some(pinned) = record.pinned
        && write.name_of(Some(pinned)).await?.is_none()
    {
        return Err(StoreError::not_found("model", pinned));
    }
    Ok(())
}

async fn insert(write: &mut Write<'_>, record: &NewPrdRecord, request: &Value) -> Result<(), StoreError> {
    let now = write.now_text();
    let NewPrdRecord { id, request: asked, pinned, jobs } = record;
    write
        .run(
            sqlx::query("INSERT INTO prds (id, request, idempotency_key, created_at) VALUES (?, ?, ?, ?)")
                .bind(id.to_string())
                .bind(request.to_string())
                .bind(&asked.idempotency_key)
                .bind(&now),
        )
        .await?;
    // A PRD without jobs is open too, although no job's trigger says so.
    write
        .run(
            sqlx::query("INSERT INTO open_prds (prd_seq, open_jobs) SELECT seq, 0 FROM prds WHERE id = ?")
                .bind(id.to_string()),
        )
        .await?;
    for job in jobs {
        write
            .run(
                sqlx::query(
                    "INSERT INTO jobs (id, prd_id, project_id, role, status, max_attempts, pinned_model, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, 'QUEUED', ?5, ?6, ?7, ?7)",
                )
                .bind(job.to_string())
                .bind(id.to_string())
                .bind(asked.project.0)
                .bind(asked.role.as_str())
                .bind(asked.limits.max_attempts)
                .bind(pinned.map(|model| model.0))
                .bind(&now),
            )
            .await?;
    }
    let submitter = Actor::submitter();
    let details =
        json!({ "prd_id": id, "jobs": jobs, "title": asked.headline(), "role": asked.role, "plan": asked.plan });
    write.trail.entry(&submitter, Action::PrdSubmitted, details);
    for job in jobs {
        write.trail.event(*job, Action::JobQueued, json!({ "job_id": job, "prd_id": id }));
    }
    Ok(())
}
