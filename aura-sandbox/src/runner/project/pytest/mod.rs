//! The tests of pytest: read from the files by a program of ours, which runs apart from the work.

mod command;

use std::{collections::BTreeMap, time::Duration};

use aura_core::{Project, SandboxError, SourceFile};
use serde::Deserialize;
use serde_json::json;

use self::command::Pytest;
use super::{
    plan::Plan,
    reader::{self, Reader},
};
use crate::{path::WorkPath, runner::Place, steering, workspace::Slot};

/// Reads the files and writes the copies.
const PROGRAM: &str = concat!(
    include_str!("wrong.py"),
    "\n\n",
    include_str!("library.py"),
    "\n\n",
    include_str!("literals.py"),
    "\n\n",
    include_str!("exceptions.py"),
    "\n\n",
    include_str!("assertions.py"),
    "\n\n",
    include_str!("constants.py"),
    "\n\n",
    include_str!("tests.py"),
    "\n\n",
    include_str!("copies.py")
);
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
    // One failed test must not end a run in which twins have to fail.
    let arguments = if pytest.stops_early { vec!["--maxfail=0".to_owned()] } else { Vec::new() };
    let found = {
        let (place, project) = (place.clone(), project.clone());
        crate::blocking(move || prepare(&place, &project, &pytest)).await?
    };
    let (reader, pristine) = match found {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    match reader.read(place, timeout).await? {
        Ok(Told::Plan(plan)) => Ok(Ok(Plan { pristine, arguments, ..plan })),
        Ok(Told::Unsure { unsure }) => Ok(Err(reader::no_twins(&unsure))),
        Err(why) => Ok(Err(why)),
    }
}

type Found = (Reader, Vec<SourceFile>);

/// Finds the pristine test files, and Python.
fn prepare(place: &Place, project: &Project, pytest: &Pytest) -> Result<Result<Found, String>, SandboxError> {
    let slot = &place.slot;
    let files = reader::pristine(slot, project, &[".py"]);
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
    let conftests = conftests(slot, &pristine, &files);
    let is_other = |path: &str| !conftests.contains_key(path) && !pristine.iter().any(|file| file.path == path);
    let helpers = project.files.iter().filter(|file| file.path.ends_with(".py") && is_other(&file.path));
    let helpers = helpers.map(|file| json!({ "path": file.path, "text": file.text, "kind": "helper" }));
    let conftests = conftests.iter().map(|(path, text)| json!({ "path": path, "text": text, "kind": "conftest" }));
    let input = json!({ "files": tests.chain(conftests).chain(helpers).collect::<Vec<_>>() });
    let reader = Reader::new(place, &pytest.python, &["-I", "-c", PROGRAM], &input)?;
    Ok(reader.map(|reader| (reader, pristine)))
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
