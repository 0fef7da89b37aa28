//! Where code that a model wrote is put together and tested.

use std::{fmt, path::PathBuf, str::FromStr};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    artifact::Submission,
    error::BoxError,
    evidence::{Isolation, TestReport},
    ids::JobId,
    prd::{SourceFile, TestSuite},
    standing::text_enum,
};

text_enum!(
    /// How firmly a sandbox keeps one promise, weakest first.
    Enforcement, "enforcement" {
        /// Not at all.
        None => "none",
        /// Against accidents and most attempts; the notes say what gets past it.
        BestEffort => "best_effort",
        /// By the kernel, whatever the code under test does.
        Enforced => "enforced",
    }
);

/// Puts work together in a workspace of its own and runs tests on it.
///
/// # Contract
/// - Nothing is written outside the workspace, whatever the work says; a path that leaves it refuses the whole work and
///   writes nothing.
/// - `run_tests` ends within the suite's timeout plus a second, leaves no process behind, and keeps a bounded part of
///   the output. It may let a suite wait for its turn first, which is no part of the suite's time.
/// - Says honestly what it isolates: the caller decides whether that is enough.
/// - Dropping a future ends what it started.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Sandbox: fmt::Debug + Send + Sync {
    /// What stands between the code and the host.
    fn capabilities(&self) -> Capabilities;

    /// Makes a fresh workspace with the files that the work starts from.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] for a path that leaves it.
    async fn prepare(&self, job: JobId, attempt: u32, base: &[SourceFile]) -> Result<Workspace, SandboxError>;

    /// Puts the work into the workspace: all of it, or nothing.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] for a path that leaves the workspace or a patch that does not fit.
    async fn apply(&self, workspace: &Workspace, work: &Submission) -> Result<(), SandboxError>;

    /// Writes the suite's files over the work, runs its command and reads the report.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the command cannot be started. Failing tests are no error.
    async fn run_tests(&self, workspace: &Workspace, suite: &TestSuite) -> Result<TestReport, SandboxError>;

    /// Packs what is in the workspace now. Links are left out.
    ///
    /// # Errors
    /// [`SandboxError`] when it cannot be read or grows too large.
    async fn snapshot(&self, workspace: &Workspace) -> Result<Snapshot, SandboxError>;

    /// Removes the workspace.
    ///
    /// # Errors
    /// [`SandboxError::Io`] when something could not be removed.
    async fn discard(&self, workspace: Workspace) -> Result<(), SandboxError>;
}

/// What a sandbox enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// In one word.
    pub isolation: Isolation,
    /// What does it, such as `bubblewrap`.
    pub back_end: String,
    /// No connection leaves, none comes in.
    pub network: Enforcement,
    /// No file of the host is read or written but the tools and the workspace, and the workspace's size has a bound.
    pub files: Enforcement,
    /// Processes of the host are out of reach, the number of own ones has a bound, and none is left behind.
    pub processes: Enforcement,
    /// The memory of all processes together has a bound.
    pub memory: Enforcement,
    /// The run ends at its time limit.
    pub time: Enforcement,
    /// Shared memory, message queues and local sockets of the host are out of reach.
    pub ipc: Enforcement,
    /// What is enforced and what is not, for people.
    pub notes: Vec<String>,
    /// Why nothing stronger is used here, and how to get it; empty when it is the strongest.
    #[serde(default)]
    pub missing: Vec<String>,
}

impl Capabilities {
    /// A sandbox that keeps none of the promises; the notes say what it does instead.
    #[must_use]
    pub fn nothing(back_end: impl Into<String>, notes: Vec<String>) -> Self {
        let none = Enforcement::None;
        Self {
            isolation: Isolation::None,
            back_end: back_end.into(),
            network: none,
            files: none,
            processes: none,
            memory: none,
            time: none,
            ipc: none,
            notes,
            missing: Vec::new(),
        }
    }
}

/// A folder for one attempt at one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: u32,
    /// Where it is.
    pub root: PathBuf,
}

/// A workspace's content at one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// SHA-256 over the sorted paths and contents, as 64 hexadecimal digits.
    pub content_hash: String,
    /// How many files.
    pub files: u64,
    /// The files as a gzip-compressed tar archive.
    pub archive: Vec<u8>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("content_hash", &self.content_hash)
            .field("files", &self.files)
            .field("archive_bytes", &self.archive.len())
            .finish()
    }
}

/// Why work could not be put together or tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The work itself cannot be accepted: it counts as failed, and the reason goes to the model.
    #[error("the work is refused: {0}")]
    Refused(String),
    /// The work tried to leave its workspace or to tamper with its tests: as above, with a penalty.
    #[error("the work is refused as hostile: {0}")]
    Hostile(String),
    /// Tests cannot be run here; says what is missing and how to get it.
    #[error("tests cannot be run here: {0}")]
    Unavailable(String),
    /// The file system failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done, with the path.
        action: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
}
