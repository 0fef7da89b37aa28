//! Which tests a command of Node's test runner runs, as far as the command alone tells.

use aura_core::{Project, ReportFormat};

/// A command that runs test files by Node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The Node that it runs in.
    pub(super) program: String,
    /// The test files, as paths in the workspace.
    pub(super) files: Vec<String>,
}

/// How the names of test files end.
pub(super) const ENDINGS: [&str; 3] = [".js", ".mjs", ".cjs"];
/// Options that change neither which tests are run nor what they are called.
const FLAGS: &[&str] = &[
    "--test",
    "--test-reporter=tap",
    "--test-reporter-destination=stdout",
    "--no-warnings",
    "--no-deprecation",
    "--enable-source-maps",
    "--trace-warnings",
    "--trace-uncaught",
    "--expose-gc",
    "--test-force-exit",
    "--experimental-test-coverage",
    "--experimental-vm-modules",
];
const VALUED: &[&str] =
    &["--test-concurrency=", "--test-timeout=", "--max-old-space-size=", "--stack-trace-limit=", "--stack-size="];

impl Node {
    /// Reads a suite's command; the reason when it is not understood, and an empty one when it is no test run of Node's.
    pub(super) fn of(project: &Project) -> Result<Self, String> {
        let strangers = String::new;
        let (program, arguments) = project.command.split_first().ok_or_else(strangers)?;
        let is_node = program == "node" || (program.starts_with('/') && program.ends_with("/node"));
        if !is_node || !arguments.iter().any(|part| part == "--test") {
            return Err(strangers());
        }
        if project.report != ReportFormat::Tap || !arguments.iter().any(|part| part == "--test-reporter=tap") {
            return Err("its tests are told apart by a TAP report only: give `--test-reporter=tap`".to_owned());
        }
        let mut files = Vec::new();
        for part in arguments {
            if part.starts_with('-') {
                if !FLAGS.contains(&part.as_str()) && !VALUED.iter().any(|start| part.starts_with(start)) {
                    return Err(not_understood(part));
                }
                continue;
            }
            let path = part.trim_start_matches("./");
            let is_plain =
                !path.starts_with('/') && !path.contains(['*', '?', '[', ']', '{', '}', '(', ')', '!', '\\']);
            if !is_plain
                || !ENDINGS.iter().any(|ending| path.ends_with(ending))
                || files.iter().any(|file| file == path)
            {
                return Err(not_understood(part));
            }
            files.push(path.to_owned());
        }
        if files.is_empty() {
            return Err(
                "Node looks for tests by itself: name the test files in the command, or give `expected`".to_owned()
            );
        }
        Ok(Self { program: program.clone(), files })
    }
}

fn not_understood(part: &str) -> String {
    format!("nobody can tell from `{part}` which tests are run: leave it out, or give `expected`")
}

#[cfg(test)]
mod tests {
    use aura_core::{TestSuite, Tests};

    use super::*;

    fn read(command: &[&str]) -> Result<Node, String> {
        Node::of(&Project::new(Vec::new(), command.iter().copied(), ReportFormat::Tap))
    }

    const USUAL: [&str; 3] = ["node", "--test", "--test-reporter=tap"];

    #[test]
    fn the_usual_command_is_understood() {
        let Tests::Project(usual) = TestSuite::node("").tests else { unreachable!("it is a project") };
        assert_eq!(
            Node::of(&usual),
            Ok(Node { program: "node".to_owned(), files: vec!["solution.test.js".to_owned()] })
        );
    }

    #[test]
    fn files_and_harmless_flags_are_understood() {
        let more = ["--no-warnings", "--test-concurrency=1", "./test/a.test.mjs", "b.cjs"];
        let node = read(&[&USUAL[..], &more].concat()).unwrap();
        assert_eq!(node.files, ["test/a.test.mjs", "b.cjs"]);
        assert_eq!(read(&["/opt/bin/node", "--test", "--test-reporter=tap", "a.js"]).unwrap().program, "/opt/bin/node");
    }

    #[test]
    fn what_may_choose_other_tests_is_not_understood() {
        for more in [
            &["--test-name-pattern=a", "a.js"][..],
            &["--test-skip-pattern=a", "a.js"],
            &["--test-only", "a.js"],
            &["--test-shard=1/2", "a.js"],
            &["--import", "./b.js", "a.js"],
            &["--import=./b.js", "a.js"],
            &["-r", "b.js", "a.js"],
            &["--require=b.js", "a.js"],
            &["--loader=b.js", "a.js"],
            &["--test-isolation=none", "a.js"],
            &["--test-reporter=spec", "a.js"],
            &["**/*.test.js"],
            &["test/"],
            &["test"],
            &["/tmp/a.js"],
            &["a.js", "./a.js"],
            &[],
        ] {
            let why = read(&[&USUAL[..], more].concat()).unwrap_err();
            assert!(why.contains("`expected`"), "{more:?}: {why}");
        }
    }

    #[test]
    fn another_report_is_no_help_and_another_tool_none_of_its_business() {
        assert!(read(&["node", "--test", "a.js"]).unwrap_err().contains("TAP"));
        for command in
            [&["node", "a.js"][..], &["npm", "test"], &["./node", "--test"], &["sh", "-c", "node --test"], &[]]
        {
            assert_eq!(read(command), Err(String::new()), "{command:?}");
        }
    }
}
