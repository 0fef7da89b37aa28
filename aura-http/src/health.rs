//! Whether it is up, and how it stands.

use std::{collections::BTreeMap, time::Duration};

use aura_core::{Action, Isolation, engine::RemoteWorker};
use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{Problem, router::App};

/// How long the store may take to answer before the orchestra counts as not ready: less than the seconds that those who ask
/// for readiness wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// When to ask again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How the orchestra stands, for the page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// Version of the HTTP door.
    version: &'static str,
    /// What somebody who reads the figures must know, in sentences.
    notices: Vec<String>,
    /// Jobs in each state; states without any are left out.
    jobs: BTreeMap<&'static str, u64>,
    /// Workers in this process.
    workers: usize,
    /// Workers of other processes that this one saw within ten minutes:
    /// `[{id, last_seen, models, jobs, resources, resources_at}]`.
    #[schema(value_type = Vec<Object>)]
    remote_workers: Vec<RemoteWorker>,
    /// What the sandbox enforces; null without one.
    #[schema(value_type = Option<Object>)]
    sandbox: Value,
    /// Whether tests of model-written code run even where the sandbox isolates nothing.
    allow_unsandboxed: bool,
    /// The place of the newest entry of the audit log; 0 while it is empty.
    newest_event: i64,
    /// Every word that can stand as `event` in the live stream.
    actions: Vec<&'static str>,
}

/// How the orchestra stands: notices, jobs by state, workers, sandbox.
#[utoipa::path(get, path = "/overview", tag = "health", responses((status = 200, body = Overview)))]
pub(crate) async fn overview(State(app): State<App>) -> Result<Json<Overview>, Problem> {
    let facts = app.orchestra.facts();
    let mut notices = app.options.notices.clone();
    let isolated = facts.sandbox.as_ref().is_some_and(|sandbox| sandbox.isolation > Isolation::None);
    if facts.allow_unsandboxed && !isolated {
        notices.push(
            "Tests of model-written code run without a sandbox, as the operator allowed: that code can do whatever this \
             process can."
                .to_owned(),
        );
    }
    for model in app.orchestra.models().await? {
        if let Some(why) = model.profile.stub {
            notices.push(format!("{} is a stub, no real model: {why}", model.profile.name));
        }
    }
    let counts = app.orchestra.job_counts().await?;
    Ok(Json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        notices,
        jobs: counts.into_iter().map(|count| (count.status.as_str(), count.jobs)).collect(),
        workers: facts.workers,
        remote_workers: app.orchestra.remote_workers(),
        sandbox: serde_json::to_value(&facts.sandbox).unwrap_or_default(),
        allow_unsandboxed: facts.allow_unsandboxed,
        newest_event: app.orchestra.audit_range().await?.map_or(0, |(_, newest)| newest.0),
        actions: Action::ALL.iter().map(|action| action.as_str()).collect(),
    }))
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Object)))]
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// It takes work: it is not stopping, nor about to, and its store answers.
#[utoipa::path(
    get, path = "/readyz", tag = "health", responses((status = 200, body = Object), (status = 503, body = Problem))
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.orchestra.is_stopping() {
        return Err(aura_core::Error::Stopping.into());
    }
    if app.options.drain.has_begun() {
        let detail = "this node is about to stop: it serves what comes, but new requests belong to another node";
        return Err(Problem::unavailable(detail, ASK_AGAIN));
    }
    // Read where writes go, never from a copy: a copy may answer while nothing can be written.
    match tokio::time::timeout(PATIENCE, app.orchestra.job_counts()).await {
        Ok(Ok(_)) => Ok(Json(json!({ "status": "ready" }))),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable(error.to_string(), ASK_AGAIN))
        }
        Err(_) => {
            tracing::warn!("not ready: the store does not answer");
            Err(Problem::unavailable(
                format!("the store did not answer within {} seconds: is the database up?", PATIENCE.as_secs()),
                ASK_AGAIN,
            ))
        }
    }
}
