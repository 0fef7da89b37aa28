//! What the router can be told.

use std::time::Duration;

use crate::Drain;

/// Settings of the [`router`](crate::router); every value has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Sentences shown loudly on the page, e.g. that the employees are offline ones (default: none). What the orchestra
    /// itself knows, such as tests that run without a sandbox and models that are stubs, is shown without being told here.
    pub notices: Vec<String>,
    /// Hosts that may stand in a request's `Host` header besides loopback ones, as `name` (any port) or `name:port`
    /// (default: none). Without this check a web page could reach the orchestra through a name that it points at 127.0.0.1.
    pub allowed_hosts: Vec<String>,
    /// Live streams that may be open at once; the next one gets 503 (default 1,000).
    pub max_streams: usize,
    /// Largest body accepted, in bytes (default 16 MiB).
    pub max_body: usize,
    /// How long a body may take to arrive (default 30 s).
    pub body_timeout: Duration,
    /// How often a live stream without entries shows a sign of life (default 15 s).
    pub heartbeat: Duration,
    /// Says on `/readyz` that the process will stop soon (default: a switch that nobody else has).
    pub drain: Drain,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            notices: Vec::new(),
            allowed_hosts: Vec::new(),
            max_streams: 1000,
            max_body: 16 << 20,
            body_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            drain: Drain::default(),
        }
    }
}
