//! A worker on its own: it has one model and a manager's address, here or on another machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a worker talks to whoever starts it")]

#[path = "../staff/hiring.rs"]
mod hiring;
#[path = "../staff/house.rs"]
mod house;
#[path = "../staff/one_line.rs"]
mod one_line;
mod settings;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use aura_orchestra::{http::HttpManager, prelude::*};
use one_line::one_line;
use settings::WorkerSettings;

/// How soon a manager that is not there is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,aura_core=info")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("aura worker: {message}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let settings = WorkerSettings::read()?;
    let manager = Arc::new(settings.manager);
    println!("Aura worker {} works for the manager at {}", settings.worker, manager.place());
    let mut signals = Signals::listen()?;
    introduce(&settings.profile, settings.adapter.as_ref()).await;

    tokio::select! {
        registered = register(&manager, &settings.profile) => println!("{}", registered?),
        () = signals.next() => {
            println!("stopped before the manager was there");
            return Ok(());
        }
    }
    let pool = WorkerPool::builder(manager, settings.worker)
        .employ_shared(settings.adapter)
        .concurrency(settings.concurrency)
        .grace(settings.grace)
        .probe(settings.probes)
        .start()
        .map_err(|error| one_line(&error))?;
    println!("ready: {} at once (Ctrl-C or SIGTERM stops)", jobs(settings.concurrency));

    signals.next().await;
    println!(
        "stopping: running work may finish within {:?}, then it is handed back (again to stop at once)",
        settings.grace
    );
    tokio::select! {
        () = pool.stop() => {
            println!("stopped; nothing is lost");
            Ok(())
        }
        () = signals.next() => std::process::exit(130),
    }
}

/// Says who does the work, and what people must know about it.
async fn introduce(profile: &ModelProfile, adapter: &dyn ModelAdapter) {
    let ModelIdentity { provider, model } = &profile.identity;
    println!("  model      {} ({provider} {model})", profile.name);
    if profile.origin == Origin::InHouse {
        println!("  NOTE       an OFFLINE DEMO employee: canned answers written by Aura's authors, no language model");
    }
    if let Some(stub) = &profile.stub {
        println!("  NOTE       {} is a STUB: {stub}", profile.name);
    }
    if adapter.gates().iter().any(|gate| gate.name == "budget") {
        println!(
            "  NOTE       the budget is this process's: it begins anew with each start, and other workers do not share it"
        );
    }
    if let Health::Unhealthy(why) = adapter.health().await {
        println!("  NOTE       {} cannot be reached yet: {}", profile.name, why.replace(['\n', '\r'], " "));
    }
}

/// Tells the manager of the model, waiting for a manager that is not there yet; answers with what came of it, in words.
async fn register(manager: &HttpManager, profile: &ModelProfile) -> Result<String, String> {
    let mut is_waiting = false;
    loop {
        match manager.employ(profile).await {
            Ok(()) => return Ok(format!("{} is registered", profile.name)),
            Err(aura_orchestra::core::Error::ModelExists(name)) => {
                let ModelIdentity { provider, model } = &profile.identity;
                return Err(format!(
                    "WORKER_MODEL_NAME: the manager knows another model as {name}, and this one is {model} of {provider}; their scores \
                     must not be mixed: give this one a name of its own"
                ));
            }
            Err(error) if error.is_retryable() => {
                if !is_waiting {
                    println!("waiting for the manager: {}", one_line(&error));
                    is_waiting = true;
                }
                tokio::time::sleep(error.retry_after().unwrap_or_default().max(ASK_AGAIN)).await;
            }
            Err(error) => return Err(format!("MANAGER_URL: {}", one_line(&error))),
        }
    }
}

fn jobs(count: u32) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

/// Ctrl-C and SIGTERM. It listens from its making on, so that none is missed between two waits.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| format!("signals cannot be caught: {error}"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self, String> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _caught = tokio::signal::ctrl_c().await;
    }
}
