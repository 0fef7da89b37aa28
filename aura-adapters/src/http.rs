//! The one way in which this crate speaks HTTP: a client without surprises, and bodies that cannot fill the memory.

use std::{sync::Arc, time::Duration};

use aura_core::error::BoxError;
use reqwest::{Client, Response, Url, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for one origin: no redirects, so that a key never follows one; no proxy from the environment; ring as the
/// provider of this client alone, so that the host application's choice of a process-wide one stays its own.
pub(crate) fn client(origin: &Url) -> Result<Client, BoxError> {
    let mut tls = tls(origin)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("aura-orchestra/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

fn tls(origin: &Url) -> Result<ClientConfig, BoxError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(if origin.scheme() == "https" {
        config.with_platform_verifier()?.with_no_client_auth()
    } else {
        // Never used. Asking the platform would make a model on this machine depend on installed root certificates.
        config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    })
}

/// Why a body is not whole.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It is longer than the limit.
    TooLong,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// Reads a whole body of at most `limit` bytes, and never holds more.
pub(crate) async fn read_whole(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if chunk.len() > limit - body.len() {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the first bytes of a body, at most `limit`; what comes after is left unread. A connection that breaks ends it.
pub(crate) async fn read_start(mut response: Response, limit: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    body
}
