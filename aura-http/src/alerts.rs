//! Alerts: raise one from outside, list them.

use aura_core::{Alert, JobId, NewAlert, Severity};
use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    Problem,
    body::Body,
    params::{self, Params},
    router::App,
    trail::NewestFirst,
};

/// What is wrong.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AlertBody {
    /// The job it is about; null for none.
    #[schema(value_type = Option<uuid::Uuid>)]
    job_id: Option<JobId>,
    /// info, warning or critical.
    #[schema(value_type = String)]
    severity: Severity,
    /// What is wrong, in a sentence.
    reason: String,
}

/// Raises an alert.
#[utoipa::path(
    post, path = "/alerts", tag = "trail", request_body = AlertBody,
    responses(
        (status = 200, body = Object, description = "`{\"ok\": true}`"),
        (status = 404, body = Problem, description = "There is no such job"),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn raise(State(app): State<App>, Body(body): Body<AlertBody>) -> Result<Json<Value>, Problem> {
    params::sentence("reason", &body.reason)?;
    let alert = NewAlert { job_id: body.job_id, severity: body.severity, rule: None, reason: body.reason };
    app.orchestra.raise(&alert).await?;
    Ok(Json(json!({ "ok": true })))
}

/// Alerts, newest first: `[{id, job_id, severity, rule, reason, created_at}]`.
#[utoipa::path(
    get, path = "/alerts", tag = "trail", params(NewestFirst),
    responses((status = 200, body = Vec<Object>), (status = 400, body = Problem))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<NewestFirst>,
) -> Result<Json<Vec<Alert>>, Problem> {
    let before = params::word::<i64>("before", params.before.as_deref())?;
    Ok(Json(app.orchestra.alerts(before, params::limit(params.limit.as_deref())?).await?))
}
