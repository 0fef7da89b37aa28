//! The frame of the OpenAPI description; the calls add themselves.

use utoipa::OpenApi;

/// Name, purpose and groups of the calls.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Aura Orchestra",
        description = "Puts several language models to work on one queue of jobs, tests and scores what they write, and \
                       gives the next job to those that earned it. Every refusal is an RFC 9457 problem document, \
                       `application/problem+json`."
    ),
    servers((url = ".", description = "Where this description was found")),
    components(schemas(crate::Problem)),
    tags(
        (name = "submit", description = "Submit PRDs and read their verdicts"),
        (name = "jobs", description = "Look at jobs"),
        (name = "work", description = "The door of workers and validators"),
        (name = "models", description = "Employ models and hold them"),
        (name = "trail", description = "Who did what: the audit log, its live stream, HR's decisions and alerts"),
        (name = "health", description = "Whether it is up, and how it stands"),
    )
)]
pub(crate) struct ApiDoc;
