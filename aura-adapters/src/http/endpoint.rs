//! One vendor's endpoint: where it is, how it is asked, and what an answer that is none means.

use std::{fmt, net::IpAddr, time::Duration};

use aura_core::{AdapterError, Wait, error::BoxError};
use reqwest::{
    Client, Method, RequestBuilder, Response, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

use super::{
    body::{self, BodyError},
    client,
    failure::{Failure, Said, masked_excerpt, wait_asked_for},
    lines::Lines,
};
use crate::{error::BuildError, secret::ApiKey};

/// How much of an error's body is read, in bytes (64 KiB); a message stands at its start.
const MAX_ERROR_BODY: usize = 64 << 10;
/// How long an error's body may stall.
const ERROR_BODY_IDLE: Duration = Duration::from_secs(5);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the first byte of an answer's body, or its headers (absent: as long as for the whole).
    pub(crate) first_byte: Option<Duration>,
    /// For the next byte of an answer that has begun.
    pub(crate) idle: Option<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_byte: None, idle: Some(Duration::from_secs(60)) }
    }
}

/// How the key is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Auth {
    /// `Authorization: Bearer KEY`.
    #[cfg(any(feature = "ollama", feature = "openai"))]
    Bearer,
    /// A header of its own.
    #[cfg(feature = "gemini")]
    Header(&'static str),
}

/// What every call of one adapter shares.
pub(crate) struct Endpoint {
    client: Client,
    base: Url,
    key: Option<ApiKey>,
    auth: Auth,
    patience: Patience,
    provider: String,
    model: String,
    /// Reads a vendor's error.
    failure: fn(Failure) -> AdapterError,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client is left out: its Debug tells nothing, and may some day tell headers.
        f.debug_struct("Endpoint").field("base", &self.base.as_str()).field("key", &self.key).finish_non_exhaustive()
    }
}

/// One call that was answered with success.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    endpoint: &'a Endpoint,
    response: Response,
}

impl Endpoint {
    pub(crate) fn new(
        base: Url,
        key: Option<ApiKey>,
        auth: Auth,
        patience: Patience,
        (provider, model): (&str, &str),
        failure: fn(Failure) -> AdapterError,
    ) -> Result<Self, BuildError> {
        if let Some(key) = &key {
            check_key(key)?;
            if base.scheme() == "http" && !is_this_machine(&base) {
                tracing::warn!(endpoint = %base, "the key is sent without encryption: use an https base URL");
            }
        }
        let client = client::client(&base, patience.connect).map_err(BuildError::Http)?;
        let (provider, model) = (provider.to_owned(), model.to_owned());
        Ok(Self { client, base, key, auth, patience, provider, model, failure })
    }

    #[cfg(test)]
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) const fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    /// Puts a mask over the key, wherever it stands in a text from outside.
    pub(crate) fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.redact(text),
            None => text,
        }
    }

    /// The first characters of a text from outside, without the key.
    pub(crate) fn excerpt(&self, text: &str) -> String {
        masked_excerpt(text, self.key.as_ref())
    }

    /// What an error's body says, without the key.
    pub(crate) fn said(&self, body: &[u8]) -> Said {
        Said::read(body, self.key.as_ref())
    }

    /// Sends `body` as JSON; answers when the headers of a success are there.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Exchange<'_>, AdapterError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| AdapterError::Setup(format!("the request cannot be written as JSON: {error}")))?;
        let request = self.request(Method::POST, path)?.header(CONTENT_TYPE, "application/json").body(body);
        self.send(request, self.patience.first_byte).await
    }

    /// Asks for what is there; for that, `limit` is enough time.
    pub(crate) async fn get(&self, path: &str, limit: Duration) -> Result<Exchange<'_>, AdapterError> {
        self.send(self.request(Method::GET, path)?.timeout(limit), Some(limit)).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, AdapterError> {
        let url = self.base.join(path).map_err(|error| AdapterError::Setup(format!("the path {path}: {error}")))?;
        let request = self.client.request(method, url);
        Ok(match (&self.key, self.auth) {
            #[cfg(any(feature = "ollama", feature = "openai"))]
            (Some(key), Auth::Bearer) => request.bearer_auth(key.expose()),
            #[cfg(feature = "gemini")]
            (Some(key), Auth::Header(name)) => request.header(name, key.expose()),
            (None, _) => request,
        })
    }

    async fn send(&self, request: RequestBuilder, first_byte: Option<Duration>) -> Result<Exchange<'_>, AdapterError> {
        let sent = match first_byte {
            Some(limit) => tokio::time::timeout(limit, request.send())
                .await
                .map_err(|_| AdapterError::TimedOut { what: Wait::FirstByte, limit })?,
            None => request.send().await,
        };
        let response = sent.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(Exchange { endpoint: self, response });
        }
        let (status, wait) = (response.status(), wait_asked_for(response.headers()));
        let body = body::start(response, MAX_ERROR_BODY, ERROR_BODY_IDLE).await;
        let said = self.said(&body);
        let (provider, model) = (self.provider.clone(), self.model.clone());
        Err((self.failure)(Failure {
            provider,
            model,
            status,
            wait,
            #[cfg(feature = "gemini")]
            body,
            said,
        }))
    }

    /// An error line, or an error in place of an answer, that came with a status of success.
    pub(crate) fn error_within(&self, body: &[u8]) -> AdapterError {
        let said = self.said(body);
        let code = said.codes.iter().find_map(|code| code.parse::<u16>().ok());
        let status =
            code.and_then(|code| reqwest::StatusCode::from_u16(code).ok()).filter(|status| !status.is_success());
        let status = status.unwrap_or(reqwest::StatusCode::INTERNAL_SERVER_ERROR);
        let (provider, model) = (self.provider.clone(), self.model.clone());
        (self.failure)(Failure {
            provider,
            model,
            status,
            wait: None,
            #[cfg(feature = "gemini")]
            body: body.to_vec(),
            said,
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> AdapterError {
        if error.is_timeout() && error.is_connect() {
            return AdapterError::TimedOut { what: Wait::Connect, limit: self.patience.connect };
        }
        // What was sent may have been taken, and billed.
        if !error.is_connect() && !error.is_builder() {
            return self
                .truncated(format!("the connection broke before it began: {}", root_cause(&error.without_url())));
        }
        AdapterError::Unreachable {
            endpoint: self.base.as_str().trim_end_matches('/').to_owned(),
            source: Box::new(error.without_url()),
        }
    }

    pub(crate) fn broken(&self, error: BodyError) -> AdapterError {
        match error {
            BodyError::TooLong(limit) => self.malformed(format!("it is longer than {limit} bytes")),
            BodyError::Idle(limit) => AdapterError::TimedOut { what: Wait::NextByte, limit },
            BodyError::Broken(error) => self.truncated(root_cause(&error.without_url())),
        }
    }

    pub(crate) fn malformed(&self, message: impl Into<String>) -> AdapterError {
        AdapterError::Malformed { provider: self.provider.clone(), message: self.redact(message.into()) }
    }

    pub(crate) fn truncated(&self, message: impl Into<String>) -> AdapterError {
        AdapterError::Truncated { provider: self.provider.clone(), message: self.redact(message.into()) }
    }

    pub(crate) fn no_answer(&self, message: impl Into<String>) -> AdapterError {
        AdapterError::NoAnswer { provider: self.provider.clone(), message: self.redact(message.into()) }
    }

    #[cfg(any(feature = "openai", feature = "gemini"))]
    pub(crate) fn refused(&self, message: impl Into<String>) -> AdapterError {
        AdapterError::Refused(self.redact(message.into()))
    }
}

impl Exchange<'_> {
    /// The whole body.
    pub(crate) async fn body(self) -> Result<Vec<u8>, AdapterError> {
        let idle = self.endpoint.patience.idle;
        body::whole(self.response, idle).await.map_err(|error| self.endpoint.broken(error))
    }

    /// The body line by line, as it comes.
    pub(crate) fn lines(self) -> Lines {
        Lines::new(self.response, self.endpoint.patience.idle)
    }
}

/// What lies at the bottom of an error, as a text.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

fn check_key(key: &ApiKey) -> Result<(), BuildError> {
    if key.expose().is_empty() {
        return Err(BuildError::invalid("api_key", "is empty: leave it out for a server that needs none"));
    }
    if HeaderValue::from_str(key.expose()).is_err() || !key.expose().is_ascii() {
        return Err(BuildError::invalid("api_key", "has a character that no key has, such as a line break"));
    }
    Ok(())
}

/// Reads a base URL; its path ends in `/` afterwards, so that paths can be joined to it. `like` is an example of one.
pub(crate) fn base_url(text: &str, like: &str) -> Result<Url, BuildError> {
    let refuse = |reason: String| Err(BuildError::invalid("base_url", reason));
    // The text is not repeated: it may hold a password.
    let mut url = match Url::parse(text.trim()) {
        Ok(url) => url,
        Err(error) => return refuse(format!("{error}: write it like {like}")),
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse(format!("must begin with http:// or https:// and a host: write it like {like}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user or a password: give a key by api_key".to_owned());
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

/// An error with the cause at its bottom, for a text that carries no `source`.
pub(crate) fn in_one_text(error: &AdapterError) -> String {
    let source: Option<&BoxError> = match error {
        AdapterError::Unreachable { source, .. } => Some(source),
        _ => None,
    };
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {}", root_cause(source.as_ref())))
}
