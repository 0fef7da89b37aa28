//! Refusals as RFC 9457 problem documents.

use std::{error::Error as _, time::Duration};

use aura_core::{Error, SandboxError, StoreError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cause::Cause;

/// Why a request was refused: the body of every answer that is not a success, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem, as a URN that stays the same: `urn:aura-orchestra:problem:not-found`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, and the way out.
    detail: String,
    /// The field that is wrong, as a path into the body, or the name of a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The same for programs: `{code, …}`, where `code` says which error of the orchestra it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Box<Cause>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let (code, title) = kind_of(status);
        Self {
            kind: format!("urn:aura-orchestra:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            error: None,
            retry_after: None,
        }
    }

    /// The request cannot be understood (400).
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing (404).
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A field is understood but cannot be accepted (422).
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).field(field)
    }

    /// Not now (503): try again after a while.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Our own fault (500): the details go to the log under a random number, which is all that the caller sees.
    pub(crate) fn internal(error: &Error) -> Self {
        let id = Uuid::new_v4();
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(next) = cause {
            causes.push(next.to_string());
            cause = next.source();
        }
        tracing::error!(%id, %error, ?causes, "a request failed");
        let detail = format!("the orchestra failed to do this; its log says why under the number {id}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

fn kind_of(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => ("bad-request", "The request cannot be understood"),
        StatusCode::FORBIDDEN => ("forbidden", "This is not allowed"),
        StatusCode::NOT_FOUND => ("not-found", "There is no such thing"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "This path does not take this method"),
        StatusCode::REQUEST_TIMEOUT => ("timeout", "The request took too long to arrive"),
        StatusCode::CONFLICT => ("conflict", "The present state does not allow this"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "The body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported-media-type", "The body is not of a type that is read here"),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid", "A field cannot be accepted"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "This is not available now"),
        _ => ("internal", "The orchestra failed"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { error: Cause::of(&error).map(Box::new), ..Self::describe(error) }
    }
}

impl Problem {
    fn describe(error: Error) -> Self {
        match &error {
            Error::Invalid { field, reason } => Self::invalid(*field, format!("{field}: {reason}")),
            Error::UnknownPrd(_) | Error::UnknownJob(_) | Error::UnknownModel { .. } => {
                Self::not_found(error.to_string())
            }
            Error::ModelExists(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            Error::Stopping => Self::unavailable(error.to_string(), Duration::from_secs(5)),
            Error::Store(StoreError::NotFound { .. }) => Self::not_found(error.to_string()),
            Error::Store(StoreError::Conflict { .. } | StoreError::LeaseLost { .. }) => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            Error::Store(StoreError::Unavailable { .. }) | Error::Sandbox(SandboxError::Unavailable { .. }) => {
                tracing::warn!(%error, "a request cannot be served now");
                let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
                Self::unavailable("the orchestra cannot do this now: try again", wait)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status(), [(header::CONTENT_TYPE, json)], body).into_response();
        if let Some(wait) = self.retry_after {
            // The header counts whole seconds; rounded up, so that nobody comes back too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aura_core::JobId;

    fn status_of(error: impl Into<Error>) -> u16 {
        Problem::from(error.into()).status
    }

    #[test]
    fn every_error_of_the_orchestra_has_its_status() {
        assert_eq!(status_of(Error::invalid("prompt", "is empty")), 422);
        assert_eq!(status_of(Error::UnknownJob(JobId::new())), 404);
        assert_eq!(status_of(Error::Stopping), 503);
        assert_eq!(status_of(StoreError::not_found("job", 1)), 404);
        assert_eq!(status_of(StoreError::conflict("job", 1, "is taken")), 409);
        assert_eq!(status_of(StoreError::LeaseLost { job: JobId::new(), worker: None }), 409);
        assert_eq!(status_of(StoreError::Unavailable { message: "locked".into(), source: None }), 503);
        assert_eq!(status_of(StoreError::corrupt("job", 1, "no JSON")), 500);
    }

    #[test]
    fn an_inner_failure_shows_a_number_and_none_of_its_details() {
        let problem = Problem::from(StoreError::corrupt("job", "secret-canary", "secret-canary"));
        assert!(!serde_json::to_string(&problem).unwrap().contains("secret-canary"));
        assert!(problem.detail.contains("under the number"));
    }

    #[test]
    fn what_is_not_available_says_when_to_come_back() {
        let response = Problem::unavailable("later", Duration::from_millis(1200)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
