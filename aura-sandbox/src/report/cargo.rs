//! Reads the lines that `cargo test` prints.

use aura_core::{TestCase, TestOutcome};

use super::{
    MAX_CASES, Reading, Remains,
    excerpt::{MAX_ID, MAX_MESSAGE, head},
    tail,
};
use crate::path::WorkPath;

/// What one test binary printed.
#[derive(Debug, Default)]
struct Binary {
    announced: usize,
    cases: Vec<TestCase>,
    result: Option<Counts>,
}

/// The counts of a `test result:` line.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
    measured: usize,
}

/// Reads the test lines of every binary that ran. A binary whose lines do not add up to its own counts, or that ended
/// without them, makes the whole unreadable.
///
/// When `counting` names Rust sources, tests of other binaries (the work's own unit and doc tests) that did not fail are
/// left out, so that no work can raise its share of passed tests with tests of its own.
pub(super) fn read(remains: &Remains, counting: &[WorkPath]) -> Reading {
    let stdout = String::from_utf8_lossy(&remains.stdout);
    let stderr = String::from_utf8_lossy(&remains.stderr);
    let mut binaries: Vec<Binary> = Vec::new();
    let mut cases = 0;
    for line in stdout.lines() {
        if let Some(announced) = announced(line) {
            binaries.push(Binary { announced, ..Binary::default() });
        } else if let Some(open) = binaries.last_mut().filter(|binary| binary.result.is_none()) {
            if let Some(counts) = line.strip_prefix("test result: ") {
                open.result = Counts::read(counts);
            } else if let Some(case) = test_line(line) {
                cases += 1;
                open.cases.push(case);
            }
        } else if line.starts_with("test result: ") || test_line(line).is_some() {
            return Reading::unreadable("there are test lines outside of any test run");
        }
        if cases > MAX_CASES {
            return Reading::unreadable(format!("there are more than {MAX_CASES} tests"));
        }
    }
    if binaries.is_empty() {
        return without_tests(remains, &stderr);
    }
    if !binaries.iter().all(Binary::adds_up) {
        return Reading::unreadable("a test binary ended before it had run all its tests, or printed lines of its own");
    }
    let Some(mut cases) = named(binaries, &stderr, counting) else {
        return Reading::unreadable("it cannot be told which test binary printed which lines");
    };
    add_messages(&mut cases, &stdout);
    Reading::of(cases)
}

/// Nothing ran: it did not compile, or something is missing.
fn without_tests(remains: &Remains, stderr: &str) -> Reading {
    if remains.code == Some(0) || !stderr.contains("error") {
        return Reading::unreadable(format!("the command {} and ran no tests", remains.ending()));
    }
    let from = stderr.find("\nerror").or_else(|| stderr.find("error")).unwrap_or(0);
    let message = head(stderr.get(from..).unwrap_or(stderr), MAX_MESSAGE);
    Reading::of(vec![TestCase::new("build", TestOutcome::Error).message(message)])
}

fn announced(line: &str) -> Option<usize> {
    let count = line.strip_prefix("running ")?;
    count.strip_suffix(" tests").or_else(|| count.strip_suffix(" test"))?.parse().ok()
}

/// `test name ... ok`, with `ignored, reason` and `should panic` forms.
fn test_line(line: &str) -> Option<TestCase> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let word = result.split([',', ' ']).next().unwrap_or_default();
    let outcome = match word {
        "ok" => TestOutcome::Passed,
        "FAILED" => TestOutcome::Failed,
        "ignored" => TestOutcome::Skipped,
        _ => return None,
    };
    Some(TestCase::new(head(name.trim_end_matches(" - should panic"), MAX_ID), outcome))
}

impl Counts {
    /// Reads `ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
    fn read(text: &str) -> Option<Self> {
        let (_, counts) = text.split_once(". ")?;
        let count = |word: &str| {
            counts.split("; ").find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<usize>().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
            measured: count("measured")?,
        })
    }
}

impl Binary {
    fn adds_up(&self) -> bool {
        let count = |outcome| self.cases.iter().filter(|case| case.outcome == outcome).count();
        self.result.as_ref().is_some_and(|result| {
            result.passed == count(TestOutcome::Passed)
                && result.failed == count(TestOutcome::Failed)
                && result.ignored == count(TestOutcome::Skipped)
                && result.measured.saturating_add(self.cases.len()) == self.announced
        })
    }
}

/// Puts the binary's name before each test's, by cargo's own lines that say which binary ran when; absent when those
/// lines do not fit.
fn named(binaries: Vec<Binary>, stderr: &str, counting: &[WorkPath]) -> Option<Vec<TestCase>> {
    let names: Vec<&str> = stderr.lines().filter_map(binary_name).collect();
    if names.len() != binaries.len() {
        return None;
    }
    let counting: Vec<&str> = counting.iter().map(WorkPath::as_str).filter(|path| path.ends_with(".rs")).collect();
    let mut cases = Vec::new();
    for (binary, name) in binaries.into_iter().zip(names) {
        let counts = counting.is_empty() || counting.contains(&name);
        let kept = binary.cases.into_iter().filter(|case| counts || case.outcome == TestOutcome::Failed);
        cases.extend(kept.map(|case| TestCase { id: head(&format!("{name}::{}", case.id), MAX_ID), ..case }));
    }
    Some(cases)
}

/// The source in `Running tests/a.rs (target/…)` or `Running unittests src/lib.rs (…)`, the crate in `Doc-tests a`.
fn binary_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(running) = line.strip_prefix("Running ") {
        return running.strip_prefix("unittests ").unwrap_or(running).split(" (").next();
    }
    line.strip_prefix("Doc-tests ")
}

/// Gives each failed test what it printed, from its `---- name stdout ----` part.
fn add_messages(cases: &mut [TestCase], stdout: &str) {
    for case in cases.iter_mut().filter(|case| case.outcome == TestOutcome::Failed) {
        let name = case.id.rsplit_once(".rs::").map_or(case.id.as_str(), |(_, name)| name);
        let heading = format!("---- {name} stdout ----\n");
        let Some((_, part)) = stdout.split_once(&heading) else { continue };
        let end = part.find("\n---- ").or_else(|| part.find("\n\nfailures:\n")).unwrap_or(part.len());
        let part = part.get(..end).unwrap_or_default();
        // What the work printed may be long: what ended the test comes last.
        let panic = part.rfind("\nthread '").filter(|_| part.len() > MAX_MESSAGE).unwrap_or(0);
        case.message = head(part.get(panic..).unwrap_or_default(), MAX_MESSAGE);
    }
    // A test that died with its binary printed nothing of its own.
    for case in cases.iter_mut().filter(|case| case.outcome == TestOutcome::Failed && case.message.is_empty()) {
        case.message = tail(stdout.as_bytes(), MAX_MESSAGE / 4);
    }
}

#[cfg(test)]
mod tests {
    use aura_core::evidence::RunEnd;
    use proptest::prelude::*;

    use super::*;

    fn reading(code: i32, stdout: &str, stderr: &str) -> Reading {
        counting(code, stdout, stderr, &[])
    }

    fn counting(code: i32, stdout: &str, stderr: &str, sources: &[WorkPath]) -> Reading {
        let remains = Remains {
            code: Some(code),
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
            ..Remains::default()
        };
        super::super::read(aura_core::ReportFormat::Cargo, &remains, sources)
    }

    const STDOUT: &str = "\nrunning 1 test\ntest tests::adds ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; \
        0 measured; 0 filtered out; finished in 0.00s\n\n\nrunning 3 tests\ntest adds ... ok\ntest later ... ignored, slow\n\
        test subtracts ... FAILED\n\nfailures:\n\n---- subtracts stdout ----\n\nthread 'subtracts' panicked at tests/a.rs:1:\n\
        left: 1\n\nfailures:\n    subtracts\n\ntest result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered \
        out; finished in 0.00s\n\n";
    const STDERR: &str = "   Compiling solution v0.0.0\n     Running unittests src/lib.rs (target/debug/deps/s-1)\n     \
        Running tests/a.rs (target/debug/deps/a-2)\nerror: test failed, to rerun pass `--test a`\n";

    #[test]
    fn tests_of_several_binaries_are_told_apart() {
        let reading = reading(101, STDOUT, STDERR);
        let seen: Vec<_> = reading.cases.iter().map(|case| (case.id.as_str(), case.outcome)).collect();
        assert_eq!(
            seen,
            [
                ("src/lib.rs::tests::adds", TestOutcome::Passed),
                ("tests/a.rs::adds", TestOutcome::Passed),
                ("tests/a.rs::later", TestOutcome::Skipped),
                ("tests/a.rs::subtracts", TestOutcome::Failed),
            ]
        );
        assert!(reading.cases[3].message.contains("left: 1"), "{:?}", reading.cases[3]);
    }

    #[test]
    fn tests_of_the_works_own_count_only_against_it() {
        let suite = [WorkPath::parse("tests/b.rs").unwrap()];
        let own_only = counting(101, STDOUT, STDERR, &suite);
        let seen: Vec<_> = own_only.cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(seen, ["tests/a.rs::subtracts"]);
        // A line that code under test printed to make the binaries impossible to tell apart.
        let confused = format!("{STDERR}     Running tests/b.rs (x)\n");
        assert_eq!(counting(101, STDOUT, &confused, &suite).end, RunEnd::Unreadable);
    }

    #[test]
    fn work_that_does_not_compile_is_one_error() {
        let reading = reading(101, "", "   Compiling solution\nerror[E0308]: mismatched types\n --> src/lib.rs:1:1\n");
        assert_eq!(reading.cases.len(), 1);
        assert_eq!(reading.cases[0].outcome, TestOutcome::Error);
        assert!(reading.cases[0].message.starts_with("error[E0308]"), "{:?}", reading.cases[0]);
    }

    #[test]
    fn a_binary_that_exits_early_or_prints_its_own_lines_is_unreadable() {
        let early = "running 2 tests\ntest a ... ok\n";
        let forged = "running 2 tests\ntest a ... ok\ntest b ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 \
            measured; 0 filtered out\n";
        let outside = "test a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        for stdout in [early, forged, outside, "", "hello\n", "test result: ok. 9 passed; 0 failed"] {
            assert_eq!(reading(0, stdout, "").end, RunEnd::Unreadable, "{stdout}");
        }
    }

    #[test]
    fn a_binary_without_tests_is_read_and_is_no_pass() {
        let stdout = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let reading = reading(0, stdout, "Running tests/a.rs (x)");
        assert_eq!((reading.end, reading.cases.len()), (RunEnd::Finished, 0));
    }

    #[test]
    fn passed_lines_are_not_believed_when_cargo_failed() {
        let stdout = "running 1 test\ntest a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(reading(0, stdout, "Running tests/a.rs (x)").end, RunEnd::Finished);
        assert_eq!(reading(101, stdout, "Running tests/a.rs (x)\nerror: x").end, RunEnd::Unreadable);
    }

    proptest! {
        #[test]
        fn no_output_makes_the_reader_panic(text in r"((running|test|result:|ok|FAILED|[0-9]{1,25}|tests|\.\.\.|\. |; |passed|----|stdout|\n| )){0,30}") {
            let _ = reading(0, &text, &text);
        }

        #[test]
        fn what_adds_up_is_read_as_it_is_and_what_does_not_is_unreadable(outcomes in proptest::collection::vec(0..3_usize, 0..12), off in 0..2_usize) {
            let words = ["ok", "FAILED", "ignored"];
            let count = |kind| outcomes.iter().filter(|outcome| **outcome == kind).count();
            let lines: String = outcomes.iter().enumerate().map(|(at, kind)| format!("test t{at} ... {}\n", words[*kind])).collect();
            let (passed, failed, ignored) = (count(0) + off, count(1), count(2));
            let stdout = format!("running {} tests\n{lines}\ntest result: ok. {passed} passed; {failed} failed; {ignored} ignored; \
                0 measured; 0 filtered out\n", outcomes.len());
            let reading = reading(if failed > 0 { 101 } else { 0 }, &stdout, "     Running tests/a.rs (x)\n");
            let kinds = [TestOutcome::Passed, TestOutcome::Failed, TestOutcome::Skipped];
            if off == 0 {
                let seen: Vec<_> = reading.cases.iter().map(|case| case.outcome).collect();
                prop_assert_eq!(seen, outcomes.iter().map(|kind| kinds[*kind]).collect::<Vec<_>>());
            } else {
                prop_assert_eq!(reading.end, RunEnd::Unreadable);
            }
        }
    }
}
