//! Taking a process out of its load balancer before it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Version, header},
    middleware::Next,
    response::Response,
};

use crate::router::App;

/// A switch that says on `/readyz` that this process will stop soon, while everything is served as before.
///
/// A load balancer that asks `/readyz` sends its requests elsewhere by the time the listener closes, so none of them fails.
/// Keep a clone of what is given to the router in [`HttpOptions::drain`](crate::HttpOptions::drain); all clones are one switch.
///
/// # Examples
/// Serves until `signal` comes, then as long as the load balancer needs to notice:
/// ```no_run
/// # async fn serve(
/// #     orchestra: aura_core::Orchestra, listener: tokio::net::TcpListener, signal: impl Future<Output = ()> + Send,
/// # ) -> Result<(), aura_http::HttpError> {
/// use std::time::Duration;
/// use aura_http::{Drain, HttpOptions};
///
/// let drain = Drain::default();
/// let options = HttpOptions { drain: drain.clone(), ..HttpOptions::default() };
/// let router = aura_http::router(orchestra.clone(), options);
/// let stop = async {
///     signal.await;
///     drain.run(Duration::from_secs(5)).await;
///     // Long-polls and streams end when the orchestra begins to stop.
///     tokio::spawn({ let orchestra = orchestra.clone(); async move { orchestra.stop().await } });
/// };
/// aura_http::serve(listener, router, stop).await?;
/// orchestra.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<AtomicBool>);

impl Drain {
    /// From now on `/readyz` answers 503, and each answer asks its client to connect anew for the next request. There is no way
    /// back.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// [Begins](Self::begin), and waits for `time`: how long the load balancer needs to notice, which is its interval times the
    /// failures that it waits for. Without a load balancer nobody gains by waiting: stop without calling this.
    pub async fn run(&self, time: Duration) {
        self.begin();
        tokio::time::sleep(time).await;
    }
}

/// Two are equal when they are the same switch.
impl PartialEq for Drain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Drain {}

/// Has clients leave the connections that they keep: one that is used again at the moment it is closed costs a request.
pub(crate) async fn leave(State(app): State<App>, request: Request, next: Next) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    // The header is HTTP/1's; later versions know no such thing.
    if version <= Version::HTTP_11 && app.options.drain.has_begun() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
