//! Hostile programs behind every back end: what they may not read, reach or leave behind.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test ends by panicking")]

#[path = "../bench/mod.rs"]
mod bench;
mod bombs;
mod memory;
mod reaching;
mod tools;

use std::time::Duration;

use aura_core::{ReportFormat, TestReport, TestSuite, contract::Enforcement};
use aura_sandbox::{BackEnd, Limits};
use bench::Bench;

const SECOND: Duration = Duration::from_secs(1);

/// Runs each case behind each back end as a test of its own.
macro_rules! behind_each {
    ($($back_end:ident => $name:ident),*; $cases:tt) => {
        $(behind_each! { @one $back_end $name $cases })*
    };
    (@one $back_end:ident $name:ident { $($case:ident),* $(,)? }) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(aura_sandbox::BackEnd::$back_end).await;
                }
            )*
        }
    };
}
pub(crate) use behind_each;

/// A suite that is a Python program; it passes when the program says nothing and ends with 0.
fn python(program: &str) -> TestSuite {
    TestSuite::project(Vec::new(), ["python3", "-c", program], ReportFormat::ExitCode).timeout(30 * SECOND)
}

/// Runs a program that ends with 0 when every attempt of it failed.
async fn must_fail_at_everything(back_end: BackEnd, program: &str) -> TestReport {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    let report = bench.run(&python(program)).await;
    assert!(report.is_pass(), "{back_end}: {}", report.output);
    report
}

/// The processes on the host that were started with this word among their arguments, without dead ones.
fn with_word(word: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("there are processes").flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let read = |number: u32, name: &str| {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{number}/{name}")).unwrap_or_default()).into_owned()
    };
    let lives = |number: u32| read(number, "stat").rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
    numbers.filter(|number| read(*number, "cmdline").contains(word) && lives(*number)).collect()
}

fn processes_with(word: &str) -> usize {
    with_word(word).len()
}

/// Ends what a test could not, by number.
fn kill_all_with(word: &str) {
    while let [first, ..] = with_word(word).as_slice() {
        let process = i32::try_from(*first).ok().and_then(rustix::process::Pid::from_raw).expect("a process number");
        // It may be dead already.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
}

#[test]
fn this_machine_offers_every_back_end_and_says_what_each_enforces() {
    use aura_core::{Isolation, Sandbox};
    for (back_end, isolation) in [(BackEnd::Bubblewrap, Isolation::Strong), (BackEnd::Landlock, Isolation::Partial)] {
        let sandbox = aura_sandbox::LocalSandbox::builder().back_ends([back_end]).build();
        let sandbox =
            sandbox.unwrap_or_else(|error| panic!("run scripts/test, which installs what is missing: {error}"));
        let can = sandbox.capabilities();
        assert_eq!((can.isolation, can.back_end.as_str()), (isolation, back_end.as_str()));
        for firm in [can.network, can.processes, can.time, can.ipc] {
            assert_eq!(firm, Enforcement::Enforced, "{can:?}");
        }
        assert!(can.memory > Enforcement::None && can.files > Enforcement::None, "{can:?}");
    }
    let strongest = aura_sandbox::LocalSandbox::strongest().expect("one of them");
    assert_eq!((strongest.back_end(), strongest.refused()), (BackEnd::Bubblewrap, [].as_slice()));
}

#[test]
fn without_a_back_end_there_is_no_sandbox() {
    let error = aura_sandbox::LocalSandbox::builder().back_ends([]).build().expect_err("nothing was allowed");
    assert!(matches!(error, aura_core::SandboxError::Unavailable(_)), "{error}");
}
