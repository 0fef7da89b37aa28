//! Serves a router on loopback: with a limit for slow headers, and a graceful end.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// How long the headers of a request may take to arrive, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open connections may take to end after the shutdown signal.
const GRACE: Duration = Duration::from_secs(10);

/// Why the door cannot open, or cannot be gone to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address can be reached from other machines.
    #[error(
        "will not listen on {0}: it can be reached from other machines, and there is no access control yet. \
         Listen on 127.0.0.1 or [::1]; to reach it from elsewhere, use a tunnel such as ssh -L"
    )]
    NotLoopback(SocketAddr),
    /// The client of a manager was given something that it cannot use.
    #[error("{field}: {reason}")]
    Client {
        /// What: `url` or `token`.
        field: &'static str,
        /// What is wrong with it, and the way out.
        reason: String,
    },
    /// The client of a manager cannot be made on this machine.
    #[error("this machine cannot make an HTTP client")]
    ClientSetup(#[source] aura_core::error::BoxError),
    /// The listener failed.
    #[error("the listener cannot be used")]
    Listener(#[from] io::Error),
}

/// Refuses every address that other machines can reach.
///
/// # Errors
/// [`HttpError::NotLoopback`] says why, and the way out.
///
/// # Examples
/// ```
/// assert!(aura_http::check_listen("127.0.0.1:8000".parse()?).is_ok());
/// assert!(aura_http::check_listen("0.0.0.0:8000".parse()?).is_err());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn check_listen(address: SocketAddr) -> Result<(), HttpError> {
    if address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(HttpError::NotLoopback(address)) }
}

/// Serves until `shutdown` is ready, then lets open requests end for up to 10 seconds.
///
/// Stop the orchestra before, or live streams and long-polls use up that time: they end when it stops.
///
/// # Errors
/// [`HttpError::NotLoopback`] for a listener on any other address.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), HttpError> {
    check_listen(TcpListener::local_addr(&listener)?)?;
    let (closing, _) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            // axum's accept waits and tries again when the process has no file left to give.
            (stream, _) = Listener::accept(&mut listener) => {
                connections.spawn(converse(stream, router.clone(), closing.subscribe()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    drop(closing);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut at the end of the grace time");
        connections.shutdown().await;
    }
    Ok(())
}

async fn converse(stream: tokio::net::TcpStream, router: Router, mut closing: watch::Receiver<()>) {
    let service = tower_service(router);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // The sender is never used, only dropped.
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

type Requests = hyper::Request<hyper::body::Incoming>;

fn tower_service(
    router: Router,
) -> impl hyper::service::Service<Requests, Response = axum::response::Response, Error = Infallible, Future: Send> {
    TowerToHyperService::new(router)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::oneshot,
    };

    #[test]
    fn only_loopback_addresses_are_served() {
        for good in ["127.0.0.1:8000", "127.1.2.3:1", "[::1]:8000", "[::ffff:127.0.0.1]:80"] {
            assert!(check_listen(good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:8000", "[::]:8000", "192.168.1.2:80", "[::ffff:10.0.0.1]:80"] {
            assert!(check_listen(bad.parse().unwrap()).unwrap_err().to_string().contains("ssh -L"), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_listener_that_others_can_reach_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let result = serve(listener, Router::new(), std::future::pending()).await;
        assert!(matches!(result, Err(HttpError::NotLoopback(_))));
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_the_shutdown_signal() {
        let (arrived, mut has_arrived) = tokio::sync::mpsc::channel(1);
        let (finish, finished) = watch::channel(false);
        let slow = move || {
            let (arrived, mut finished) = (arrived.clone(), finished.clone());
            async move {
                arrived.send(()).await.unwrap();
                finished.wait_for(|done| *done).await.unwrap();
                "done"
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(slow));
        let server = tokio::spawn(serve(listener, router, async { drop(stopped.await) }));

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        has_arrived.recv().await.unwrap();
        stop.send(()).unwrap();
        finish.send(true).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        server.await.unwrap().unwrap();
    }
    #[tokio::test(start_paused = true)]
    async fn headers_that_never_end_are_cut_off_and_others_are_served_meanwhile() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "served" }));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, router, async { drop(stopped.await) }));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();

        let mut quick = TcpStream::connect(address).await.unwrap();
        quick.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        quick.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("served"), "{answer}");

        let mut rest = String::new();
        slow.read_to_string(&mut rest).await.unwrap();
        assert!(!rest.contains("served"), "{rest}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
