//! Takes what models made, one piece or several at once.

use aura_core::{
    Artifact, ArtifactKind, FencingToken, JobId, LeaseProof, Manager, ModelId, NewArtifact, Orchestra, WorkerId,
    contract::ArtifactUpload,
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Problem, body::Body, params::Name, router::App};

/// Most pieces in one call.
const MOST: usize = 1000;

/// A piece of a model's work.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ArtifactBody {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    /// diff, patch, result or docs.
    #[schema(value_type = String)]
    artifact_type: ArtifactKind,
    /// `{"files": [{path, text}]}`, `{"patch": "…"}`, `{"text": "…"}`, or the text itself.
    artifact: Value,
    /// Who holds the lease; a worker that says nothing is matched by model and state.
    #[schema(value_type = Option<String>)]
    worker_id: Option<WorkerId>,
    /// The token of the claim.
    #[schema(value_type = Option<i64>)]
    token: Option<FencingToken>,
}

/// Pieces of a model's work.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ArtifactsBody {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    /// The pieces, 1,000 at most: `[{artifact_type, artifact}]`, as in the call for one.
    #[schema(value_type = Vec<Object>)]
    artifacts: Vec<NewArtifact>,
    /// Who holds the lease; a worker that says nothing is matched by model and state.
    #[schema(value_type = Option<String>)]
    worker_id: Option<WorkerId>,
    /// The token of the claim.
    #[schema(value_type = Option<i64>)]
    token: Option<FencingToken>,
}

/// Stores a piece of a model's work under the job's lease. It is a sign of life too.
#[utoipa::path(
    post, path = "/models/{name}/artifact", tag = "work", params(("name" = String, Path)), request_body = ArtifactBody,
    responses(
        (status = 201, body = Object, description = "The stored piece: `{id, job_id, attempt, model_id, artifact_type, artifact, created_at}`"),
        (status = 404, body = Problem, description = "There is no such model or job"),
        (status = 409, body = Problem, description = "The job is another model's, or the lease is lost"),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn artifact(
    State(app): State<App>,
    Name(name): Name,
    Body(body): Body<ArtifactBody>,
) -> Result<(StatusCode, Json<Artifact>), Problem> {
    let model = app.orchestra.find_model(&name).await?;
    let upload = ArtifactUpload {
        job: body.job_id,
        model: model.profile.name,
        worker: body.worker_id,
        token: body.token,
        items: vec![NewArtifact { kind: body.artifact_type, body: body.artifact }],
    };
    match app.orchestra.upload_artifacts(&upload).await?.into_iter().next() {
        Some(artifact) => Ok((StatusCode::CREATED, Json(artifact))),
        None => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store did not answer with the stored piece")),
    }
}

/// Stores pieces of a model's work under the job's lease, all of them or none.
///
/// A worker whose answer got lost sends them again: when the attempt's newest pieces are these very ones, nothing is stored twice.
#[utoipa::path(
    post, path = "/models/{name}/artifacts", tag = "work", params(("name" = String, Path)), request_body = ArtifactsBody,
    responses(
        (status = 201, body = Vec<Object>, description = "The stored pieces: `[{id, job_id, attempt, model_id, artifact_type, artifact, created_at}]`"),
        (status = 200, body = Vec<Object>, description = "They were there already"),
        (status = 404, body = Problem, description = "There is no such model or job"),
        (status = 409, body = Problem, description = "The job is another model's, or the lease is lost"),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn artifacts(
    State(app): State<App>,
    Name(name): Name,
    Body(body): Body<ArtifactsBody>,
) -> Result<(StatusCode, Json<Vec<Artifact>>), Problem> {
    if body.artifacts.len() > MOST {
        return Err(Problem::invalid("artifacts", format!("artifacts: at most {MOST} are accepted")));
    }
    let model = app.orchestra.find_model(&name).await?;
    let upload = ArtifactUpload {
        job: body.job_id,
        model: model.profile.name,
        worker: body.worker_id,
        token: body.token,
        items: body.artifacts,
    };
    if let Some(there) = stored_before(&app.orchestra, &upload, model.id).await? {
        return Ok((StatusCode::OK, Json(there)));
    }
    Ok((StatusCode::CREATED, Json(app.orchestra.upload_artifacts(&upload).await?)))
}

/// The pieces, when they are the newest of the attempt whose lease the worker still holds. Without a token nobody can tell a piece
/// that is sent again from a second one like it.
async fn stored_before(
    orchestra: &Orchestra,
    upload: &ArtifactUpload,
    model: ModelId,
) -> Result<Option<Vec<Artifact>>, Problem> {
    let (Some(worker), Some(token)) = (&upload.worker, upload.token) else { return Ok(None) };
    let Ok(job) = orchestra.job(upload.job).await else { return Ok(None) };
    let mut there = orchestra.artifacts(upload.job).await?;
    there.retain(|artifact| artifact.attempt == job.attempt && artifact.model_id == model);
    let newest = there.split_off(there.len().saturating_sub(upload.items.len()));
    let are_these = newest.iter().map(|artifact| &artifact.content).eq(&upload.items);
    if newest.is_empty() || !are_these {
        return Ok(None);
    }
    let proof = LeaseProof { job: upload.job, worker: worker.clone(), token: Some(token) };
    match orchestra.heartbeat(&[proof]).await?.pop() {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(Some(newest)),
    }
}
