//! One call to the manager: sent, read within bounds, and its refusals turned back into the orchestra's errors.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use aura_core::{Error, StoreError, error::BoxError};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Token;
use crate::{HttpError, cause::Cause};

/// Largest answer read unless a call says otherwise, in bytes (32 MiB).
pub(super) const MAX_ANSWER: usize = 32 << 20;
/// Largest refusal read, in bytes (64 KiB).
const MAX_REFUSAL: usize = 64 << 10;
/// The server closes connections that were idle for half a minute: ours are not used as long as that.
const IDLE: Duration = Duration::from_secs(20);

/// The way to one manager.
pub(super) struct Exchange {
    client: Client,
    base: Url,
    token: Option<Token>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client is left out: its Debug may some day tell headers.
        f.debug_struct("Exchange")
            .field("base", &self.base.as_str())
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A problem document, as far as a worker reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    status: u16,
    detail: String,
    #[serde(default)]
    error: Option<Cause>,
}

impl Exchange {
    pub(super) fn new(url: &str, token: Option<Token>, connect: Duration) -> Result<Self, HttpError> {
        let base = read_url(url)?;
        if token.is_some() && base.scheme() == "http" && !is_this_machine(&base) {
            tracing::warn!(manager = %base, "the token is sent without encryption: use https, or a tunnel such as ssh -L");
        }
        let client = client(&base, connect).map_err(HttpError::ClientSetup)?;
        Ok(Self { client, base, token })
    }

    /// Where the manager is, without a slash at the end.
    pub(super) fn place(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a body and reads the answer, both within `patience`; an answer of more than `most` bytes is an error.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
        patience: Duration,
        most: usize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::invalid("request", format!("cannot be written as JSON: {error}")))?;
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.client.post(url).timeout(patience).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let response = request.send().await.map_err(|error| self.away(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = self.read(response, most).await?;
        serde_json::from_slice(&body).map_err(|error| self.stranger(&format!("its answer cannot be read: {error}")))
    }

    /// What a problem document means.
    pub(super) fn error_of(&self, refusal: Refusal) -> Error {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.error(status, refusal, None)
    }

    async fn refusal(&self, response: Response) -> Error {
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let body = self.read(response, MAX_REFUSAL).await.unwrap_or_default();
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => self.error(status, refusal, wait),
            Err(_) if passes(status) => self.not_now(status, "it gives no reason", wait),
            Err(_) => self.stranger(&format!("it answers with the status {status}")),
        }
    }

    fn error(&self, status: StatusCode, refusal: Refusal, wait: Option<Duration>) -> Error {
        if let Some(cause) = refusal.error {
            return cause.into();
        }
        let detail = self.redact(refusal.detail);
        match status {
            status if passes(status) => self.not_now(status, &detail, wait),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Setup(format!(
                "the manager at {} does not let this worker in ({status}): {detail}",
                self.place()
            )),
            StatusCode::PAYLOAD_TOO_LARGE => Error::invalid("artifact", detail),
            StatusCode::CONFLICT => StoreError::conflict("job", "(unnamed)", detail).into(),
            status if status.is_client_error() => Error::invalid("request", detail),
            _ => StoreError::Backend { action: "do what the worker asked", source: detail.into() }.into(),
        }
    }

    async fn read(&self, mut response: Response, most: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.away(error))? {
            if chunk.len() > most - body.len() {
                return Err(self.stranger(&format!("its answer is longer than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn away(&self, error: reqwest::Error) -> Error {
        let message = format!("no answer from {}", self.place());
        Error::ManagerAway { message, retry_after: None, source: Some(Box::new(error.without_url())) }
    }

    fn not_now(&self, status: StatusCode, detail: &str, retry_after: Option<Duration>) -> Error {
        let message = format!("{} answers with the status {status}: {detail}", self.place());
        Error::ManagerAway { message: self.redact(message), retry_after, source: None }
    }

    /// Whoever listens there does not speak as a manager does.
    fn stranger(&self, what: &str) -> Error {
        Error::Setup(format!("what answers at {} is no Aura manager: {what}", self.place()))
    }

    fn redact(&self, text: String) -> String {
        match &self.token {
            Some(token) => token.redact(text),
            None => text,
        }
    }
}

/// Whether it is likely to pass by itself: a manager or a proxy before it that is busy, starting or stopping.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 502 | 503 | 504)
}

fn read_url(text: &str) -> Result<Url, HttpError> {
    let refuse = |reason: String| Err(HttpError::Client { field: "url", reason });
    // The text is not repeated: it may hold a password.
    let mut url = match Url::parse(text.trim()) {
        Ok(url) => url,
        Err(error) => return refuse(format!("{error}: write it like http://127.0.0.1:8000")),
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse(
            "must begin with http:// or https:// and a host: write it like http://127.0.0.1:8000".to_owned(),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user or a password: give a token instead".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("must not have a ? or a # part".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A client for one manager: no redirects, so that a token never follows one; no proxy from the environment; no retries of its own; ring
/// as the provider of this client alone, so that the host application's choice of a process-wide one stays its own.
fn client(base: &Url, connect: Duration) -> Result<Client, BoxError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let mut tls = if base.scheme() == "https" {
        config.with_platform_verifier()?.with_no_client_auth()
    } else {
        // Never used. Asking the platform would make a worker depend on installed root certificates.
        config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("aura-orchestra/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(token: Option<&str>) -> Exchange {
        let token = token.map(|token| Token::new(token).unwrap());
        Exchange::new("http://127.0.0.1:1/aura", token, Duration::from_secs(1)).unwrap()
    }

    fn refused(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        exchange(Some("canary")).error(status, serde_json::from_str(body).unwrap(), Some(Duration::from_secs(3)))
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_never_repeated() {
        for bad in ["", "canary", "ftp://canary", "http://u:canary@host", "http://host/?canary", "http://"] {
            let said = Exchange::new(bad, None, Duration::from_secs(1)).unwrap_err().to_string();
            assert!(said.starts_with("url: ") && !said.contains("canary"), "{bad}: {said}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_asked_again_and_what_does_not_is_not() {
        let body = r#"{ "status": 503, "detail": "canary is stopping" }"#;
        for status in [408, 429, 502, 503, 504] {
            let error = refused(status, body);
            assert!(error.is_retryable(), "{status}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        for status in [400, 401, 403, 404, 409, 413, 422, 500] {
            assert!(!refused(status, body).is_retryable(), "{status}");
        }
    }

    #[test]
    fn nothing_shows_the_token() {
        assert!(!format!("{:?}", exchange(Some("canary"))).contains("canary"));
        for bad in ["", " ", "a\nb", "ä"] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
    }
}
