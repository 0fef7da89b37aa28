//! The tools of three languages do their work inside.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use aura_core::{ReportFormat, SourceFile, TestOutcome, TestSuite};
use aura_sandbox::{BackEnd, Limits};

use crate::{SECOND, behind_each, bench::Bench};

behind_each! {
    Bubblewrap => bubblewrap, Landlock => landlock; {
        pytest_runs,
        cargo_runs,
        node_runs,
        a_missing_module_is_missing_inside_too,
        saying_that_a_program_cannot_start_does_not_make_it_so,
        what_a_run_used_is_reported,
    }
}

async fn pytest_runs(back_end: BackEnd) {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    bench.apply(&[("solution.py", "def add(a, b):\n    return a + b\n")]).await.unwrap();
    let tests = "import subprocess, sys, tempfile\nfrom solution import add\n\ndef test_add():\n    assert add(1, 2) == 3\n\ndef \
                 test_no():\n    assert add(1, 1) == 3\n\ndef test_child(tmp_path):\n    (tmp_path / 'x').write_text('x')\n    \
                 subprocess.run([sys.executable, '-c', 'pass'], check=True, start_new_session=True)\n    tempfile.TemporaryFile()\n";
    let report = bench.run(&TestSuite::pytest(tests)).await;
    assert_eq!((report.count(TestOutcome::Passed), report.count(TestOutcome::Failed)), (2, 1), "{report:?}");
}

async fn cargo_runs(back_end: BackEnd) {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    bench.apply(&[("src/lib.rs", "pub fn add(a: u64, b: u64) -> u64 {\n    a + b\n}\n")]).await.unwrap();
    let tests = "#[test]\nfn small() {\n    assert_eq!(solution::add(1, 2), 3);\n}\n";
    let report = bench.run(&TestSuite::cargo(tests).timeout(120 * SECOND)).await;
    assert!(report.is_pass(), "{report:?}");
    // Again in the same workspace: what the first run built may be there or not.
    let report = bench.run(&TestSuite::cargo(tests).timeout(120 * SECOND)).await;
    assert!(report.is_pass(), "{report:?}");
}

async fn node_runs(back_end: BackEnd) {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    bench.apply(&[("solution.js", "exports.add = (a, b) => a + b;\n")]).await.unwrap();
    let tests = "const test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('./solution.js');\n\
                 test('small', () => assert.strictEqual(add(1, 2), 3));\ntest('wrong', () => assert.strictEqual(add(1, 2), 4));\n";
    let suite = TestSuite::project(
        vec![SourceFile::new("solution.test.js", tests)],
        ["node", "--test", "--test-reporter=junit", "--test-reporter-destination={report}"],
        ReportFormat::Junit,
    );
    let report = bench.run(&suite.timeout(30 * SECOND)).await;
    assert_eq!((report.count(TestOutcome::Passed), report.count(TestOutcome::Failed)), (1, 1), "{report:?}");
}

async fn a_missing_module_is_missing_inside_too(back_end: BackEnd) {
    use aura_core::{Sandbox, SandboxError};
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    let suite = TestSuite::project(vec![], ["python3", "-m", "no_such_module_x"], ReportFormat::Junit);
    let error = bench.sandbox.run_tests(&bench.workspace, &suite).await.unwrap_err();
    assert!(matches!(&error, SandboxError::Unavailable(reason) if reason.contains("pip install")), "{error}");
}

async fn saying_that_a_program_cannot_start_does_not_make_it_so(back_end: BackEnd) {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    for code in [126, 127] {
        assert!(!bench.run(&crate::bench::sh(&format!("exit {code}"))).await.is_pass());
    }
}

async fn what_a_run_used_is_reported(back_end: BackEnd) {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    let report = bench.run(&crate::python("x = bytearray(b'x' * 50_000_000)\nsum(range(3_000_000))\n")).await;
    assert!(report.is_pass(), "{report:?}");
    // Only where control groups can be made.
    let notes = aura_core::Sandbox::capabilities(&bench.sandbox).notes.join("\n");
    if !notes.contains("no control group") {
        assert!(report.peak_memory.is_some_and(|peak| peak.0 >= 50), "{:?}", report.peak_memory);
        assert!(report.cpu.is_some_and(|cpu| !cpu.is_zero() && cpu < 10 * SECOND), "{:?}", report.cpu);
    }
}
