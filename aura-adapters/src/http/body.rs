//! Bodies that are read up to a bound, with a bound on every wait.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;

/// Largest answer read, in bytes (16 MiB); a longer one is an error.
pub(crate) const MAX_ANSWER: usize = 16 << 20;

/// Why a body is not whole.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It, or a line of it, is longer than this many bytes.
    TooLong(usize),
    /// The connection broke.
    Broken(reqwest::Error),
    /// Nothing came for so long.
    Idle(Duration),
}

/// The next piece; `None` at the end.
pub(super) async fn chunk(response: &mut Response, idle: Option<Duration>) -> Result<Option<Bytes>, BodyError> {
    match idle {
        Some(idle) => match tokio::time::timeout(idle, response.chunk()).await {
            Ok(chunk) => chunk.map_err(BodyError::Broken),
            Err(_) => Err(BodyError::Idle(idle)),
        },
        None => response.chunk().await.map_err(BodyError::Broken),
    }
}

/// Reads a whole body of at most [`MAX_ANSWER`] bytes, and never holds more.
pub(super) async fn whole(mut response: Response, idle: Option<Duration>) -> Result<Vec<u8>, BodyError> {
    if response.content_length().is_some_and(|length| length > MAX_ANSWER as u64) {
        return Err(BodyError::TooLong(MAX_ANSWER));
    }
    let mut body = Vec::new();
    while let Some(chunk) = chunk(&mut response, idle).await? {
        if chunk.len() > MAX_ANSWER - body.len() {
            return Err(BodyError::TooLong(MAX_ANSWER));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the first bytes of a body, at most `limit`; what comes after is left unread. A connection that breaks or stalls ends it.
pub(super) async fn start(mut response: Response, limit: usize, idle: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = chunk(&mut response, Some(idle)).await {
        let room = limit - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    body
}
