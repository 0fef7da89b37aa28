//! The reference server: settings, employees, one orchestra, one HTTP door.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a server talks to whoever starts it")]

mod books;
mod crew;
mod database;
mod fence;
#[path = "../staff/hiring.rs"]
mod hiring;
#[path = "../staff/house.rs"]
mod house;
#[path = "../staff/one_line.rs"]
mod one_line;
mod settings;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use aura_orchestra::{http, prelude::*};
use one_line::one_line;
use settings::ServerSettings;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,aura_core=info")),
        )
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("aura: {message}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let settings = ServerSettings::read()?;
    http::check_listen(settings.listen).map_err(|error| one_line(&error))?;
    // The port first: when it is taken, nothing else has happened yet.
    let listener = bind(settings.listen).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let crew = crew::hire(&settings).map_err(|error| one_line(error.as_ref()))?;
    let fence = fence::put_up(&settings).map_err(|error| format!("AURA_SANDBOX: {}", one_line(&error)))?;
    let database = settings.database.open().await.map_err(|error| one_line(&error))?;

    if let Some(ledger) = &settings.house.ledger {
        books::open(ledger, database.store().as_ref()).await.map_err(|error| one_line(&error))?;
    }

    let mut builder = aura_orchestra::builder()
        .store_shared(database.store())
        .workers(settings.workers)
        .settings(settings.orchestra.clone())
        .sandbox(fence.sandbox)
        .probe(probes(&settings)?)
        .alerter(LogAlerter);
    for adapter in crew.adapters {
        builder = builder.employ_shared(adapter);
    }
    let orchestra = builder.start().await.map_err(|error| one_line(&error))?;

    println!("Aura Orchestra is listening on http://{address}");
    println!("  database   {}", settings.database.place());
    println!("  workers    {}", settings.workers);
    println!("  sandbox    {}", fence.line);
    let notices = [crew.notices, fence.notices].concat();
    for notice in &notices {
        println!("  NOTE       {notice}");
    }
    for hint in crew.hints.iter().chain(&fence.hints) {
        println!("  for more   {hint}");
    }

    let drain = http::Drain::default();
    let options = http::HttpOptions { notices, drain: drain.clone(), ..http::HttpOptions::default() };
    let router = http::router(orchestra.clone(), options);
    let stop = stop_on_signal(orchestra.clone(), drain, settings.drain);
    let served = http::serve(listener, router, stop).await;
    orchestra.stop().await;
    database.close().await;
    println!("stopped; nothing is lost");
    served.map_err(|error| one_line(&error))
}

/// What this machine has: GPUs, memory, and what Ollama has loaded.
fn probes(settings: &ServerSettings) -> Result<Probes, String> {
    let probes = Probes::new().and(NvmlProbe::new()).and(HostProbe::new());
    match &settings.ollama_host {
        Some(host) => {
            let server = OllamaServer::new(hiring::ollama_url(host), None);
            Ok(probes.and(OllamaProbe::new(server.map_err(|error| format!("OLLAMA_HOST: {error}"))?)))
        }
        None => Ok(probes),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("{address} is in use: stop what listens there, or set AURA_LISTEN to another port (AURA_LISTEN=127.0.0.1:0 takes a free one)")
        }
        _ => format!("cannot listen on {address}: {error}; set AURA_LISTEN"),
    })
}

/// Waits for the first signal. SIGTERM comes from whoever runs several nodes behind a load balancer: it gets the time to notice
/// that this one leaves. Then claiming stops at once, and requests under way are answered. A second signal ends the process, which
/// loses nothing either: leases expire.
async fn stop_on_signal(orchestra: Orchestra, drain: http::Drain, time: Duration) {
    let signal = signalled().await;
    tokio::spawn(async {
        signalled().await;
        std::process::exit(130);
    });
    if signal == Signal::Terminate && !time.is_zero() {
        println!(
            "leaving the load balancer for {time:?}: /readyz says 503, everything is served (again to stop at once)"
        );
        drain.run(time).await;
    }
    println!("stopping: running work may finish (again to stop at once)");
    // Long polls and streams end when the orchestra begins to stop.
    tokio::spawn(async move { orchestra.stop().await });
}

/// Who asks it to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Somebody at the terminal.
    Interrupt,
    /// A supervisor; there is no such signal outside Unix.
    #[cfg_attr(not(unix), expect(dead_code, reason = "never sent there"))]
    Terminate,
}

#[cfg(unix)]
async fn signalled() -> Signal {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        },
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught");
            let _caught = tokio::signal::ctrl_c().await;
            Signal::Interrupt
        }
    }
}

#[cfg(not(unix))]
async fn signalled() -> Signal {
    let _caught = tokio::signal::ctrl_c().await;
    Signal::Interrupt
}
