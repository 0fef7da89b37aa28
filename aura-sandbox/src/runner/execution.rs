//! One command from its start to the death of all its processes: at its end, at a limit, or when nobody waits for it any more.

use std::{
    io,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use aura_core::{SandboxError, evidence::RunEnd};
use tokio::{io::AsyncWriteExt as _, process::ChildStdin};

use super::{
    Place, Prepared,
    cases::Pace,
    output::{Output, Printed},
    process::{Running, Used},
};
use crate::{
    confinement::Task,
    report::{Remains, Shortage},
    workspace::Slot,
};

/// How often the size of the workspace is looked at.
const SIZE_EVERY: Duration = Duration::from_millis(500);
/// How long what was printed is still read once the command has ended: a process that left the group may hold the
/// pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// A command that has ended, with all processes of its group.
pub(super) struct Executed {
    pub(super) end: RunEnd,
    /// How long the call took that was being made when it was ended for time; absent where none was, or its answer came after all.
    pub(super) lost: Option<Duration>,
    pub(super) wall: Duration,
    pub(super) remains: Remains,
    pub(super) used: Used,
    /// The end of what was printed.
    pub(super) last: Vec<u8>,
}

/// Where a command reads and writes.
pub(super) struct Streams {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// Starts a command.
///
/// # Errors
/// When something that it needs cannot be made, or it is not to be started.
pub(super) async fn start(place: &Place, prepared: &Prepared, streams: Streams) -> io::Result<Running> {
    let (here, prepared) = (place.clone(), prepared.clone());
    let work = move || {
        let Place { slot, limits, confinement, .. } = &here;
        let Prepared { argv, environment, with_work, coverage, .. } = &prepared;
        let (variables, tools) = (environment.variables.as_slice(), environment.tools.as_slice());
        let user = slot.user();
        let task = Task {
            argv,
            variables,
            tools,
            slot: slot.path(),
            limits,
            user,
            with_work: *with_work,
            coverage: coverage.as_ref(),
        };
        let mut confined = confinement.command(&task)?;
        let Streams { stdin, stdout, stderr } = streams;
        confined.command.stdin(stdin).stdout(stdout).stderr(stderr);
        Running::start(confined)
    };
    place.starter.on_thread(work).await
}

/// Runs a command to its end.
pub(super) async fn execute(place: &Place, prepared: &Prepared, timeout: Duration) -> Result<Executed, SandboxError> {
    let Place { slot, limits, .. } = place;
    let stdin = if prepared.input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let streams = Streams { stdin, stdout: Stdio::piped(), stderr: Stdio::piped() };
    let started = start(place, prepared, streams).await;
    let mut running = started.map_err(|source| not_started(&prepared.argv, source))?;
    let feeding = feed(running.child().stdin.take(), &prepared.input);
    let mut output = Output::of(running.child(), limits);
    let started = Instant::now();
    let deadline = tokio::time::sleep(timeout);
    let growth = growth_past(slot, limits.workspace_bytes);
    tokio::pin!(deadline, feeding, growth);
    let (mut code, mut is_fed, mut pace) = (None, false, prepared.pace.clone());
    let end = loop {
        tokio::select! {
            biased;
            () = &mut deadline => break RunEnd::TimedOut,
            grown = &mut growth => {
                grown?;
                break RunEnd::TooMuchOutput;
            }
            () = &mut feeding, if !is_fed => is_fed = true,
            within = output.read(), if output.is_open() => if !within {
                break RunEnd::TooMuchOutput;
            } else if let Some(pace) = &mut pace {
                pace.saw(output.stdout());
            },
            // Behind the reader: an answer that is there has come in time.
            () = call_is_lost(pace.as_ref()) => break RunEnd::TimedOut,
            exited = running.wait() => {
                code = exited.map_err(|source| SandboxError::Io {
                    action: "wait for the test command".to_owned(),
                    source: source.into(),
                })?;
                break RunEnd::Finished;
            }
        }
    };
    let wall = started.elapsed();
    let used = running.end().await;
    let within = tokio::time::timeout(DRAIN, output.drain()).await.unwrap_or(true);
    let end = if end == RunEnd::Finished && !within { RunEnd::TooMuchOutput } else { end };
    // The kernel takes its time to let a control group go.
    crate::blocking(move || {
        drop(running);
        Ok(())
    })
    .await?;
    let Printed { stdout, stderr, last } = output.into_printed();
    let lost = pace.filter(|_| end == RunEnd::TimedOut).and_then(|mut pace| {
        let waited = pace.waited();
        waited.filter(|_| !pace.saw(&stdout))
    });
    let shortage = Shortage::of(limits.memory_bytes, used.killed_for_memory, used.peak_memory, code, &stderr);
    let remains = Remains { code, stdout, stderr, file: None, shortage };
    Ok(Executed { end, lost, wall, remains, used, last })
}

/// Returns once a call has taken longer than it may; never where nobody watches.
async fn call_is_lost(pace: Option<&Pace>) {
    match pace {
        Some(pace) => pace.is_lost().await,
        None => std::future::pending().await,
    }
}

/// Writes what comes in, and closes it. A command that ends before it has read all of it is none the worse for that.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin
        && let Err(error) = stdin.write_all(input).await
    {
        tracing::trace!(%error, "a test command did not read all of its input");
    }
}

/// Returns once the attempt's folders have grown past the bound, in bytes or in depth.
async fn growth_past(slot: &Arc<Slot>, bytes: u64) -> Result<(), SandboxError> {
    loop {
        tokio::time::sleep(SIZE_EVERY).await;
        let slot = Arc::clone(slot);
        if crate::blocking(move || Ok(holds_more_than(&slot, bytes))).await? {
            return Ok(());
        }
    }
}

fn holds_more_than(slot: &Slot, bytes: u64) -> bool {
    /// What an entry takes even when it is empty.
    const ENTRY: u64 = 4096;
    let mut total = 0_u64;
    let walked = slot.folder().walk(&|_, _| false, &mut |entry| {
        total = total.saturating_add(entry.length).saturating_add(ENTRY);
        if total > bytes { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    });
    match walked {
        Ok(()) => false,
        Err(error) if matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::Other) => true,
        // A folder that the code under test has shut cannot be measured; each file in it has its own bound.
        Err(error) => {
            tracing::debug!(%error, "the size of a workspace could not be measured");
            false
        }
    }
}

fn not_started(argv: &[String], source: io::Error) -> SandboxError {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    SandboxError::Unavailable(format!("{program} cannot be started: {source}"))
}
