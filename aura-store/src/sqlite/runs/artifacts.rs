//! Pieces of generations, stored under their lease.

use std::time::Duration;

use aura_core::{
    Action, Actor, Artifact, ArtifactId, Job, JobId, JobState, ModelId, NewArtifact, StoreError,
    contract::store::{ArtifactBatch, Each},
};
use serde_json::json;

use super::super::{
    SqliteStore,
    jobs::record::{self, job_columns},
    moment,
    row::{Named, each},
    write::{Write, answer},
};
use crate::facts::facts;

pub(super) async fn add(
    store: &SqliteStore,
    batches: &[ArtifactBatch],
    extend_to: Duration,
) -> Result<Each<Vec<Artifact>>, StoreError> {
    let mut write = store.write("store artifacts").await?;
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        answer(add_one(&mut write, batch, extend_to).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn add_one(
    write: &mut Write<'_>,
    batch: &ArtifactBatch,
    extend_to: Duration,
) -> Result<Vec<Artifact>, StoreError> {
    let query = sqlx::query(concat!(
        "UPDATE jobs SET updated_at = ?1, lease_until = max(lease_until, ?2)
         WHERE id = ?3 AND status = 'IN_PROGRESS' AND assigned_model = ?4 AND (?5 IS NULL OR worker_id = ?5)
           AND (lease_token = ?6 OR (?6 IS NULL AND door = 'remote')) AND lease_until > ?1 RETURNING ",
        job_columns!()
    ));
    let query = query
        .bind(write.now_text())
        .bind(moment::text(moment::after(write.now, extend_to)))
        .bind(batch.job.to_string())
        .bind(batch.model.0)
        .bind(batch.worker.as_ref().map(|worker| worker.as_str().to_owned()))
        .bind(batch.token.map(|token| token.0));
    let Some(row) = write.row(query).await? else {
        return Err(refusal(write, batch).await?);
    };
    let job = record::job(&row)?;
    let name = write.name_of(Some(batch.model)).await?;
    let actor = match &job.state {
        JobState::InProgress { lease, .. } => Actor::worker(&lease.worker),
        state => return Err(StoreError::corrupt("job", job.id, format!("it is {}, not in progress", state.status()))),
    };
    let mut stored = Vec::with_capacity(batch.items.len());
    for item in &batch.items {
        let artifact = insert(write, &job, batch.model, item).await?;
        let more = json!({ "artifact_id": artifact.id, "artifact_type": item.kind });
        write.trail.both(&actor, job.id, Action::ArtifactStored, facts(&job, name.as_deref(), more));
        stored.push(artifact);
    }
    Ok(stored)
}

async fn insert(write: &mut Write<'_>, job: &Job, model: ModelId, item: &NewArtifact) -> Result<Artifact, StoreError> {
    let query = sqlx::query(
        "INSERT INTO model_artifacts (job_id, model_id, artifact_type, artifact, created_at, attempt)
         VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
    );
    let query = query
        .bind(job.id.to_string())
        .bind(model.0)
        .bind(item.kind.as_str())
        .bind(item.body.to_string())
        .bind(write.now_text())
        .bind(job.attempt);
    let row = write.row(query).await?;
    let row = row.ok_or_else(|| StoreError::corrupt("job", job.id, "its artifact got no number"))?;
    Ok(Artifact {
        id: ArtifactId(Named::new("artifact", &row).get("id")?),
        job_id: job.id,
        attempt: job.attempt,
        model_id: model,
        content: item.clone(),
        created_at: write.now,
    })
}

/// Why the pieces were not taken.
async fn refusal(write: &mut Write<'_>, batch: &ArtifactBatch) -> Result<StoreError, StoreError> {
    let job = match write.job(batch.job).await {
        Ok(job) => job,
        Err(error @ StoreError::NotFound { .. }) => return Ok(error),
        Err(error) => return Err(error),
    };
    match job.state.model() {
        Some(owner) if owner != batch.model => {
            let owner = write.name_of(Some(owner)).await?.unwrap_or_else(|| format!("number {owner}"));
            let asked = write.name_of(Some(batch.model)).await?.unwrap_or_else(|| format!("number {}", batch.model));
            let reason = format!("belongs to model {owner}: artifacts in the name of {asked} are refused");
            Ok(StoreError::conflict("job", job.id, reason))
        }
        _ => Ok(StoreError::LeaseLost { job: job.id, worker: batch.worker.clone() }),
    }
}

/// A piece written by hand belongs to the attempt under way.
pub(super) async fn of_job(store: &SqliteStore, job: JobId) -> Result<Vec<Artifact>, StoreError> {
    let query = sqlx::query(
        "SELECT model_artifacts.id, job_id, model_id, artifact_type, artifact, model_artifacts.created_at,
             coalesce(model_artifacts.attempt, jobs.attempt, 0) AS attempt
         FROM model_artifacts LEFT JOIN jobs ON jobs.id = model_artifacts.job_id
         WHERE job_id = ? ORDER BY model_artifacts.id",
    );
    each(&store.rows("read a job's artifacts", query.bind(job.to_string())).await?, |row| {
        let named = Named::new("artifact", row);
        Ok(Artifact {
            id: ArtifactId(named.get("id")?),
            job_id: named.parsed("job_id")?,
            attempt: named.number("attempt")?,
            model_id: ModelId(named.number("model_id")?),
            content: NewArtifact { kind: named.parsed("artifact_type")?, body: named.json("artifact")? },
            created_at: named.time("created_at")?,
        })
    })
}
