//! The trail: the audit log, the proof that nobody edited it, and HR's decisions.

use aura_core::{AuditSeq, HrAction, ModelId, ModelName, audit::ChainReport};
use axum::{
    Json,
    extract::{OriginalUri, State},
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Problem,
    job_view::Names,
    params::{self, Params},
    router::App,
};

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// Only those after this place (default 0: from the oldest).
    #[param(value_type = Option<i64>)]
    after: Option<String>,
    /// How many, 1 to 1000 (default 100).
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
}

/// Which rows to list, newest first.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewestFirst {
    /// Only those before this number.
    #[param(value_type = Option<i64>)]
    pub(crate) before: Option<String>,
    /// How many, 1 to 1000 (default 100).
    #[param(value_type = Option<u32>)]
    pub(crate) limit: Option<String>,
}

/// A decision of HR.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromotionView {
    id: i64,
    #[schema(value_type = i32)]
    model_id: ModelId,
    #[schema(value_type = Option<String>)]
    model: Option<ModelName>,
    /// promote, demote, restrict or restore.
    #[schema(value_type = String)]
    action: HrAction,
    /// Why, with the figures.
    reason: String,
    performed_at: DateTime<Utc>,
}

/// HR's decisions, newest first.
#[utoipa::path(
    get, path = "/promotions", tag = "trail", params(NewestFirst),
    responses((status = 200, body = Vec<PromotionView>), (status = 400, body = Problem))
)]
pub(crate) async fn promotions(
    State(app): State<App>,
    Params(params): Params<NewestFirst>,
) -> Result<Json<Vec<PromotionView>>, Problem> {
    let before = params::word::<i64>("before", params.before.as_deref())?;
    let found = app.orchestra.promotions(before, params::limit(params.limit.as_deref())?).await?;
    let names = Names::read(&app.orchestra).await?;
    let view = |promotion: aura_core::Promotion| PromotionView {
        id: promotion.id,
        model_id: promotion.model_id,
        model: names.get(promotion.model_id),
        action: promotion.action,
        reason: promotion.reason,
        performed_at: promotion.performed_at,
    };
    Ok(Json(found.into_iter().map(view).collect()))
}

/// The audit log in order: `[{seq, actor, action, details, created_at, hash}]`. The Link header leads to the next page.
#[utoipa::path(
    get, path = "/audit", tag = "trail", params(AuditParams),
    responses((status = 200, body = Vec<Object>), (status = 400, body = Problem))
)]
pub(crate) async fn audit(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<AuditParams>,
) -> Result<Response, Problem> {
    let after = match params::word::<i64>("after", params.after.as_deref())?.unwrap_or(0) {
        after @ 0.. => AuditSeq(after),
        _ => return Err(Problem::bad_request("after: must not be negative").field("after")),
    };
    let limit = params::limit(params.limit.as_deref())?;
    let entries = app.orchestra.audit(after, limit).await?;
    let next = entries.last().filter(|_| entries.len() >= limit as usize);
    let link = next.map(|last| [(header::LINK, params::next_page(&uri, "after", last.seq))]);
    Ok((link, Json(entries)).into_response())
}

/// Checks the whole chain: `{checked, first_bad: {seq, reason} or null, head}`. Keep `head` elsewhere, and a cut-off
/// tail shows too.
#[utoipa::path(get, path = "/audit/verify", tag = "trail", responses((status = 200, body = Object)))]
pub(crate) async fn verify(State(app): State<App>) -> Result<Json<ChainReport>, Problem> {
    Ok(Json(app.orchestra.verify_audit().await?))
}
