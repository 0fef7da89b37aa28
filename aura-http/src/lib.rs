//! The HTTP door of Aura Orchestra: REST, live stream, dashboard and OpenAPI.
//!
//! [`router`] makes an axum router over a running [`Orchestra`](aura_core::Orchestra). Serve it with [`serve`], or nest it
//! in a router of your own:
//!
//! ```no_run
//! # fn mount(orchestra: aura_core::Orchestra) -> axum::Router {
//! axum::Router::new().nest("/aura", aura_http::router(orchestra, aura_http::HttpOptions::default()))
//! # }
//! ```
//!
//! There is no access control yet. Therefore [`serve`] refuses every address that is not loopback, and the router refuses
//! requests whose `Host` or `Origin` is not this machine: see [`HttpOptions::allowed_hosts`].
//!
//! Behind a load balancer, a [`Drain`] takes the process out of it before it stops.
//!
//! With the feature `client` (off by default) there is [`HttpManager`], the same door from the other side: a worker on another machine
//! works through it.
//!
//! A request is read by `params.rs` and `body.rs`, answered by the file named for its path, and every refusal is a
//! [`Problem`] (RFC 9457). The calls are described at `/openapi.json`.

mod alerts;
mod artifacts;
mod body;
mod cause;
#[cfg(feature = "client")]
mod client;
mod dashboard;
mod drain;
mod events;
mod health;
mod heartbeat;
mod job_view;
mod jobs;
mod models;
mod openapi;
mod options;
mod origin;
mod params;
mod prds;
mod problem;
mod router;
mod server;
mod suite;
mod trail;
mod work;

#[cfg(feature = "client")]
pub use client::{HttpManager, HttpManagerBuilder, Token};
pub use drain::Drain;
pub use options::HttpOptions;
pub use problem::Problem;
pub use router::router;
pub use server::{HttpError, check_listen, serve};
