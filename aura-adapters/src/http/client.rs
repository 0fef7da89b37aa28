//! A client for one origin.

use std::{sync::Arc, time::Duration};

use aura_core::error::BoxError;
use reqwest::{Client, Url, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

/// A client for one origin: no redirects, so that a key never follows one; no proxy from the environment; no retries of its own; ring
/// as the provider of this client alone, so that the host application's choice of a process-wide one stays its own.
pub(super) fn client(origin: &Url, connect: Duration) -> Result<Client, BoxError> {
    let mut tls = tls(origin)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(connect)
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
