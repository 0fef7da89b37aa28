//! What share of the code a suite says that it reached: read like its report, shown, and no part of what is decided.
#![cfg(unix)]

mod bench;

use aura_core::{CoverageFormat, EvidenceStrength, Project, ReportFormat, SourceFile, TestReport, TestSuite, Tests};
use aura_sandbox::{BackEnd, Limits};
use bench::Bench;

const EVERYWHERE: [BackEnd; 3] = [BackEnd::Bubblewrap, BackEnd::Landlock, BackEnd::Unconfined];

/// A suite that is a line of shell and leaves a file at this path.
fn shell(script: &str, path: &str, format: CoverageFormat) -> TestSuite {
    let project = Project::new(Vec::new(), ["sh", "-c", script], ReportFormat::ExitCode);
    TestSuite::of(Tests::Project(project.coverage(path, format)))
}

fn share(report: &TestReport) -> Option<f64> {
    report.coverage.map(aura_core::Fraction::get)
}

#[tokio::test]
async fn both_formats_are_read_wherever_the_command_leaves_them_behind_every_back_end() {
    let lcov = "printf 'SF:a.py\\nDA:1,1\\nDA:2,0\\nend_of_record\\n' > coverage/deep/lcov.info";
    let xml = "echo '<coverage lines-valid=\"4\" lines-covered=\"3\"/>' > cov.xml";
    for back_end in EVERYWHERE {
        let bench = Bench::behind(back_end, Limits::default(), &[("a.py", "x = 1\n")]).await;
        let report = bench.run(&shell(lcov, "coverage/deep/lcov.info", CoverageFormat::Lcov)).await;
        assert_eq!((share(&report), report.is_pass()), (Some(0.5), true), "{back_end}: {report:?}");
        let report = bench.run(&shell(xml, "cov.xml", CoverageFormat::Cobertura)).await;
        assert_eq!((share(&report), report.is_pass()), (Some(0.75), true), "{back_end}: {report:?}");
        assert!(!report.output.contains("coverage"), "{back_end}: {report:?}");
        // A run that fails has reached something, too.
        let report = bench.run(&shell(&format!("{xml}; exit 1"), "cov.xml", CoverageFormat::Cobertura)).await;
        assert_eq!((share(&report), report.is_pass()), (Some(0.75), false), "{back_end}: {report:?}");
    }
}

#[tokio::test]
async fn what_is_missing_wrong_too_large_or_no_plain_file_is_absent_with_a_note_and_decides_nothing() {
    for back_end in EVERYWHERE {
        for (script, why) in [
            (":", "left nothing"),
            ("rm -f lcov.info 2>/dev/null; :", ""),
            ("echo 98 % > lcov.info", "none of lcov's"),
            ("head -c 6000000 /dev/zero > lcov.info", "cannot be read"),
            ("rm -f lcov.info && ln -s /etc/passwd lcov.info; :", ""),
            ("rm -f lcov.info && mkfifo lcov.info; :", ""),
            ("rm -f lcov.info && mkdir lcov.info; :", ""),
        ] {
            let bench = Bench::behind(back_end, Limits::default(), &[]).await;
            let report = bench.run(&shell(script, "lcov.info", CoverageFormat::Lcov)).await;
            assert_eq!((share(&report), report.is_pass()), (None, true), "{back_end}: {script}: {report:?}");
            assert!(
                report.output.contains("no coverage: ") && report.output.contains(why),
                "{back_end}: {script}: {report:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_report_that_the_work_brings_or_an_earlier_run_left_is_not_taken_for_one() {
    for back_end in EVERYWHERE {
        let bench = Bench::behind(back_end, Limits::default(), &[]).await;
        let full = "SF:a\nDA:1,1\nend_of_record\n";
        bench.apply(&[("lcov.info", full), ("coverage", "a file where a folder has to be")]).await.expect("taken");
        let report = bench.run(&shell(":", "lcov.info", CoverageFormat::Lcov)).await;
        assert_eq!((share(&report), report.is_pass()), (None, true), "{back_end}: {report:?}");
        let script = "printf 'SF:a\\nDA:1,1\\nend_of_record\\n' > coverage/lcov.info";
        let report = bench.run(&shell(script, "coverage/lcov.info", CoverageFormat::Lcov)).await;
        assert_eq!(share(&report), Some(1.0), "{back_end}: {report:?}");
        let report =
            bench.run(&shell("! test -s coverage/lcov.info", "coverage/lcov.info", CoverageFormat::Lcov)).await;
        assert_eq!(
            (share(&report), report.is_pass()),
            (None, true),
            "{back_end}: a later run sees nothing of it: {report:?}"
        );
    }
}

#[tokio::test]
async fn a_report_is_read_only_after_the_processes_are_dead() {
    for back_end in EVERYWHERE {
        let bench = Bench::behind(back_end, Limits::default(), &[]).await;
        let write = |hits: u32| format!("printf 'SF:a\\nDA:1,{hits}\\nend_of_record\\n' > lcov.info");
        // A child would write another one, and is dead before it can.
        let script = format!("{}; (sleep 1; {}) & exit 0", write(0), write(1));
        let report = bench.run(&shell(&script, "lcov.info", CoverageFormat::Lcov)).await;
        assert_eq!((share(&report), report.is_pass()), (Some(0.0), true), "{back_end}: {report:?}");
        let again = bench.run(&shell(":", "lcov.info", CoverageFormat::Lcov)).await;
        assert_eq!(share(&again), None, "{back_end}: nobody is left to write one: {again:?}");
    }
}

#[tokio::test]
async fn a_pytest_suite_that_tells_its_coverage_keeps_its_twins_and_its_score() {
    let tests = "import atexit\nfrom solution import add\n\
        def told():\n    with open('lcov.info', 'w') as file:\n        file.write('SF:solution.py\\nDA:1,1\\nDA:2,1\\nDA:3,0\\nend_of_record\\n')\n\
        atexit.register(told)\n\
        def test_small():\n    assert add(1, 2) == 3\ndef test_text():\n    assert add('a', 'b') == 'ab'\n";
    let command = ["python3", "-m", "pytest", "-q", "--junitxml={report}", "test_solution.py"];
    let project = Project::new(vec![SourceFile::new("test_solution.py", tests)], command, ReportFormat::Junit);
    let suite = TestSuite::of(Tests::Project(project.coverage("lcov.info", CoverageFormat::Lcov)));
    for back_end in EVERYWHERE {
        let bench = Bench::behind(back_end, Limits::default(), &[]).await;
        bench.apply(&[("solution.py", "def add(a, b): return a + b\n")]).await.expect("taken");
        let report = bench.run(&suite).await;
        assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{back_end}: {report:#?}");
        assert_eq!(share(&report), Some(2.0 / 3.0), "{back_end}: {report:#?}");
        // The work can say of its coverage what it likes: its tests fail all the same.
        let boast = "import atexit\ndef full(): open('lcov.info', 'w').write('SF:a\\nDA:1,1\\nend_of_record\\n')\n\
                     def add(a, b):\n    atexit.register(full)\n    return 0\n";
        bench.apply(&[("solution.py", boast)]).await.expect("taken");
        let report = bench.run(&suite).await;
        assert!(!report.is_pass() && report.coverage.is_some(), "{back_end}: {report:#?}");
    }
}
