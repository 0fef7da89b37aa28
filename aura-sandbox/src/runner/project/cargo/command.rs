//! Which test targets a cargo command runs, as far as the command alone tells.

use aura_core::{Project, ReportFormat};

/// A command that runs `cargo test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CargoTest {
    /// The integration tests that it names; all when there are none.
    targets: Vec<String>,
}

/// Options that change neither which tests are run nor what they are called.
const FLAGS: &[&str] = &[
    "--offline",
    "--locked",
    "--frozen",
    "--no-fail-fast",
    "--release",
    "-r",
    "--all-features",
    "--no-default-features",
    "--tests",
    "-v",
    "--verbose",
    "--color=never",
];
const VALUED: &[&str] = &["--features=", "--jobs=", "-j", "--profile="];
/// Options of the test binaries, after `--`.
const BINARY_VALUED: &[&str] = &["--test-threads="];

impl CargoTest {
    /// Reads a suite's command; the reason when it is not understood, and an empty one when it is no cargo: such tests have other twins or
    /// none.
    pub(super) fn of(project: &Project) -> Result<Self, String> {
        let mut parts = project.command.iter().map(String::as_str);
        let program = parts.next().unwrap_or_default();
        if program.rsplit('/').next() != Some("cargo") || !matches!(parts.next(), Some("test" | "t")) {
            return Err(String::new());
        }
        if project.report != ReportFormat::Cargo {
            return Err("its tests are told apart by the lines of `cargo test` only".to_owned());
        }
        let mut found = Self::default();
        while let Some(part) = parts.next() {
            match part {
                "--" => break,
                "--test" => found.targets.extend(parts.next().map(str::to_owned)),
                "--features" | "-F" | "--jobs" => {
                    parts.next();
                }
                _ if FLAGS.contains(&part) || VALUED.iter().any(|start| part.starts_with(start)) => {}
                _ => match part.strip_prefix("--test=") {
                    Some(target) => found.targets.push(target.to_owned()),
                    None => return Err(not_understood(part)),
                },
            }
        }
        let other = parts.find(|part| !BINARY_VALUED.iter().any(|start| part.starts_with(start)));
        other.map_or(Ok(found), |part| Err(not_understood(part)))
    }

    /// Whether it runs the file at this path as a target of its own.
    pub(super) fn runs(&self, path: &str) -> bool {
        target(path).is_some_and(|name| self.targets.is_empty() || self.targets.iter().any(|target| target == name))
    }
}

/// The integration test that cargo finds in this file: `tests/name.rs` and `tests/name/main.rs` are one each.
pub(super) fn target(path: &str) -> Option<&str> {
    let below = path.strip_prefix("tests/")?;
    let name = below.strip_suffix("/main.rs").or_else(|| below.strip_suffix(".rs"))?;
    (!name.contains('/')).then_some(name)
}

fn not_understood(part: &str) -> String {
    format!("nobody can tell from `{part}` which tests are run: leave it out, or give `expected`")
}

#[cfg(test)]
mod tests {
    use aura_core::{TestSuite, Tests};

    use super::*;

    fn read(command: &[&str], report: ReportFormat) -> Result<CargoTest, String> {
        match TestSuite::project(vec![], command.iter().copied(), report).tests {
            Tests::Project(project) => CargoTest::of(&project),
            Tests::Cases(_) => unreachable!("it is a project"),
        }
    }

    #[test]
    fn the_usual_command_runs_every_integration_test() {
        let Tests::Project(usual) = TestSuite::cargo("").tests else { unreachable!("it is a project") };
        let cargo = CargoTest::of(&usual).unwrap();
        for (path, runs) in [
            ("tests/solution.rs", true),
            ("tests/deep/main.rs", true),
            ("tests/deep/other.rs", false),
            ("src/lib.rs", false),
            ("crates/a/tests/b.rs", false),
        ] {
            assert_eq!(cargo.runs(path), runs, "{path}");
        }
    }

    #[test]
    fn targets_that_are_named_are_the_only_ones() {
        let command = ["cargo", "test", "--test", "a", "--test=b", "--features", "x", "--", "--test-threads=1"];
        let cargo = read(&command, ReportFormat::Cargo).unwrap();
        assert_eq!(["tests/a.rs", "tests/b.rs", "tests/c.rs"].map(|path| cargo.runs(path)), [true, true, false]);
    }

    #[test]
    fn what_may_choose_other_tests_is_not_understood() {
        for command in [
            &["cargo", "test", "some_name"][..],
            &["cargo", "test", "--lib"],
            &["cargo", "test", "--manifest-path=x/Cargo.toml"],
            &["cargo", "test", "--", "--skip", "x"],
            &["cargo", "test", "--", "--ignored"],
            &["cargo", "+nightly", "test"],
            &["cargo", "nextest", "run"],
            &["sh", "-c", "cargo test"],
        ] {
            assert!(read(command, ReportFormat::Cargo).is_err(), "{command:?}");
        }
        assert!(read(&["cargo", "test"], ReportFormat::ExitCode).unwrap_err().contains("lines"));
        assert_eq!(read(&["make"], ReportFormat::Cargo), Err(String::new()));
    }
}
