//! Which tests a pytest command runs, as far as the command alone tells.

use aura_core::{Project, ReportFormat};

/// A command that runs pytest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pytest {
    /// The Python that it runs in.
    pub(super) python: String,
    /// Folders and files that it is pointed at; everything when there are none.
    places: Vec<String>,
    /// Whether it ends by the first tests that fail.
    pub(super) stops_early: bool,
}

/// Options that change neither which tests are run nor what they are called.
const FLAGS: &[&str] = &[
    "-q",
    "-qq",
    "-v",
    "-vv",
    "-s",
    "-x",
    "-l",
    "--exitfirst",
    "--no-header",
    "--no-summary",
    "--disable-warnings",
    "--strict-markers",
    "--continue-on-collection-errors",
    "--cov-branch",
];
const VALUED: &[&str] = &[
    "--tb=",
    "--junitxml=",
    "--junit-xml=",
    "--maxfail=",
    "--durations=",
    "--color=",
    "--capture=",
    "--cov=",
    "--cov-report=",
    "-r",
];
const PLUGINS: &[&str] = &["no:cacheprovider", "no:randomly", "no:xdist"];
const PYTHON_FLAGS: &[&str] = &["-B", "-E", "-I", "-S", "-s", "-u"];

impl Pytest {
    /// Reads a suite's command; the reason when it is not understood, and an empty one when it is no pytest: such tests have no twins.
    pub(super) fn of(project: &Project) -> Result<Self, String> {
        let strangers = String::new;
        let (program, arguments) = project.command.split_first().ok_or_else(strangers)?;
        let name = program.rsplit('/').next().unwrap_or_default();
        let (python, arguments) = if name.starts_with("python") {
            let module = arguments.iter().position(|part| part == "-m").ok_or_else(strangers)?;
            let (flags, rest) = arguments.split_at(module);
            if rest.get(1).map(String::as_str) != Some("pytest") {
                return Err(strangers());
            }
            if let Some(flag) = flags.iter().find(|flag| !PYTHON_FLAGS.contains(&flag.as_str())) {
                return Err(not_understood(flag));
            }
            (program.clone(), rest.get(2..).unwrap_or_default())
        } else if name == "pytest" {
            ("python3".to_owned(), arguments)
        } else {
            return Err(strangers());
        };
        if project.report != ReportFormat::Junit {
            return Err("its tests are told apart by a JUnit report only".to_owned());
        }
        let (mut places, mut stops_early) = (Vec::new(), false);
        let mut rest = arguments.iter();
        while let Some(part) = rest.next() {
            if part == "-p" {
                match rest.next() {
                    Some(plugin) if PLUGINS.contains(&plugin.as_str()) => {}
                    _ => return Err(not_understood("-p")),
                }
            } else if part.starts_with('-') {
                if !FLAGS.contains(&part.as_str()) && !VALUED.iter().any(|start| part.starts_with(start)) {
                    return Err(not_understood(part));
                }
                stops_early |= matches!(part.as_str(), "-x" | "--exitfirst") || part.starts_with("--maxfail=");
            } else if part.contains("::") {
                return Err(not_understood(part));
            } else {
                places.push(part.trim_start_matches("./").trim_end_matches('/').to_owned());
            }
        }
        Ok(Self { python, places, stops_early })
    }

    /// Whether it collects tests from the file at this path.
    pub(super) fn collects(&self, path: &str) -> bool {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let usual = name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"));
        let shunned = |folder: &str| {
            folder.starts_with('.') || matches!(folder, "build" | "dist" | "node_modules" | "venv" | "CVS" | "_darcs")
        };
        let below = |place: &str| {
            let inner = if matches!(place, "." | "") { Some(folders) } else { folders.strip_prefix(place) };
            inner.is_some_and(|rest| {
                let whole = matches!(place, "." | "") || rest.is_empty() || rest.starts_with('/');
                whole && !rest.split('/').any(shunned)
            })
        };
        let everywhere = [String::from(".")];
        let places = if self.places.is_empty() { everywhere.as_slice() } else { self.places.as_slice() };
        places.iter().any(|place| place == path || (usual && below(place)))
    }
}

fn not_understood(part: &str) -> String {
    format!("nobody can tell from `{part}` which tests are run: leave it out, or give `expected`")
}

#[cfg(test)]
mod tests {
    use aura_core::{SourceFile, TestSuite, Tests};

    use super::*;

    fn read(command: &[&str]) -> Result<Pytest, String> {
        let files = vec![SourceFile::new("tests/test_a.py", "")];
        let suite = TestSuite::project(files, command.iter().copied(), ReportFormat::Junit);
        match &suite.tests {
            Tests::Project(project) => Pytest::of(project),
            Tests::Cases(_) => unreachable!("it is a project"),
        }
    }

    #[test]
    fn the_usual_command_is_understood() {
        let Tests::Project(usual) = TestSuite::pytest("").tests else { unreachable!("it is a project") };
        let pytest = Pytest::of(&usual).unwrap();
        assert!(pytest.collects("test_solution.py") && !pytest.collects("tests/test_solution.py"));
        assert!(!pytest.collects("test_other.py"));
    }

    #[test]
    fn places_are_folders_or_files() {
        let pytest = read(&["python3", "-m", "pytest", "-q", "--junitxml={report}", "./tests/", "odd.py"]).unwrap();
        for (path, collected) in [
            ("tests/test_a.py", true),
            ("tests/deep/a_test.py", true),
            ("tests/a.py", false),
            ("tests/.hidden/test_a.py", false),
            ("tests2/test_a.py", false),
            ("test_a.py", false),
            ("odd.py", true),
        ] {
            assert_eq!(pytest.collects(path), collected, "{path}");
        }
        let everywhere = read(&["pytest", "--junitxml={report}"]).unwrap();
        assert!(everywhere.collects("a/b/test_a.py") && !everywhere.collects("build/test_a.py"));
    }

    #[test]
    fn what_may_choose_other_tests_is_not_understood() {
        for command in [
            &["python3", "-m", "pytest", "-k", "small"][..],
            &["python3", "-m", "pytest", "test_a.py::test_b"],
            &["python3", "-m", "pytest", "-p", "mine"],
            &["python3", "-m", "pytest", "--deselect=x"],
            &["python3", "-O", "-m", "pytest"],
            &["python3", "-m", "unittest"],
            &["make", "test"],
            &["sh", "-c", "pytest"],
        ] {
            assert!(read(command).is_err(), "{command:?}");
        }
    }
}
