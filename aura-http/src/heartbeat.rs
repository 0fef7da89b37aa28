//! Signs of life: a lease, all leases of a worker, and what its machine has left.

use aura_core::{FencingToken, JobId, LeaseProof, Manager, Resources, WorkerId, contract::Sighting};
use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{Problem, body::Body, models, params::Id, router::App};

/// Most leases that one call may extend.
const MOST: usize = 1000;

/// Most bytes of JSON that a worker may tell of its machine in (64 KiB): it is remembered for each of many workers.
const MAX_RESOURCES: usize = 64 << 10;

/// Who is still at it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct HeartbeatBody {
    #[schema(value_type = String)]
    worker_id: WorkerId,
    /// The token of the claim.
    #[schema(value_type = Option<i64>)]
    token: Option<FencingToken>,
}

/// A lease among others.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct LeaseBody {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    /// The token of the claim.
    #[schema(value_type = Option<i64>)]
    token: Option<FencingToken>,
    /// Who holds it, where that is not who sends this.
    #[schema(value_type = Option<String>)]
    worker_id: Option<WorkerId>,
}

/// A worker that shows itself, with all that it has in hand.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct HeartbeatsBody {
    #[schema(value_type = String)]
    worker_id: WorkerId,
    /// The leases to extend, 1,000 at most; none (the default) for a worker that has nothing to do.
    #[serde(default)]
    leases: Vec<LeaseBody>,
    /// Models whose jobs it would do now; they count as worked for. Short backend names will do.
    models: Option<Vec<String>>,
    /// What its machine has left: `{gpus: [{name, total, free}], free_memory, cores}`, memory in MiB; what was not measured is left
    /// out; at most 64 KiB. People can see it at `/overview`.
    #[schema(value_type = Option<Object>)]
    resources: Option<Resources>,
}

/// What came of one lease.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BeatView {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    /// When it ends now unless it is extended again; null when it was not extended.
    until: Option<DateTime<Utc>>,
    /// Why it was not extended. With the status 404 or 409 it is lost: drop the work.
    problem: Option<Problem>,
}

/// What came of each lease, in the order they were sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BeatsView {
    leases: Vec<BeatView>,
}

/// Extends a lease; answers with its new end.
#[utoipa::path(
    post, path = "/jobs/{id}/heartbeat", tag = "work", params(("id" = uuid::Uuid, Path)), request_body = HeartbeatBody,
    responses(
        (status = 200, body = Object, description = "`{\"until\": time}`"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The lease is lost: drop the work"),
    )
)]
pub(crate) async fn heartbeat(
    State(app): State<App>,
    Id(job): Id<JobId>,
    Body(body): Body<HeartbeatBody>,
) -> Result<Json<Value>, Problem> {
    let proof = LeaseProof { job, worker: body.worker_id, token: body.token };
    match app.orchestra.heartbeat(&[proof]).await?.pop() {
        Some(until) => Ok(Json(json!({ "until": until? }))),
        None => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the heartbeat was not answered")),
    }
}

/// Extends all leases of a worker, and takes note of the worker.
#[utoipa::path(
    post, path = "/jobs/heartbeat", tag = "work", request_body = HeartbeatsBody,
    responses(
        (status = 200, body = BeatsView),
        (status = 404, body = Problem, description = "One of the models is unknown"),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn heartbeats(
    State(app): State<App>,
    Body(body): Body<HeartbeatsBody>,
) -> Result<Json<BeatsView>, Problem> {
    if body.leases.len() > MOST {
        return Err(Problem::invalid("leases", format!("leases: at most {MOST} are accepted")));
    }
    if body.resources.as_ref().is_some_and(|resources| json!(resources).to_string().len() > MAX_RESOURCES) {
        return Err(Problem::invalid("resources", format!("resources: at most {MAX_RESOURCES} bytes are accepted")));
    }
    models::few_enough(body.models.as_deref().unwrap_or_default())?;
    let worker = |lease: &LeaseBody| lease.worker_id.clone().unwrap_or_else(|| body.worker_id.clone());
    let proof = |lease: &LeaseBody| LeaseProof { job: lease.job_id, worker: worker(lease), token: lease.token };
    let proofs: Vec<_> = body.leases.iter().map(proof).collect();
    // Leases first: they end, and what people see can wait.
    let beats = if proofs.is_empty() { Vec::new() } else { app.orchestra.heartbeat(&proofs).await? };
    let leases = proofs.iter().zip(beats).map(|(proof, beat)| match beat {
        Ok(until) => BeatView { job_id: proof.job, until: Some(until), problem: None },
        Err(error) => BeatView { job_id: proof.job, until: None, problem: Some(error.into()) },
    });
    let leases = leases.collect();
    if body.models.is_some() || body.resources.is_some() {
        let models = app.orchestra.full_names(&body.models.unwrap_or_default()).await?;
        let sighting = Sighting { worker_id: body.worker_id, models, resources: body.resources };
        app.orchestra.observe(&sighting).await?;
    }
    Ok(Json(BeatsView { leases }))
}
