//! Runs real commands: how they end, what they see, and what is left of them.
#![cfg(unix)]

mod bench;

use std::{fs, num::NonZeroUsize, time::Duration};

use aura_core::{
    JobId, ReportFormat, Sandbox, SandboxError, SourceFile, TestOutcome, TestSuite, contract::Workspace,
    evidence::RunEnd,
};
use aura_sandbox::{BackEnd, Limits, LocalSandbox};
use bench::{Bench, sh};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_exit_code_is_one_test() {
    let bench = Bench::new().await;
    let good = bench.run(&sh("exit 0")).await;
    assert!(good.is_pass() && good.fast_enough, "{good:?}");
    let bad = bench.run(&sh("echo why >&2; exit 3")).await;
    assert!(!bad.is_pass());
    assert_eq!(bad.count(TestOutcome::Failed), 1);
    assert!(bad.cases[0].message.contains("exit code 3") && bad.cases[0].message.contains("why"), "{bad:?}");
}

#[tokio::test]
async fn an_endless_command_is_ended_in_time_with_all_its_children() {
    let bench = Bench::new().await;
    let script =
        "sleep 1000 & echo $! > pids; (sleep 1000 & echo $! >> pids; wait) & echo $$ >> pids; while :; do :; done";
    let started = std::time::Instant::now();
    let report = bench.run(&sh(script).timeout(SECOND)).await;
    assert!(started.elapsed() < 2 * SECOND, "{:?}", started.elapsed());
    assert_eq!(report.end, RunEnd::TimedOut);
    assert!(report.wall >= SECOND && !report.is_pass());
    bench.assert_dead("pids", 3).await;
}

#[tokio::test]
async fn a_child_left_behind_dies_with_the_command() {
    let bench = Bench::new().await;
    let started = std::time::Instant::now();
    let report = bench.run(&sh("sleep 1000 & echo $! > pids; exit 0")).await;
    assert!(report.is_pass(), "{report:?}");
    assert!(started.elapsed() < 5 * SECOND);
    bench.assert_dead("pids", 1).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_and_holds_the_output_open_does_not_hold_the_run_up() {
    let bench = Bench::new().await;
    let started = std::time::Instant::now();
    let report = bench.run(&sh("setsid sleep 20 & echo $! > pids; exit 0")).await;
    assert!(report.is_pass() && started.elapsed() < 5 * SECOND, "{report:?}");
    bench.kill_all("pids");
}

#[tokio::test]
async fn dropping_the_future_ends_the_command() {
    let bench = Bench::new().await;
    let suite = sh("sleep 1000 & echo $! > half; echo $$ >> half; mv half pids; wait");
    tokio::select! {
        report = bench.run(&suite) => panic!("it ended: {report:?}"),
        () = bench.file_appears("pids") => {}
    }
    bench.assert_dead("pids", 2).await;
}

/// A sandbox that runs one suite at a time, and so many workspaces in it.
#[expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
async fn one_at_a_time(workspaces: usize) -> (LocalSandbox, Vec<Workspace>) {
    let sandbox = LocalSandbox::builder().back_ends([BackEnd::Unconfined]).at_once(NonZeroUsize::MIN).build().unwrap();
    let mut all = Vec::new();
    for _ in 0..workspaces {
        all.push(sandbox.prepare(JobId::new(), 1, &[]).await.unwrap());
    }
    (sandbox, all)
}

#[tokio::test]
async fn no_more_suites_are_run_at_once_than_the_sandbox_takes() {
    let (sandbox, workspaces) = one_at_a_time(5).await;
    let shared = tempfile::tempdir().unwrap();
    // Whoever finds somebody else inside fails.
    let lock = shared.path().join("lock");
    let script =
        format!("mkdir '{0}' && i=0 && while [ $i -lt 20000 ]; do i=$((i+1)); done && rmdir '{0}'", lock.display());
    let suite = sh(&script);
    let runs = workspaces.iter().map(|workspace| sandbox.run_tests(workspace, &suite));
    for report in futures::future::join_all(runs).await {
        let report = report.unwrap();
        assert!(report.is_pass(), "{report:?}");
    }
}

#[tokio::test]
async fn a_suites_time_begins_with_its_turn() {
    let (sandbox, workspaces) = one_at_a_time(5).await;
    // Together they take longer than each of them may.
    let suite = sh("sleep 0.8").timeout(3 * SECOND);
    let runs = workspaces.iter().map(|workspace| sandbox.run_tests(workspace, &suite));
    for report in futures::future::join_all(runs).await {
        assert!(report.unwrap().is_pass());
    }
}

#[tokio::test]
async fn whoever_gives_up_hands_the_turn_on() {
    let (sandbox, workspaces) = one_at_a_time(2).await;
    let [first, second] = workspaces.as_slice() else { panic!("two were made") };
    let (endless, begun) = (sh("touch begun; while :; do :; done"), first.root.join("begun"));
    let has_begun = async {
        while !begun.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        report = sandbox.run_tests(first, &endless) => panic!("it ended: {report:?}"),
        () = has_begun => {}
    }
    assert!(sandbox.run_tests(second, &sh("exit 0")).await.unwrap().is_pass());
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_are_cut_off() {
    let bench = Bench::new().await;
    let report = bench.run(&sh("head -c 100000000 /dev/zero | tr '\\0' x; echo end")).await;
    assert_eq!(report.end, RunEnd::TooMuchOutput);
    assert!(!report.is_pass());
    assert!(report.output.len() <= 64 << 10, "{}", report.output.len());
}

#[tokio::test]
async fn the_end_of_long_output_is_kept() {
    let bench = Bench::new().await;
    let report = bench.run(&sh("head -c 1000000 /dev/zero | tr '\\0' x; echo; printf 'the \\033[31m\\000end'")).await;
    assert!(report.is_pass());
    assert!(report.output.ends_with("the \u{fffd}[31m\u{fffd}end"));
    assert!(report.output.len() <= 64 << 10);
}

#[tokio::test]
async fn a_file_cannot_grow_past_its_limit() {
    let mut limits = Limits::default();
    limits.file_bytes = 1 << 20;
    let bench = Bench::with(limits, &[]).await;
    let report = bench.run(&sh("head -c 50000000 /dev/zero > big; ls core* 2>/dev/null; exit 1")).await;
    assert!(!report.is_pass());
    assert_eq!(fs::metadata(bench.path("big")).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn many_files_cannot_fill_the_disk() {
    let mut limits = Limits::default();
    limits.workspace_bytes = 8 << 20;
    let bench = Bench::with(limits, &[]).await;
    let script =
        "i=0; while :; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); if [ $i -gt 100 ]; then sleep 50; fi; done";
    let report = bench.run(&sh(script)).await;
    assert_eq!(report.end, RunEnd::TooMuchOutput);
}

#[tokio::test]
async fn the_environment_of_the_host_is_not_seen() {
    let bench = Bench::new().await;
    let report = bench.run(&sh("env; exit 1")).await;
    let seen: Vec<&str> = report.output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let allowed = [
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONUSERBASE",
        // Set by the shell itself.
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    ];
    assert!(seen.iter().all(|name| allowed.contains(name)), "{seen:?}");
    assert!(seen.contains(&"HOME"), "{seen:?}");
    // Cargo sets this for every test binary: it is the canary.
    let canary = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the test");
    assert!(!report.output.contains(&canary));
}

#[tokio::test]
async fn descriptors_of_the_host_are_not_inherited() {
    let bench = Bench::new().await;
    // A descriptor as a careless library leaves it: open for every child.
    let leaked = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let report = bench.run(&sh("ls /proc/self/fd; exit 1")).await;
    let seen: Vec<&str> = report.output.lines().take_while(|line| line.parse::<u32>().is_ok()).collect();
    // The standard three, and the one by which `ls` reads the folder.
    assert_eq!(seen, ["0", "1", "2", "3"], "{}", report.output);
}

#[tokio::test]
async fn home_and_temporary_folder_are_private_and_beside_the_workspace() {
    let bench = Bench::new().await;
    let report = bench.run(&sh("touch \"$HOME/a\" \"$TMPDIR/b\" && ls; cat; exit 1")).await;
    assert!(!report.output.contains("\na\n") && report.end == RunEnd::Finished, "{report:?}");
    let attempt = bench.path("..");
    assert!(attempt.join("home/a").exists() && attempt.join("tmp/b").exists());
}

#[tokio::test]
async fn the_suite_wins_over_whatever_the_work_put_in_its_place() {
    let bench = Bench::new().await;
    bench.apply(&[("check.sh/x", "1"), ("dir", "a file")]).await.unwrap();
    for (script, passes) in [("exit 0", true), ("exit 1", false)] {
        let files = vec![SourceFile::new("check.sh", script), SourceFile::new("dir/data", "d")];
        let suite = TestSuite::project(files, ["sh", "check.sh"], ReportFormat::ExitCode);
        assert_eq!(bench.run(&suite).await.is_pass(), passes);
    }
}

#[tokio::test]
async fn a_suite_that_leaves_the_workspace_is_refused_and_nobody_is_blamed() {
    let bench = Bench::new().await;
    let suite = TestSuite::project(vec![SourceFile::new("../x", "")], ["true"], ReportFormat::ExitCode);
    let error = bench.sandbox.run_tests(&bench.workspace, &suite).await.unwrap_err();
    assert!(matches!(error, SandboxError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_missing_program_or_module_is_unavailable_and_says_how_to_get_it() {
    let bench = Bench::new().await;
    for (command, word) in [
        (vec!["no-such-program"], "no-such-program"),
        (vec!["python3", "-m", "no_such_module_x"], "pip install no_such_module_x"),
    ] {
        let suite = TestSuite::project(vec![], command, ReportFormat::Junit);
        let error = bench.sandbox.run_tests(&bench.workspace, &suite).await.unwrap_err();
        assert!(matches!(&error, SandboxError::Unavailable(reason) if reason.contains(word)), "{error}");
    }
}

#[tokio::test]
async fn a_report_is_read_only_after_the_processes_are_dead() {
    let bench = Bench::new().await;
    let bad = r#"<testsuite><testcase name="a"><failure/></testcase></testsuite>"#;
    let good = r#"<testsuite><testcase name="a"/></testsuite>"#;
    // The late writer is in the group: it is dead before it can write.
    let script = format!("echo '{bad}' > \"$0\"; (sleep 0.1; echo '{good}' > \"$0\") & exit 0");
    let suite = TestSuite::project(vec![], ["sh", "-c", &script, "{report}"], ReportFormat::Junit);
    let report = bench.run(&suite).await;
    assert_eq!((report.end, report.count(TestOutcome::Failed)), (RunEnd::Finished, 1), "{report:?}");
}

#[tokio::test]
async fn a_report_that_is_a_link_a_pipe_or_too_large_is_unreadable() {
    let bench = Bench::new().await;
    for script in
        ["ln -s /etc/passwd \"$0\"", "mkfifo \"$0\"", "head -c 6000000 /dev/zero > \"$0\"", "mkdir \"$0\"", ":"]
    {
        let suite = TestSuite::project(vec![], ["sh", "-c", script, "{report}"], ReportFormat::Junit);
        let report = bench.run(&suite).await;
        assert_eq!(report.end, RunEnd::Unreadable, "{script}: {report:?}");
    }
}
