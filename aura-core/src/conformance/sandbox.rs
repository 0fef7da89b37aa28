//! What every sandbox promises; a promise that is broken panics.

#![expect(clippy::expect_used, reason = "a suite fails by panicking")]

use std::time::{Duration, Instant};

use crate::{
    JobId, ReportFormat, SourceFile, Submission, TestSuite,
    contract::{Sandbox, SandboxError, Workspace},
    evidence::{Isolation, RunEnd},
};

async fn workspace(sandbox: &dyn Sandbox) -> Workspace {
    let base = [SourceFile::new("base.txt", "one\n")];
    sandbox.prepare(JobId::new(), 1, &base).await.expect("prepared")
}

fn files(files: &[(&str, &str)]) -> Submission {
    let files = files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
    Submission { files, ..Submission::default() }
}

fn shell(script: &str) -> TestSuite {
    TestSuite::project(Vec::new(), ["sh", "-c", script], ReportFormat::ExitCode).timeout(Duration::from_secs(20))
}

async fn hash(sandbox: &dyn Sandbox, workspace: &Workspace) -> String {
    sandbox.snapshot(workspace).await.expect("packed").content_hash
}

/// A sandbox that isolates says how, and one that does not says so.
pub async fn it_says_what_it_isolates(sandbox: &dyn Sandbox) {
    let capabilities = sandbox.capabilities();
    assert!(!capabilities.notes.is_empty(), "notes tell people what {} means here", capabilities.isolation);
}

/// Wherever a path leads out, the whole work is refused and nothing of it is written.
pub async fn work_that_leaves_its_workspace_is_refused_as_a_whole(sandbox: &dyn Sandbox) {
    let workspace = workspace(sandbox).await;
    let before = hash(sandbox, &workspace).await;
    for path in ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "a\\..\\out.txt", "C:out.txt", "a\0b", ""] {
        let refused = sandbox.apply(&workspace, &files(&[("good.txt", "x"), (path, "x")])).await;
        let says = matches!(refused, Err(SandboxError::Hostile(_) | SandboxError::Refused(_)));
        assert!(says, "{path:?}: {refused:?}");
        assert_eq!(hash(sandbox, &workspace).await, before, "{path:?} left something behind");
    }
    sandbox.discard(workspace).await.expect("removed");
}

/// A patch that does not fit takes the files that came with it along.
pub async fn work_is_put_together_as_a_whole_or_not_at_all(sandbox: &dyn Sandbox) {
    let workspace = workspace(sandbox).await;
    let before = hash(sandbox, &workspace).await;
    let mut work = files(&[("good.txt", "x\n")]);
    work.patches = vec!["--- a/base.txt\n+++ b/base.txt\n@@ -1 +1 @@\n-two\n+three\n".to_owned()];
    let refused = sandbox.apply(&workspace, &work).await;
    assert!(matches!(refused, Err(SandboxError::Refused(_))), "{refused:?}");
    assert_eq!(hash(sandbox, &workspace).await, before);
    work.patches = vec!["--- a/base.txt\n+++ b/base.txt\n@@ -1 +1 @@\n-one\n+three\n".to_owned()];
    sandbox.apply(&workspace, &work).await.expect("it fits");
    let suite = shell("grep -qx three base.txt && grep -qx x good.txt");
    assert!(sandbox.run_tests(&workspace, &suite).await.expect("ran").is_pass());
    sandbox.discard(workspace).await.expect("removed");
}

/// The same content has the same hash, other content another.
pub async fn a_snapshot_names_its_content(sandbox: &dyn Sandbox) {
    let (one, other) = (workspace(sandbox).await, workspace(sandbox).await);
    assert_eq!(hash(sandbox, &one).await, hash(sandbox, &other).await);
    sandbox.apply(&one, &files(&[("a.txt", "x")])).await.expect("applied");
    assert_ne!(hash(sandbox, &one).await, hash(sandbox, &other).await);
    for workspace in [one, other] {
        sandbox.discard(workspace).await.expect("removed");
    }
}

/// Passing, failing, and a program that is not there are three things.
pub async fn a_test_command_passes_fails_or_is_missing(sandbox: &dyn Sandbox) {
    let workspace = workspace(sandbox).await;
    assert!(sandbox.run_tests(&workspace, &shell("true")).await.expect("ran").is_pass());
    let failed = sandbox.run_tests(&workspace, &shell("echo it is broken; false")).await.expect("ran");
    assert!(!failed.is_pass() && failed.output.contains("it is broken"), "{failed:?}");
    assert_eq!(failed.isolation, sandbox.capabilities().isolation);
    let missing = TestSuite::project(Vec::new(), ["no-such-program-anywhere"], ReportFormat::ExitCode);
    let missing = sandbox.run_tests(&workspace, &missing).await;
    assert!(matches!(missing, Err(SandboxError::Unavailable(_))), "the model is not to blame: {missing:?}");
    sandbox.discard(workspace).await.expect("removed");
}

/// Within a second of the limit, whatever the command does.
pub async fn a_command_that_never_ends_is_ended(sandbox: &dyn Sandbox) {
    let workspace = workspace(sandbox).await;
    let suite = shell("trap '' TERM INT; while :; do :; done").timeout(Duration::from_secs(1));
    let started = Instant::now();
    let report = sandbox.run_tests(&workspace, &suite).await.expect("ran");
    assert_eq!(report.end, RunEnd::TimedOut);
    assert!(!report.is_pass() && started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    sandbox.discard(workspace).await.expect("removed");
}

/// The keys of the host are not for the code under test.
pub async fn the_hosts_environment_is_not_seen(sandbox: &dyn Sandbox) {
    let workspace = workspace(sandbox).await;
    // cargo sets it for every test, so it stands in the host's environment here.
    let report = sandbox.run_tests(&workspace, &shell("env; test -z \"$CARGO_PKG_NAME\"")).await.expect("ran");
    assert!(report.is_pass(), "{}", report.output);
    assert!(report.isolation >= Isolation::None);
    sandbox.discard(workspace).await.expect("removed");
}

/// Runs every promise of a sandbox as a test of its own; they use `sh`. The expression makes a fresh one for each and may
/// await.
#[macro_export]
macro_rules! sandbox_conformance {
    ($name:ident, $sandbox:expr) => {
        mod $name {
            use super::*;

            $crate::promises! { sandbox, $sandbox;
                it_says_what_it_isolates
                work_that_leaves_its_workspace_is_refused_as_a_whole
                work_is_put_together_as_a_whole_or_not_at_all
                a_snapshot_names_its_content
                a_test_command_passes_fails_or_is_missing
                a_command_that_never_ends_is_ended
                the_hosts_environment_is_not_seen
            }
        }
    };
}
