//! Puts the calls together: routes, what is said about unknown ones, and the guard around all of them.

use std::sync::Arc;

use aura_core::Orchestra;
use axum::{
    Router,
    extract::{OriginalUri, Request, State},
    http::{Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    HttpOptions, Problem, alerts, artifacts, dashboard, drain, events, health, heartbeat, jobs, models,
    openapi::ApiDoc, origin, prds, trail, work,
};

/// What every handler can reach.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) orchestra: Orchestra,
    pub(crate) options: Arc<HttpOptions>,
    pub(crate) streams: Arc<Semaphore>,
    openapi: Arc<str>,
}

/// An axum router over an orchestra; it can be served as it is, or nested under any path of another router.
///
/// The orchestra goes on when the router is dropped, and live streams end when the orchestra stops.
pub fn router(orchestra: Orchestra, options: HttpOptions) -> Router {
    let (calls, openapi) = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(prds::submit, prds::list))
        .routes(routes!(prds::show))
        .routes(routes!(prds::verdict))
        .routes(routes!(prds::cancel))
        .routes(routes!(jobs::submit, jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::events))
        .routes(routes!(jobs::artifacts))
        .routes(routes!(jobs::runs))
        .routes(routes!(work::claim_any))
        .routes(routes!(work::claim))
        .routes(routes!(heartbeat::heartbeat))
        .routes(routes!(heartbeat::heartbeats))
        .routes(routes!(work::report))
        .routes(routes!(work::release))
        .routes(routes!(work::validate))
        .routes(routes!(models::list))
        .routes(routes!(models::register))
        .routes(routes!(artifacts::artifact))
        .routes(routes!(artifacts::artifacts))
        .routes(routes!(models::hold))
        .routes(routes!(models::release))
        .routes(routes!(trail::promotions))
        .routes(routes!(trail::audit))
        .routes(routes!(trail::verify))
        .routes(routes!(alerts::raise, alerts::list))
        .routes(routes!(events::stream))
        .routes(routes!(health::overview))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .split_for_parts();
    let app = App {
        orchestra,
        streams: Arc::new(Semaphore::new(options.max_streams)),
        options: Arc::new(options),
        openapi: serde_json::to_string(&openapi).unwrap_or_default().into(),
    };
    calls
        .route("/", get(dashboard::page))
        .route("/assets/app.js", get(dashboard::script))
        .route("/assets/style.css", get(dashboard::style))
        .route("/openapi.json", get(description))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), origin::guard))
        .layer(middleware::from_fn_with_state(app.clone(), drain::leave))
        .with_state(app)
}

async fn description(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.to_string()).into_response()
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Problem {
    let shown: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!("there is no {shown} here: /openapi.json lists what there is"))
}

async fn no_such_method(method: Method, request: Request) -> Problem {
    let shown: String = request.uri().path().chars().take(200).collect();
    let detail = format!("{shown} does not take {method}: the Allow header lists what it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
