//! However much the work prints, answers or reports, the memory of the process that runs it stays flat. A test binary of its own, so that
//! nothing else moves the figure; all of it is one test for the same reason.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod bench;

use std::fs;

use aura_core::{Cases, ReportFormat, TestReport, TestSuite, evidence::RunEnd};
use aura_sandbox::{BackEnd, Limits};
use bench::{Bench, sh};
use serde_json::json;

/// How often each program is run; `AURA_FLOODS` says more.
fn rounds() -> u64 {
    std::env::var("AURA_FLOODS").ok().map_or(2, |rounds| rounds.parse().expect("AURA_FLOODS is a number"))
}
/// By how much the process may grow, in bytes.
const GROWTH: u64 = 64 << 20;

/// Writes without end to everything that it can reach: the streams of its caller, so also where answers go.
const FLOODS: &str = "import os\nflood = b'x' * 65535 + b'\\n'\n\
    def every_stream():\n    while True:\n        for fd in range(1, 10):\n            try: os.write(fd, flood)\n            except OSError: pass\n\
    def prints():\n    while True: print('x' * 65535)\n\
    def giant():\n    return 'x' * (200 << 20)\n\
    def raises():\n    raise ValueError('x' * (100 << 20))\n";

/// The memory that this process has now, and the most that it has had since it was last asked, in bytes.
fn resident() -> (u64, u64) {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let most: u64 = most.and_then(|most| most.trim().parse().ok()).expect("a number of kilobytes");
    // Begins the count of the most anew.
    fs::write("/proc/self/clear_refs", "5").expect("our own");
    (pages * rustix::param::page_size() as u64, most << 10)
}

/// Every way out of the sandbox, each with a suite that floods it.
fn floods() -> Vec<(&'static str, TestSuite)> {
    let function = |name: &str| TestSuite::cases(Cases::python(name).case([], json!(1)));
    let program = |script: &str| TestSuite::cases(Cases::program(["sh", "-c", script]).prints("", "x"));
    let reports = |script: &str| TestSuite::project(vec![], ["sh", "-c", script, "{report}"], ReportFormat::Junit);
    vec![
        ("a project's output", sh("yes")),
        ("a project's errors", sh("yes >&2")),
        ("both at once", sh("yes & yes >&2")),
        ("output in one line", sh("tr '\\0' x </dev/zero")),
        ("a giant report", reports("yes '<testsuite>' >\"$0\"")),
        ("a giant report in one line", reports("tr '\\0' x </dev/zero >\"$0\"")),
        ("the streams of a function's caller", function("every_stream")),
        ("what a function prints", function("prints")),
        ("a giant answer", function("giant")),
        ("a giant exception", function("raises")),
        ("a program's output", program("yes")),
        ("a program's errors", program("yes >&2")),
    ]
}

#[tokio::test]
async fn the_runners_memory_stays_flat_whatever_the_work_writes() {
    // What reads is the same before every back end.
    let bench = Bench::behind(BackEnd::Bubblewrap, Limits::default(), &[("solution.py", FLOODS)]).await;
    // What is made once, such as threads and tables, does not count.
    let first = bench.run(&sh("yes")).await;
    assert_eq!(first.end, RunEnd::TooMuchOutput, "{first:?}");
    let (before, _) = resident();
    for (what, suite) in floods() {
        for round in 0..rounds() {
            let report: TestReport = bench.run(&suite).await;
            assert!(!report.is_pass(), "{what}: {report:?}");
            let kept = report.output.len() + report.cases.iter().map(|case| case.message.len()).sum::<usize>();
            assert!(kept <= 128 << 10, "{what}: {kept} bytes are kept");
            let (now, most) = resident();
            let grown = now.max(most).saturating_sub(before);
            assert!(grown < GROWTH, "{what}, round {round}: grown by {} MiB", grown >> 20);
        }
    }
}
