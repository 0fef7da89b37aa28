//! Work that tries to pass its tests without being right: none of it earns more than honest work that is wrong.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

mod bench;

use std::time::Duration;

use aura_core::{Cases, EvidenceStrength, SandboxError, TestOutcome, TestReport, TestSuite, evidence::RunEnd};
use aura_sandbox::{BackEnd, Limits};
use bench::{Bench, everywhere};
use serde_json::json;

const ATTACKS: &str = include_str!("forging/attacks.py");

const TESTS: &str = "import pytest\nfrom solution import add\n\n\
    def test_small():\n    assert add(1, 2) == 3\n\n\
    def test_large():\n    assert add(10**9, 1) == 10**9 + 1\n\n\
    def test_text():\n    assert add('a', 'b') == 'ab'\n\n\
    def test_list():\n    assert add([1], [2]) == [1, 2]\n\n\
    def test_float():\n    assert add(0.5, 0.25) == pytest.approx(0.75)\n\n\
    def test_raises():\n    with pytest.raises(TypeError):\n        add(1, 'b')\n";

/// The tests, and so many more that nobody guesses them all: a guesser is right about all of them once in 2^17 runs.
fn suite() -> TestSuite {
    let more =
        (0..12).map(|n| format!("\ndef test_more_{n}():\n    assert add({}, 400) == {}\n", n * 37, n * 37 + 400));
    TestSuite::pytest(TESTS.to_owned() + &more.collect::<String>())
}

/// How many tests those are.
const COUNT: usize = 18;
/// What honest work earns that can do nothing and says so: it passes the one test that wants an error.
const HONEST_BAD: f64 = 1.0 / 18.0;

/// Files that no work may bring: each would steer the tests.
const FILES: &[(&str, &str)] = &[
    ("conftest.py", "def pytest_pyfunc_call(pyfuncitem): return True\n"),
    ("pytest.ini", "[pytest]\naddopts = --deselect test_solution.py::test_small\n"),
    ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--deselect test_solution.py'\n"),
    ("tox.ini", "[pytest]\naddopts = -k nothing\n"),
    ("sitecustomize.py", "import os\n"),
    ("usercustomize.py", "import os\n"),
    ("pytest.py", "print('6 passed')\n"),
    ("_pytest/__init__.py", ""),
    ("evil.pth", "import os\n"),
    ("__pycache__/test_solution.cpython-311-pytest-9.2.0.pyc", "x"),
    ("evil.dist-info/entry_points.txt", "[pytest11]\nevil = solution\n"),
];

fn attacks() -> impl Iterator<Item = (&'static str, &'static str)> {
    ATTACKS.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'))
}

fn is_control(name: &str) -> bool {
    name.starts_with("HONEST")
}

/// What a scorer makes of it.
fn score(report: &TestReport) -> f64 {
    if report.end != RunEnd::Finished || !report.forgeries.is_empty() {
        return 0.0;
    }
    let total = report.cases.len() as u64 - report.count(TestOutcome::Skipped);
    #[expect(clippy::cast_precision_loss, reason = "a handful of tests")]
    let share = report.count(TestOutcome::Passed) as f64 / total.max(1) as f64;
    share
}

async fn by(suite: &TestSuite, solution: &str) -> TestReport {
    behind(BackEnd::Unconfined, suite, solution).await
}

async fn behind(back_end: BackEnd, suite: &TestSuite, solution: &str) -> TestReport {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    bench.apply(&[("solution.py", solution)]).await.expect("the work is taken");
    bench.run(&suite.clone().timeout(Duration::from_secs(60))).await
}

fn solution(name: &str) -> &'static str {
    attacks().find(|(other, _)| *other == name).map_or_else(|| panic!("there is no {name}"), |(_, text)| text)
}

/// Runs every attack of a half, so that two tests share the work: each behind one back end, in turns, or with `AURA_FORGE_ALL` behind
/// every one.
async fn no_attack_of_a_half_passes(half: usize) {
    let (suite, back_ends) = (suite(), everywhere());
    let every = std::env::var_os("AURA_FORGE_ALL").is_some();
    let mut wrong = Vec::new();
    for (n, (name, text)) in attacks().filter(|(name, _)| !is_control(name)).skip(half).step_by(2).enumerate() {
        for (turn, back_end) in back_ends.iter().enumerate() {
            if !every && turn != n % back_ends.len() {
                continue;
            }
            let report = behind(*back_end, &suite, text).await;
            if report.is_pass() || score(&report) > HONEST_BAD {
                wrong.push(format!("{back_end}: {name}: {report:#?}"));
            }
        }
    }
    forget();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Removes what attacks with a memory left outside of their workspace.
fn forget() {
    let left = std::fs::read_dir("/tmp").expect("a folder").flatten();
    for entry in left.filter(|entry| entry.file_name().to_string_lossy().starts_with("aura-forging-")) {
        // Another test may have removed it.
        let _ = std::fs::remove_file(entry.path());
    }
}

#[tokio::test]
async fn no_attack_on_a_project_earns_more_than_honest_bad_work() {
    no_attack_of_a_half_passes(0).await;
}

#[tokio::test]
async fn no_other_attack_on_a_project_earns_more_than_honest_bad_work() {
    no_attack_of_a_half_passes(1).await;
}

#[tokio::test]
async fn no_attack_on_cases_passes() {
    let cases = Cases::python("add")
        .case([json!(1), json!(2)], json!(3))
        .case([json!("a"), json!("b")], json!("ab"))
        .case([json!([1]), json!([2])], json!([1, 2]));
    let suite = TestSuite::cases(cases).timeout(Duration::from_secs(10));
    for back_end in everywhere() {
        for (name, text) in attacks().filter(|(name, _)| !is_control(name)) {
            let report = behind(back_end, &suite, text).await;
            // Some are right about 1 + 2, which a model may know.
            assert!(!report.is_pass() && report.count(TestOutcome::Passed) <= 1, "{back_end}: {name}: {report:?}");
            assert_eq!(report.strength, EvidenceStrength::SplitProcess);
        }
    }
}

#[tokio::test]
async fn files_that_steer_tests_are_refused_before_anything_runs() {
    for back_end in everywhere() {
        for (path, text) in FILES {
            let bench = Bench::behind(back_end, Limits::default(), &[]).await;
            let taken = bench.apply(&[("solution.py", "def add(a, b): return None\n"), (path, text)]).await;
            assert!(matches!(taken, Err(SandboxError::Hostile(_))), "{path}: {taken:?}");
        }
        let bench = Bench::behind(back_end, Limits::default(), &[]).await;
        let work = [("solution.py", "def add(a, b): return None\n"), ("test_solution.py", "def test_small(): pass\n")];
        bench.apply(&work).await.expect("tests of its own are taken, and replaced");
        let report = bench.run(&suite()).await;
        assert_eq!((score(&report), report.cases.len()), (0.0, COUNT), "{report:?}");
        assert!(bench.read("test_solution.py").starts_with(TESTS));
    }
}

#[tokio::test]
async fn honest_work_is_told_apart_and_never_accused() {
    let suite = suite();
    let good = by(&suite, solution("HONEST good")).await;
    assert!(good.is_pass(), "{good:#?}");
    assert_eq!((good.cases.len(), good.strength), (COUNT, EvidenceStrength::Twins), "{good:#?}");
    let ids: Vec<&str> = good.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids[0], "test_solution::test_small");
    for (name, passed) in [
        ("HONEST bad", 0),
        ("HONEST bad constant", 0),
        ("HONEST off by one", 0),
        ("HONEST knows one answer", 1),
        ("HONEST bad and says so", 1),
    ] {
        let bad = by(&suite, solution(name)).await;
        assert!(bad.forgeries.is_empty() && !bad.is_pass(), "{name}: {bad:#?}");
        assert_eq!((bad.end, bad.count(TestOutcome::Passed)), (RunEnd::Finished, passed), "{name}: {bad:#?}");
    }
}

#[tokio::test]
async fn twins_work_behind_every_back_end() {
    for back_end in [BackEnd::Landlock, BackEnd::Bubblewrap] {
        for (name, passes) in [("HONEST good", true), ("what is expected, from the caller's source", false)] {
            let bench = Bench::behind(back_end, Limits::default(), &[]).await;
            bench.apply(&[("solution.py", solution(name))]).await.expect("the work is taken");
            let report = bench.run(&suite()).await;
            assert_eq!(report.is_pass(), passes, "{back_end:?}: {name}: {report:#?}");
            assert_eq!((report.strength == EvidenceStrength::Twins, report.forgeries.is_empty()), (passes, passes));
        }
    }
}

#[tokio::test]
async fn a_forgery_comes_with_its_proof() {
    let report = by(&suite(), solution("a patched report class")).await;
    let proof = report.forgeries.first().unwrap_or_else(|| panic!("none found: {report:#?}"));
    assert!(proof.contains("test_solution::test_") && proof.contains("expected something wrong"), "{proof}");
    assert!(!report.is_pass());
}
