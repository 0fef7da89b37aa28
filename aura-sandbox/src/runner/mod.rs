//! Runs one test command and ends it: at its end, at a limit, or when nobody waits for it any more.

mod cases;
mod environment;
mod output;
mod process;
mod project;

use std::{
    io,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use aura_core::{
    Isolation, Project, ReportFormat, SandboxError, TestCase, TestReport, TestSuite, Tests, evidence::RunEnd,
};

use crate::{
    Limits,
    beneath::Folder,
    confinement::{Confinement, Task},
    path::WorkPath,
    report::{self, MAX_REPORT, Remains},
    workspace::Slot,
};
use environment::Environment;
use output::Output;
use process::{Running, Used};
use tokio::{io::AsyncWriteExt as _, process::ChildStdin};

/// What stands for the report's path in a command.
const PLACEHOLDER: &str = "{report}";
/// The report's name in its private folder.
pub(crate) const REPORT: &str = "report.xml";
/// How often the size of the workspace is looked at.
const SIZE_EVERY: Duration = Duration::from_millis(500);
/// How long what was printed is still read once the command has ended: a process that left the group may hold the
/// pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);
/// How large a file such a look may write, in bytes.
const PROBE_BYTES: u64 = 1 << 20;
/// How long a look at the tools themselves may take.
const PROBE: Duration = Duration::from_secs(20);

/// Everything that a run needs, found before it starts.
struct Prepared {
    argv: Vec<String>,
    environment: Environment,
    /// Sources of the tests that count; none when all do.
    counting: Vec<WorkPath>,
    report: Arc<Folder>,
    /// What comes in on its standard input.
    input: Vec<u8>,
    /// Whether it is run on the work, or in an empty folder and without a way to it.
    with_work: bool,
}

/// A command that has ended, with all processes of its group.
struct Executed {
    end: RunEnd,
    wall: Duration,
    remains: Remains,
    used: process::Used,
    /// The end of what was printed.
    last: Vec<u8>,
}

/// Where a suite is run.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The folders of the attempt.
    pub(crate) slot: Arc<Slot>,
    /// Bounds.
    pub(crate) limits: Limits,
    /// What stands between the command and the host.
    pub(crate) confinement: Arc<Confinement>,
}

/// Runs a suite's tests on the work.
pub(crate) async fn run(place: &Place, suite: &TestSuite) -> Result<TestReport, SandboxError> {
    let report = match &suite.tests {
        Tests::Project(project) => project::run(place, project, suite).await,
        Tests::Cases(cases) => cases::run(place, cases, suite).await,
    };
    report.map(|report| TestReport { isolation: place.confinement.capabilities().isolation, ..report })
}

/// What one run of a project's command left.
struct Once {
    end: RunEnd,
    wall: Duration,
    used: Used,
    cases: Vec<TestCase>,
    /// What is wrong with its report; empty when nothing is.
    complaint: String,
    /// The end of what was printed.
    last: Vec<u8>,
}

/// Writes the suite's files over the work, runs its command and reads its report.
async fn once(place: &Place, project: &Project, timeout: Duration) -> Result<Once, SandboxError> {
    let prepared = {
        let (place, project) = (place.clone(), project.clone());
        crate::blocking(move || prepare(&place, &project)).await?
    };
    let Executed { end, wall, remains, used, last } = execute(place, &prepared, timeout).await?;
    let reading = if end == RunEnd::Finished {
        let (format, report, counting) = (project.report, Arc::clone(&prepared.report), prepared.counting.clone());
        let (remains, reading) = crate::blocking(move || {
            let remains = Remains { file: read_report(&report), ..remains };
            let reading = report::read(format, &remains, &counting);
            Ok((remains, reading))
        })
        .await?;
        if reading.end == RunEnd::Unreadable || !proves_tools(format, &reading) {
            missing_tool(&prepared, place, &remains).await?;
        }
        Some(reading)
    } else {
        None
    };
    let (end, cases, complaint) = reading.map_or((end, Vec::new(), String::new()), |r| (r.end, r.cases, r.complaint));
    Ok(Once { end, wall, used, cases, complaint, last })
}

/// Whether a reading can only come from tools that are there: with an exit code alone, or a build that failed, it
/// could also be that one is missing.
fn proves_tools(format: ReportFormat, reading: &report::Reading) -> bool {
    use aura_core::TestOutcome::{Failed, Passed};
    format != ReportFormat::ExitCode && reading.cases.iter().any(|case| matches!(case.outcome, Passed | Failed))
}

fn prepare(place: &Place, suite: &Project) -> Result<Prepared, SandboxError> {
    let slot = &place.slot;
    let cannot =
        |action: &str, source: io::Error| SandboxError::Io { action: action.to_owned(), source: source.into() };
    let paths = suite.files.iter().map(|file| {
        WorkPath::parse(&file.path).map_err(|error| match error {
            // The suite is the user's: a bad path in it is a mistake.
            SandboxError::Hostile(reason) => SandboxError::Refused(format!("test file: {reason}")),
            other => other,
        })
    });
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    let counting = slot.restore_tests(&paths).map_err(|source| cannot("restore the tests", source))?;
    for (path, file) in paths.iter().zip(&suite.files) {
        let written = slot.work().write_over(path, file.text.as_bytes());
        written.map_err(|source| cannot(&format!("write the test file {path}"), source))?;
    }
    let Beside { report, report_path, home, temporary } = beside(place)?;
    let report_path = report_path.join(REPORT).to_string_lossy().into_owned();
    let mut argv: Vec<String> = suite.command.iter().map(|part| part.replace(PLACEHOLDER, &report_path)).collect();
    let program = argv.first_mut().ok_or_else(|| SandboxError::Unavailable("the test command is empty".to_owned()))?;
    let environment = Environment::find(program, suite.report, &home, &temporary)?;
    *program = environment.program.to_string_lossy().into_owned();
    Ok(Prepared { argv, environment, counting, report: Arc::new(report), input: Vec::new(), with_work: true })
}

/// The folders beside the workspace that a run has for itself.
struct Beside {
    report: Folder,
    report_path: PathBuf,
    home: PathBuf,
    temporary: PathBuf,
}

/// Makes them anew, and hands all of it over to the user that the work runs as.
fn beside(place: &Place) -> Result<Beside, SandboxError> {
    let Place { slot, confinement, .. } = place;
    let cannot =
        |action: &str, source: io::Error| SandboxError::Io { action: action.to_owned(), source: source.into() };
    let folder = |name: &str| slot.private(name).map_err(|source| cannot("make a private folder", source));
    let (report, report_path) = folder("report")?;
    let (_, home) = folder("home")?;
    let (_, temporary) = folder("tmp")?;
    folder("empty")?;
    if confinement.works_in_place() {
        slot.hand_over().map_err(|source| cannot("hand the work over to its user", source))?;
    }
    Ok(Beside { report, report_path, home, temporary })
}

/// A report that is empty, too large or no plain file is as good as none.
fn read_report(folder: &Folder) -> Option<Vec<u8>> {
    folder.read(&WorkPath::parse(REPORT).ok()?, MAX_REPORT).ok().filter(|report| !report.is_empty())
}

async fn execute(place: &Place, prepared: &Prepared, timeout: Duration) -> Result<Executed, SandboxError> {
    let Place { slot, limits, confinement } = place;
    let task = task(&prepared.argv, &prepared.environment, place, prepared.with_work);
    let started = confinement.command(&task).and_then(|mut confined| {
        let stdin = if prepared.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        confined.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(confined)
    });
    let mut running = started.map_err(|source| not_started(&prepared.argv, source))?;
    let feeding = feed(running.child().stdin.take(), &prepared.input);
    let mut output = Output::of(running.child(), limits);
    let started = Instant::now();
    let deadline = tokio::time::sleep(timeout);
    let growth = growth_past(slot, limits.workspace_bytes);
    tokio::pin!(deadline, feeding, growth);
    let (mut code, mut is_fed) = (None, false);
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
            },
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
    let output::Printed { stdout, stderr, last } = output.into_printed();
    Ok(Executed { end, wall, remains: Remains { code, stdout, stderr, file: None }, used, last })
}

fn task<'a>(argv: &'a [String], environment: &'a Environment, place: &'a Place, with_work: bool) -> Task<'a> {
    let (variables, tools) = (environment.variables.as_slice(), environment.tools.as_slice());
    let Place { slot, limits, .. } = place;
    Task { argv, variables, tools, slot: slot.path(), limits, user: slot.user(), with_work }
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

/// A tool that is missing is nobody's failure. What the code under test printed is only a reason to look: the tool
/// itself is asked, in an empty folder.
async fn missing_tool(prepared: &Prepared, place: &Place, remains: &Remains) -> Result<(), SandboxError> {
    let (argv, environment) = (&prepared.argv, &prepared.environment);
    let place = &Place { limits: Limits { file_bytes: PROBE_BYTES, ..place.limits }, ..place.clone() };
    let confinement = &place.confinement;
    let answers = async |argv: &[String]| answers(&task(argv, environment, place, false), confinement).await;
    let stderr = String::from_utf8_lossy(&remains.stderr);
    if matches!(remains.code, Some(126 | 127)) {
        // A shell's word for a program that it cannot start; the work can say so too.
        let look = ["/bin/sh", "-c", "test -r \"$0\" && test -x \"$0\""].map(str::to_owned);
        let look: Vec<String> = look.into_iter().chain(argv.first().cloned()).collect();
        if confinement.capabilities().isolation > Isolation::None && !answers(&look).await {
            return Err(SandboxError::Unavailable(format!(
                "{} is out of reach in the sandbox: install it for everybody (its folders and files must be readable by \
                 other users)",
                environment.asked_for
            )));
        }
    }
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let module = argv.iter().position(|part| part == "-m").and_then(|at| argv.get(at + 1));
    if let Some(module) = module.filter(|module| stderr.contains(&format!("No module named {module}"))) {
        let probe =
            [program, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"];
        let probe: Vec<String> = probe.into_iter().chain([module.as_str()]).map(str::to_owned).collect();
        if !answers(&probe).await {
            let name = environment.asked_for.as_str();
            return Err(SandboxError::Unavailable(format!(
                "{name} -m {module} is missing: {name} -m pip install {module}"
            )));
        }
    }
    if environment.is_cargo && remains.code != Some(0) {
        if !answers(&[program.to_owned(), "--version".to_owned()]).await {
            return Err(SandboxError::Unavailable(
                "cargo does not run: install Rust, and choose a toolchain with `rustup default stable`".to_owned(),
            ));
        }
        if stderr.contains("linker `cc` not found") && !environment.has("cc") {
            return Err(SandboxError::Unavailable("the linker cc is missing: install a C compiler".to_owned()));
        }
    }
    Ok(())
}

async fn answers(task: &Task<'_>, confinement: &Confinement) -> bool {
    let started = confinement.command(task).and_then(|mut confined| {
        confined.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running::start(confined)
    });
    let Ok(mut running) = started else { return false };
    let code = tokio::time::timeout(PROBE, running.wait()).await;
    running.end().await;
    matches!(code, Ok(Ok(Some(0))))
}
