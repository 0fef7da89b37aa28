//! Runs a suite: what its command needs is laid out, it is run, and what it left behind is read.

mod cases;
mod coverage;
mod environment;
mod execution;
mod output;
mod process;
mod project;
mod starter;

use std::{io, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use aura_core::{
    Isolation, Project, ReportFormat, SandboxError, TestCase, TestReport, TestSuite, Tests, evidence::RunEnd,
};

use crate::{
    Limits,
    beneath::Folder,
    confinement::Confinement,
    path::WorkPath,
    report::{self, MAX_REPORT, Remains, Shortage},
    workspace::Slot,
};
use coverage::Coverage;
#[cfg(target_os = "linux")]
pub(crate) use coverage::{COVERAGE, make as make_coverage};
use environment::Environment;
use execution::{Executed, Streams, execute, start};
use process::Used;
#[cfg(fuzzing)]
pub(crate) use project::read_rust_tests;
pub(crate) use starter::Starter;

/// What stands for the report's path in a command.
const PLACEHOLDER: &str = "{report}";
/// The report's name in its private folder.
pub(crate) const REPORT: &str = "report.xml";
/// How large a file such a look may write, in bytes.
const PROBE_BYTES: u64 = 1 << 20;
/// How long a look at the tools themselves may take.
const PROBE: Duration = Duration::from_secs(20);

/// Everything that a run needs, found before it starts.
#[derive(Clone)]
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
    /// Where the command leaves word of its coverage, in the workspace.
    coverage: Option<WorkPath>,
    /// Watches the answers of a caller.
    pace: Option<cases::Pace>,
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
    /// Who starts it.
    pub(crate) starter: Arc<Starter>,
}

/// Runs a suite's tests on the work.
pub(crate) async fn run(place: &Place, suite: &TestSuite) -> Result<TestReport, SandboxError> {
    let report = match &suite.tests {
        Tests::Project(project) => project::run(place, project, suite).await,
        Tests::Cases(cases) => cases::run(place, cases, suite).await,
    };
    let isolation = place.confinement.capabilities().isolation;
    report.map(|report| TestReport { isolation, restored: place.slot.restored(), ..report })
}

/// What one run of a project's command left.
struct Once {
    end: RunEnd,
    wall: Duration,
    used: Used,
    cases: Vec<TestCase>,
    /// What is wrong with its report; empty when nothing is.
    complaint: String,
    /// Memory that ran out.
    shortage: Option<Shortage>,
    /// What share of the code it reached.
    coverage: Coverage,
    /// The end of what was printed.
    last: Vec<u8>,
}

/// Writes the suite's files over the work, runs its command and reads its report.
async fn once(place: &Place, project: &Project, timeout: Duration) -> Result<Once, SandboxError> {
    let prepared = {
        let (place, project) = (place.clone(), project.clone());
        crate::blocking(move || prepare(&place, &project)).await?
    };
    let Executed { end, wall, remains, used, last, .. } = execute(place, &prepared, timeout).await?;
    let shortage = remains.shortage;
    let mut coverage = Coverage::default();
    let reading = if end == RunEnd::Finished {
        let (here, laid_out, format) = (place.clone(), prepared.clone(), project.report);
        let written_as = project.coverage.as_ref().map(|report| report.format);
        let (remains, reading, reached) = crate::blocking(move || {
            let remains = Remains { file: read_report(&laid_out.report), ..remains };
            let reading = report::read(format, &remains, &laid_out.counting);
            let reached = written_as.map(|format| coverage::read(&here, &laid_out, format));
            Ok((remains, reading, reached.unwrap_or_default()))
        })
        .await?;
        coverage = reached;
        if reading.end == RunEnd::Unreadable || !proves_tools(format, &reading) {
            missing_tool(&prepared, place, &remains).await?;
        }
        Some(reading)
    } else {
        None
    };
    let (end, cases, complaint) = reading.map_or((end, Vec::new(), String::new()), |r| (r.end, r.cases, r.complaint));
    Ok(Once { end, wall, used, cases, complaint, shortage, coverage, last })
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
    let coverage = coverage::lay_out(slot.work(), suite)?;
    let Beside { report, report_path, home, temporary } = beside(place)?;
    let report_path = report_path.join(REPORT).to_string_lossy().into_owned();
    let mut argv: Vec<String> = suite.command.iter().map(|part| part.replace(PLACEHOLDER, &report_path)).collect();
    let program = argv.first_mut().ok_or_else(|| SandboxError::Unavailable("the test command is empty".to_owned()))?;
    let environment = Environment::find(program, suite.report, &home, &temporary)?;
    *program = environment.program.to_string_lossy().into_owned();
    Ok(Prepared {
        argv,
        environment,
        counting,
        report: Arc::new(report),
        input: Vec::new(),
        with_work: true,
        coverage,
        pace: None,
    })
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

/// A tool that is missing is nobody's failure. What the code under test printed is only a reason to look: the tool
/// itself is asked, in an empty folder.
async fn missing_tool(prepared: &Prepared, place: &Place, remains: &Remains) -> Result<(), SandboxError> {
    let (argv, environment) = (&prepared.argv, &prepared.environment);
    let place = &Place { limits: Limits { file_bytes: PROBE_BYTES, ..place.limits }, ..place.clone() };
    let confinement = &place.confinement;
    let answers = async |argv: &[String]| answers(place, prepared, argv).await;
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

/// Whether a command in the place of a prepared one, and without the work, ends well.
async fn answers(place: &Place, prepared: &Prepared, argv: &[String]) -> bool {
    let look = Prepared { argv: argv.to_vec(), with_work: false, input: Vec::new(), pace: None, ..prepared.clone() };
    let streams = || Streams { stdin: Stdio::null(), stdout: Stdio::null(), stderr: Stdio::null() };
    let Ok(mut running) = start(place, &look, streams()).await else { return false };
    let code = tokio::time::timeout(PROBE, running.wait()).await;
    running.end().await;
    matches!(code, Ok(Ok(Some(0))))
}
