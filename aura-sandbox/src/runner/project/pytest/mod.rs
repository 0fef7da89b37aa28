//! The tests of pytest: read from the files by a program of ours, which runs apart from the work.

mod command;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aura_core::{Project, ReportFormat, SandboxError, SourceFile, evidence::RunEnd};
use serde::Deserialize;
use serde_json::json;

use self::command::Pytest;
use super::plan::Plan;
use crate::{
    Limits,
    path::WorkPath,
    report::tail,
    runner::{Beside, Executed, Place, Prepared, beside, environment::Environment, execute},
    steering,
    workspace::Slot,
};

/// Reads the files and writes the copies.
const PROGRAM: &str =
    concat!(include_str!("wrong.py"), "\n\n", include_str!("assertions.py"), "\n\n", include_str!("tests.py"));
/// How long that may take: it reads a few files.
const WITHIN: Duration = Duration::from_secs(10);
/// Most that it may print, in bytes: every file once for each run.
const MAX_PRINTED: usize = 64 << 20;
/// Largest configuration file that is looked at, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;
/// Files by which pytest can be told to run other tests.
const SETTINGS: [&str; 7] =
    ["pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg"];

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Unsure { unsure: String },
    Plan(Plan),
}

/// Makes a plan; the reason why there can be none.
pub(super) async fn plan(
    place: &Place,
    project: &Project,
    timeout: Duration,
) -> Result<Result<Plan, String>, SandboxError> {
    let pytest = match Pytest::of(project) {
        Ok(pytest) => pytest,
        Err(why) => return Ok(Err(why)),
    };
    let found = {
        let (place, project) = (place.clone(), project.clone());
        crate::blocking(move || prepare(&place, &project, &pytest)).await?
    };
    let (prepared, pristine) = match found {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let place = Place { limits: Limits { output_total: MAX_PRINTED, ..place.limits }, ..place.clone() };
    let Executed { end, remains, .. } = execute(&place, &prepared, timeout.min(WITHIN)).await?;
    let cannot = |why: &str| Ok(Err(format!("the test files could not be read for twins: {why}")));
    if end != RunEnd::Finished || remains.code != Some(0) {
        return cannot(tail(&remains.stderr, 300).trim());
    }
    match serde_json::from_slice(&remains.stdout) {
        Ok(Told::Plan(plan)) => Ok(Ok(Plan { pristine, ..plan })),
        Ok(Told::Unsure { unsure }) => Ok(Err(format!("its tests get no twins: {unsure}"))),
        Err(error) => cannot(&error.to_string()),
    }
}

type Found = (Prepared, Vec<SourceFile>);

/// Finds the pristine test files, and Python.
fn prepare(place: &Place, project: &Project, pytest: &Pytest) -> Result<Result<Found, String>, SandboxError> {
    let slot = &place.slot;
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in slot.base_tests() {
        if path.as_str().ends_with(".py") {
            files.insert(path.as_str().to_owned(), String::from_utf8_lossy(&text).into_owned());
        }
    }
    let given = project.files.iter().filter_map(|file| Some((WorkPath::parse(&file.path).ok()?, file)));
    files.extend(given.map(|(path, file)| (path.as_str().to_owned(), file.text.clone())));
    if let Some(settings) = settings(slot, &files) {
        return Ok(Err(format!("{settings} may have pytest run other tests: leave it out, or give `expected`")));
    }
    let pristine: Vec<SourceFile> = files
        .iter()
        .filter(|(path, _)| pytest.collects(path))
        .map(|(path, text)| SourceFile::new(path, text))
        .collect();
    if pristine.is_empty() {
        return Ok(Err("neither the suite nor the context brings a test file".to_owned()));
    }
    let tests = pristine.iter().map(|file| json!({ "path": file.path, "text": file.text, "kind": "test" }));
    let conftests = conftests(slot, &pristine, &files).into_iter();
    let conftests = conftests.map(|(path, text)| json!({ "path": path, "text": text, "kind": "conftest" }));
    let input = json!({ "files": tests.chain(conftests).collect::<Vec<_>>() }).to_string().into_bytes();
    let Beside { report, home, temporary, .. } = beside(place)?;
    let environment = match Environment::find(&pytest.python, ReportFormat::ExitCode, &home, &temporary) {
        Ok(environment) => environment,
        // The run itself will say so.
        Err(error) => return Ok(Err(error.to_string())),
    };
    let argv = [&environment.program.to_string_lossy(), "-I", "-c", PROGRAM].map(str::to_owned).to_vec();
    let report = Arc::new(report);
    let prepared = Prepared {
        argv,
        environment,
        counting: Vec::new(),
        report,
        input,
        with_work: false,
        coverage: None,
        pace: None,
    };
    Ok(Ok((prepared, pristine)))
}

/// A file that configures pytest. Work may bring none, so it is the user's.
fn settings(slot: &Slot, files: &BTreeMap<String, String>) -> Option<&'static str> {
    SETTINGS.into_iter().find(|name| {
        let text = files.get(*name).cloned().or_else(|| read(slot, name));
        text.is_some_and(|text| name.contains("pytest") || steering::can_configure_pytest(&text))
    })
}

/// Each conftest.py that pytest reads for these files. Work may bring none, so they are the user's.
fn conftests(slot: &Slot, tests: &[SourceFile], files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let folders = tests.iter().flat_map(|file| {
        let ends = file.path.match_indices('/').filter_map(|(end, _)| file.path.get(..=end));
        std::iter::once("").chain(ends).map(|folder| format!("{folder}conftest.py"))
    });
    folders
        .filter_map(|path| {
            let text = files.get(&path).cloned().or_else(|| read(slot, &path))?;
            Some((path, text))
        })
        .collect()
}

fn read(slot: &Slot, path: &str) -> Option<String> {
    let bytes = slot.work().read(&WorkPath::parse(path).ok()?, MAX_SETTINGS).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
