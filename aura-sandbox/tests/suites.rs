//! Runs real pytest and cargo suites over good, bad and cheating work.
#![cfg(unix)]

mod bench;

use aura_core::{
    EvidenceStrength, Isolation, ReportFormat, Sandbox, SandboxError, SourceFile, TestOutcome, TestReport, TestSuite,
    Tests, evidence::RunEnd,
};
use bench::Bench;

const TESTS: &str = "from solution import add\n\ndef test_small():\n    assert add(1, 2) == 3\n\ndef test_large():\n    \
    assert add(10**9, 1) == 10**9 + 1\n";

/// What the tests say of this `solution.py`.
#[expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
async fn pytest(solution: &str) -> TestReport {
    let bench = Bench::new().await;
    bench.apply(&[("solution.py", solution)]).await.unwrap();
    bench.run(&TestSuite::pytest(TESTS)).await
}

/// The usual suite by another command.
#[expect(clippy::panic, reason = "a test that cannot be set up has failed")]
fn pytest_by(change: impl FnOnce(&mut Vec<String>)) -> TestSuite {
    let mut suite = TestSuite::pytest(TESTS);
    let Tests::Project(project) = &mut suite.tests else { panic!("pytest runs a project") };
    change(&mut project.command);
    suite
}

#[tokio::test]
async fn good_python_passes() {
    let report = pytest("def add(a, b):\n    return a + b\n").await;
    assert!(report.is_pass(), "{report:?}");
    let ids: Vec<&str> = report.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["test_solution::test_small", "test_solution::test_large"]);
    assert_eq!((report.strength, report.isolation), (EvidenceStrength::Twins, Isolation::None));
}

#[tokio::test]
async fn partly_right_python_is_told_apart_test_by_test() {
    let report = pytest("def add(a, b):\n    return 3\n").await;
    assert_eq!((report.count(TestOutcome::Passed), report.count(TestOutcome::Failed)), (1, 1), "{report:?}");
    assert!(!report.is_pass());
    assert!(report.cases[1].message.contains("assert 3 == "), "{report:?}");
}

#[tokio::test]
async fn python_that_cannot_be_imported_is_an_error_and_no_missing_tool() {
    for solution in ["import no_such_module\n", "def add(:\n", "raise ImportError('No module named pytest')\n"] {
        let report = pytest(solution).await;
        assert_eq!(report.count(TestOutcome::Error), 1, "{report:?}");
        assert!(!report.is_pass());
    }
}

#[tokio::test]
async fn leaving_early_is_no_pass() {
    for solution in [
        "import sys\nsys.exit(0)\n",
        "import os\nos._exit(0)\n",
        "import os, sys\nos.write(2, b'python3: No module named pytest\\n')\nos._exit(1)\n",
        "import os\nos.kill(os.getpid(), 9)\n",
        "import os\nprint('2 passed')\nos.write(1, b'\\0\\xff<testsuite/>')\nos._exit(0)\n",
        "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): return 0\n",
    ] {
        let report = pytest(solution).await;
        assert!(!report.is_pass(), "{solution}: {report:?}");
        assert_eq!(report.count(TestOutcome::Passed), 0, "{solution}: {report:?}");
    }
}

#[tokio::test]
async fn a_report_of_ones_own_making_is_not_believed_when_pytest_fails_after_it() {
    let forged = "import sys, os\npath = [a for a in sys.argv if 'junitxml' in a][0].split('=')[1]\nopen(path, 'w').write(\
        '<testsuite><testcase name=\"test_small\"/><testcase name=\"test_large\"/></testsuite>')\nos._exit(1)\n";
    let report = pytest(forged).await;
    assert_eq!((report.end, report.cases.len()), (RunEnd::Unreadable, 0), "{report:?}");
}

#[tokio::test]
async fn no_tests_are_no_pass() {
    let bench = Bench::new().await;
    let report = bench.run(&TestSuite::pytest("x = 1\n")).await;
    assert!(!report.is_pass() && report.cases.is_empty(), "{report:?}");
}

#[tokio::test]
async fn tests_that_the_work_brings_are_restored() {
    let bench = Bench::new().await;
    let easy = "def test_small(): pass\ndef test_large(): pass\n";
    bench.apply(&[("test_solution.py", easy), ("solution.py", "def add(a, b): return 0\n")]).await.unwrap();
    assert!(!bench.run(&TestSuite::pytest(TESTS)).await.is_pass());
    assert_eq!(bench.read("test_solution.py"), TESTS);
}

#[tokio::test]
async fn tests_of_the_works_own_do_not_raise_its_share() {
    let base = ("tests/test_base.py", "def test_base():\n    assert False\n");
    let bench = Bench::with(aura_sandbox::Limits::default(), &[base]).await;
    let easy = "import pytest\n@pytest.mark.parametrize('n', range(100))\ndef test_easy(n): pass\n";
    let work = [("tests/test_easy.py", easy), ("easy_test.py", easy), ("tests/test_base.py", easy)];
    bench.apply(&work).await.unwrap();
    let suite = TestSuite::project(
        vec![SourceFile::new("tests/test_suite.py", "def test_suite():\n    pass\n")],
        ["python3", "-m", "pytest", "-q", "--junitxml={report}"],
        ReportFormat::Junit,
    );
    let report = bench.run(&suite).await;
    let ids: Vec<&str> = report.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["tests.test_base::test_base", "tests.test_suite::test_suite"], "{report:?}");
    assert_eq!(bench.read("tests/test_base.py"), base.1);
}

#[tokio::test]
async fn tests_of_the_works_own_stay_out_of_every_run_of_tests_with_twins() {
    // One with a twin, so that there are several runs, and one that can have none.
    let base = [
        ("tests/test_base.py", "from solution import one\ndef test_base():\n    one()\n    assert False\n"),
        ("tests/test_one.py", "from solution import one\ndef test_one():\n    assert one() == 1\n"),
    ];
    let bench = Bench::with(aura_sandbox::Limits::default(), &base).await;
    let work = [
        ("solution.py", "def one(): return 1\n"),
        ("tests/test_base.py", "def test_base(): pass\n"),
        ("tests/test_mine.py", "def test_mine(): pass\n"),
    ];
    bench.apply(&work).await.unwrap();
    let command = ["python3", "-m", "pytest", "-q", "--junitxml={report}", "tests"];
    let report = bench.run(&TestSuite::project(vec![], command, ReportFormat::Junit)).await;
    let outcomes: Vec<_> = report.cases.iter().map(|case| (case.id.as_str(), case.outcome)).collect();
    let expected =
        [("tests.test_base::test_base", TestOutcome::Failed), ("tests.test_one::test_one", TestOutcome::Passed)];
    assert_eq!(outcomes, expected, "{report:?}");
    assert_eq!((report.forgeries.len(), report.restored.as_slice()), (0, ["tests/test_base.py".to_owned()].as_slice()));
}

#[tokio::test]
async fn tests_that_were_asked_for_are_run_when_there_are_no_others() {
    let bench = Bench::new().await;
    bench.apply(&[("test_mine.py", "def test_mine():\n    pass\n")]).await.unwrap();
    let command = ["python3", "-m", "pytest", "-q", "--junitxml={report}"];
    assert!(bench.run(&TestSuite::project(vec![], command, ReportFormat::Junit)).await.is_pass());
}

#[tokio::test]
async fn pytest_that_is_not_there_is_unavailable_and_says_how_to_get_it() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH").unwrap();
    let python = std::env::split_paths(&path).map(|folder| folder.join("python3")).find(|path| path.exists()).unwrap();
    // A Python as on a machine where nobody installed anything: `-S` leaves out what was.
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("python3");
    std::fs::write(&bare, format!("#!/bin/sh\nexec {} -S \"$@\"\n", python.display())).unwrap();
    std::fs::set_permissions(&bare, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bench = Bench::new().await;
    let suite = pytest_by(|command| command[0] = bare.to_string_lossy().into_owned());
    let error = bench.sandbox.run_tests(&bench.workspace, &suite).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, SandboxError::Unavailable(_)) && said.contains("pip install pytest"), "{said}");
}

#[tokio::test]
async fn saying_that_pytest_is_missing_does_not_make_it_so() {
    let bench = Bench::new().await;
    // The command itself cannot import pytest, but Python, asked apart from it, can.
    let suite = pytest_by(|command| command.insert(1, "-S".to_owned()));
    assert_eq!(bench.run(&suite).await.end, RunEnd::Unreadable);
}

const RUST_TESTS: &str = "use solution::add;\n\n#[test]\nfn small() {\n    assert_eq!(add(1, 2), 3);\n}\n\n#[test]\nfn \
    large() {\n    assert_eq!(add(1 << 40, 1), (1 << 40) + 1);\n}\n";

#[tokio::test]
async fn rust_is_tested_offline_and_told_apart_test_by_test() {
    let bench = Bench::new().await;
    let suite = TestSuite::cargo(RUST_TESTS);
    bench.apply(&[("src/lib.rs", "pub fn add(a: u64, b: u64) -> u64 {\n    a + b\n}\n")]).await.unwrap();
    let good = bench.run(&suite).await;
    assert!(good.is_pass(), "{good:?}");
    // libtest runs them side by side and prints them as they end.
    let mut ids: Vec<&str> = good.cases.iter().map(|case| case.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["tests/solution.rs::large", "tests/solution.rs::small"]);
    bench.apply(&[("src/lib.rs", "pub fn add(_: u64, _: u64) -> u64 {\n    3\n}\n")]).await.unwrap();
    let partly = bench.run(&suite).await;
    assert_eq!((partly.count(TestOutcome::Passed), partly.count(TestOutcome::Failed)), (1, 1), "{partly:?}");
    assert!(partly.cases.iter().any(|case| case.message.contains("left: 3")), "{partly:?}");
    bench.apply(&[("src/lib.rs", "pub fn add() -> u64 { \"\" }\n")]).await.unwrap();
    let broken = bench.run(&suite).await;
    assert_eq!(broken.count(TestOutcome::Error), 1, "{broken:?}");
    assert!(broken.cases[0].message.contains("error"), "{broken:?}");
    // A snapshot leaves the build folder out.
    assert_eq!(bench.sandbox.snapshot(&bench.workspace).await.unwrap().files, 4);
    bench.apply(&[("src/lib.rs", "pub fn add(_: u64, _: u64) -> u64 { std::process::exit(0) }\n")]).await.unwrap();
    assert_eq!(bench.run(&suite).await.end, RunEnd::Unreadable);
}

#[tokio::test]
async fn a_project_with_tests_in_a_folder_can_import_from_its_root() {
    let bench = Bench::new().await;
    bench.apply(&[("pkg/__init__.py", "ONE = 1\n")]).await.unwrap();
    let suite = TestSuite::project(
        vec![SourceFile::new("tests/test_pkg.py", "from pkg import ONE\n\ndef test_one():\n    assert ONE == 1\n")],
        ["python3", "-m", "pytest", "-q", "--junitxml={report}", "tests"],
        ReportFormat::Junit,
    );
    let report = bench.run(&suite).await;
    assert!(report.is_pass(), "{report:?}");
}

const NODE_TESTS: &str = "const { test, describe } = require('node:test');\nconst assert = require('node:assert');\nconst { add } = \
    require('./solution.js');\ntest('small', () => assert.strictEqual(add(1, 2), 3));\ndescribe('texts', () => {\n  test('join', () => \
    assert.strictEqual(add('a', 'b'), 'ab'));\n});\n";

#[tokio::test]
async fn javascript_is_tested_by_nodes_own_runner() {
    let bench = Bench::new().await;
    let suite = TestSuite::node(NODE_TESTS);
    bench.apply(&[("solution.js", "console.log('ok 9 - x');\nexports.add = (a, b) => a + b;\n")]).await.unwrap();
    let good = bench.run(&suite).await;
    assert!(good.is_pass(), "{good:?}");
    let ids: Vec<&str> = good.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!((ids, good.strength), (vec!["small", "texts > join"], EvidenceStrength::Twins));
    bench.apply(&[("solution.js", "exports.add = () => 3;\n")]).await.unwrap();
    let partly = bench.run(&suite).await;
    assert_eq!((partly.count(TestOutcome::Passed), partly.count(TestOutcome::Failed)), (1, 1), "{partly:?}");
    for bad in [
        "process.exit(0);\n",
        "exports.add = () => process.exit(0);\n",
        "throw new Error('no');\n",
        "exports.add = (\n",
        "console.log('TAP version 13\\nok 1 - small\\nok 2 - texts\\n1..2');\nprocess.exit(0);\n",
        "process.on('exit', () => { process.exitCode = 0; });\nexports.add = () => 0;\n",
    ] {
        bench.apply(&[("solution.js", bad)]).await.unwrap();
        let report = bench.run(&suite).await;
        assert!(!report.is_pass() && report.count(TestOutcome::Passed) == 0, "{bad}: {report:?}");
    }
}

#[tokio::test]
async fn ids_that_a_suite_gives_have_to_be_in_the_report() {
    let bench = Bench::new().await;
    bench.apply(&[("solution.js", "exports.add = (a, b) => a + b;\n")]).await.unwrap();
    let mut suite = TestSuite::node(NODE_TESTS);
    let Tests::Project(project) = &mut suite.tests else { return };
    project.expected = vec!["small".to_owned(), "texts > join".to_owned()];
    assert!(bench.run(&suite).await.is_pass());
    let Tests::Project(project) = &mut suite.tests else { return };
    project.expected.push("another".to_owned());
    let report = bench.run(&suite).await;
    assert_eq!(report.end, RunEnd::Unreadable);
    assert!(report.output.contains("the report lacks another"), "{}", report.output);
}

#[tokio::test]
async fn a_file_that_cannot_be_loaded_costs_its_own_tests_and_no_others() {
    let python = TestSuite::project(
        vec![
            SourceFile::new("test_one.py", "from solution import one\ndef test_one():\n    assert one() == 1\n"),
            SourceFile::new("test_two.py", "from solution import two\ndef test_two():\n    assert two() == 2\n"),
        ],
        ["python3", "-m", "pytest", "-q", "--continue-on-collection-errors", "--junitxml={report}"],
        ReportFormat::Junit,
    );
    let test = |name: &str, right: u32| {
        format!(
            "const {{ {name} }} = require('./solution.js');\nconst test = require('node:test');\nconst assert = require('node:assert');\n\
            if (!{name}) throw new Error('missing');\ntest('{name}', () => {{\n  assert.strictEqual({name}(), {right});\n}});\n"
        )
    };
    let node = TestSuite::project(
        vec![SourceFile::new("one.test.js", test("one", 1)), SourceFile::new("two.test.js", test("two", 2))],
        ["node", "--test", "--test-reporter=tap", "one.test.js", "two.test.js"],
        ReportFormat::Tap,
    );
    for (suite, path, work) in
        [(python, "solution.py", "def one(): return 1\n"), (node, "solution.js", "exports.one = () => 1;\n")]
    {
        let bench = Bench::new().await;
        bench.apply(&[(path, work)]).await.unwrap();
        let report = bench.run(&suite).await;
        assert_eq!(report.end, RunEnd::Finished, "{report:#?}");
        assert_eq!((report.count(TestOutcome::Passed), report.forgeries.len()), (1, 0), "{report:#?}");
        assert!(report.cases.iter().any(|case| case.outcome == TestOutcome::Error), "{report:#?}");
        assert!(!report.is_pass());
    }
}

#[tokio::test]
async fn nothing_that_one_run_leaves_in_the_workspace_is_there_in_the_next() {
    let suite = TestSuite::pytest(
        "from solution import mark, same\n\ndef test_left():\n    assert mark() == 0\n\ndef test_same():\n    assert same('a') == 'a'\n",
    );
    // Traces of every kind, and an answer that is how many of them are there at the start.
    let work = "import os\ncount = len([n for n in os.listdir(b'.') if n.startswith(b'left')])\n\
        os.makedirs('left-1/a/b')\nos.chmod('left-1', 0)\nos.symlink('nowhere', 'left-2')\nos.mkfifo('left-3')\n\
        open(b'left-\\xff', 'w')\ndef mark(): return count\ndef same(x): return x\n";
    for back_end in bench::everywhere() {
        let bench = Bench::behind(back_end, aura_sandbox::Limits::default(), &[]).await;
        bench.apply(&[("solution.py", work)]).await.unwrap();
        let report = bench.run(&suite).await;
        assert!(report.is_pass(), "{back_end}: {report:#?}");
        assert_eq!(report.strength, EvidenceStrength::Twins, "{back_end}: {report:#?}");
    }
}
