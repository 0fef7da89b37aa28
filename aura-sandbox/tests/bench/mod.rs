//! A sandbox with one prepared workspace, for tests to work on.
#![expect(dead_code, reason = "each test binary uses its own part")]
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aura_core::{
    JobId, ReportFormat, Sandbox, SandboxError, SourceFile, Submission, TestReport, TestSuite, contract::Workspace,
};
use aura_sandbox::{BackEnd, Limits, LocalSandbox};

pub(crate) struct Bench {
    pub(crate) sandbox: LocalSandbox,
    pub(crate) workspace: Workspace,
}

/// Every back end that this system can offer.
pub(crate) fn everywhere() -> Vec<BackEnd> {
    match cfg!(target_os = "linux") {
        true => vec![BackEnd::Bubblewrap, BackEnd::Landlock, BackEnd::Unconfined],
        false => vec![BackEnd::Unconfined],
    }
}

/// A suite that is a line of shell.
pub(crate) fn sh(script: &str) -> TestSuite {
    TestSuite::project(Vec::new(), ["sh", "-c", script], ReportFormat::ExitCode)
}

pub(crate) fn files(files: &[(&str, &str)]) -> Vec<SourceFile> {
    files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect()
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), &[]).await
    }

    pub(crate) async fn with(limits: Limits, base: &[(&str, &str)]) -> Self {
        Self::behind(BackEnd::Unconfined, limits, base).await
    }

    pub(crate) async fn behind(back_end: BackEnd, limits: Limits, base: &[(&str, &str)]) -> Self {
        let sandbox = LocalSandbox::builder().back_ends([back_end]).limits(limits).build();
        let sandbox = sandbox.unwrap_or_else(|error| panic!("{error}"));
        let workspace = sandbox.prepare(JobId::new(), 1, &files(base)).await.expect("a workspace");
        Self { sandbox, workspace }
    }

    pub(crate) async fn apply(&self, work: &[(&str, &str)]) -> Result<(), SandboxError> {
        let work = Submission { files: files(work), ..Submission::default() };
        self.sandbox.apply(&self.workspace, &work).await
    }

    pub(crate) async fn patch(&self, patches: &[&str]) -> Result<(), SandboxError> {
        let patches = patches.iter().map(|patch| (*patch).to_owned()).collect();
        self.sandbox.apply(&self.workspace, &Submission { patches, ..Submission::default() }).await
    }

    pub(crate) async fn run(&self, suite: &TestSuite) -> TestReport {
        self.sandbox.run_tests(&self.workspace, suite).await.expect("the command runs")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.workspace.root.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// Every path in the workspace, sorted.
    pub(crate) fn list(&self) -> Vec<String> {
        fn walk(root: &Path, at: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(at).expect("a folder") {
                let path = entry.expect("an entry").path();
                found.push(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
                if path.is_dir() && !path.is_symlink() {
                    walk(root, &path, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.workspace.root, &self.workspace.root, &mut found);
        found.sort();
        found
    }

    /// Returns once the file is there.
    pub(crate) async fn file_appears(&self, name: &str) {
        within_ten_seconds(|| self.path(name).exists()).await;
    }

    /// Returns once each of the `count` processes listed in the file is dead; fails when one lives on.
    pub(crate) async fn assert_dead(&self, list: &str, count: usize) {
        let text = self.read(list);
        let pids: Vec<&str> = text.lines().collect();
        assert_eq!(pids.len(), count, "{text:?}");
        within_ten_seconds(|| pids.iter().all(|pid| !lives(pid))).await;
    }

    #[cfg(unix)]
    /// Kills what a test left running on purpose, by its number.
    pub(crate) fn kill_all(&self, list: &str) {
        for pid in self.read(list).lines() {
            let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process number");
            // It may be dead already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Whether a process runs; a zombie that nobody has reaped yet does not.
fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

async fn within_ten_seconds(mut done: impl FnMut() -> bool) {
    let looked = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looked).await.expect("it comes about within ten seconds");
}
