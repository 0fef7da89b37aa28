//! The sandbox that keeps model-written code in a process group, and isolates nothing.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use aura_core::{
    Isolation, JobId, Sandbox, SandboxError, SourceFile, Submission, TestReport, TestSuite,
    contract::{Capabilities, Snapshot, Workspace},
};

use crate::{
    Limits,
    beneath::Folder,
    blocking, runner, snapshot,
    work::Staged,
    workspace::{Slot, private_folders},
};

/// Runs tests in a process group of their own, with limits on time, output and files, and a cleared environment.
///
/// It **isolates nothing**: the code under test runs as the user of this process, and can read that user's files,
/// use the network, and see other processes. It says so in its [`Capabilities`]. Use it for code that you would run
/// by hand.
///
/// Workspaces lie in a private folder and are removed when they are discarded, and at the latest when the sandbox is
/// dropped.
///
/// # Examples
/// ```
/// use aura_core::{Isolation, Sandbox};
/// use aura_sandbox::ProcessSandbox;
///
/// let sandbox = ProcessSandbox::new()?;
/// assert_eq!(sandbox.capabilities().isolation, Isolation::None);
/// # Ok::<(), aura_core::SandboxError>(())
/// ```
#[derive(Debug)]
pub struct ProcessSandbox {
    // Dropped before the folder that they lie in.
    slots: Mutex<HashMap<PathBuf, Arc<Slot>>>,
    root: Arc<Folder>,
    path: PathBuf,
    limits: Limits,
    _temporary: Option<tempfile::TempDir>,
}

/// Puts a [`ProcessSandbox`] together.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ProcessSandboxBuilder {
    root: Option<PathBuf>,
    limits: Limits,
}

impl ProcessSandboxBuilder {
    /// The folder that workspaces are made in; it is made when it is missing (default: a fresh temporary one that only
    /// this user can read, removed on drop).
    pub fn root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.root = Some(folder.into());
        self
    }

    /// Bounds (default [`Limits::default`]).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes the folder and the sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Io`] when the folder cannot be made.
    pub fn build(self) -> Result<ProcessSandbox, SandboxError> {
        let made = match self.root {
            Some(folder) => make_private(&folder).map(|path| (path, None)),
            None => private_folders()
                .prefix("aura-sandbox-")
                .tempdir()
                .and_then(|folder| Ok((folder.path().canonicalize()?, Some(folder)))),
        };
        let made = made.and_then(|(path, temporary)| Ok((Folder::open(&path)?, path, temporary)));
        let (root, path, temporary) = made.map_err(|source| SandboxError::Io {
            action: "make the folder for workspaces".to_owned(),
            source: source.into(),
        })?;
        Ok(ProcessSandbox {
            slots: Mutex::default(),
            root: Arc::new(root),
            path,
            limits: self.limits,
            _temporary: temporary,
        })
    }
}

/// Makes a folder for its owner only; one that is there is left as it is.
fn make_private(folder: &Path) -> io::Result<PathBuf> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    folder.canonicalize()
}

impl ProcessSandbox {
    /// A sandbox with a temporary folder and the default limits.
    ///
    /// # Errors
    /// [`SandboxError::Io`] when the folder cannot be made.
    pub fn new() -> Result<Self, SandboxError> {
        Self::builder().build()
    }

    /// Starts to put one together.
    pub fn builder() -> ProcessSandboxBuilder {
        ProcessSandboxBuilder::default()
    }

    /// The folder that workspaces are made in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.path
    }

    fn slot(&self, workspace: &Workspace) -> Result<Arc<Slot>, SandboxError> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(&workspace.root).map(Arc::clone).ok_or_else(|| unknown(workspace))
    }
}

/// Only folders that this sandbox made are ever touched, whatever path a [`Workspace`] names.
fn unknown(workspace: &Workspace) -> SandboxError {
    let path = workspace.root.display();
    SandboxError::Unavailable(format!("{path} is no workspace of this sandbox, or was discarded: prepare one first"))
}

#[async_trait]
impl Sandbox for ProcessSandbox {
    fn capabilities(&self) -> Capabilities {
        let mut notes = vec![
            "no isolation: code under test runs as this process's user, can read that user's files, reach the network, \
             and see other processes and their environment"
                .to_owned(),
            "enforced: wall time, amount of output, a cleared environment, no input; paths of the work stay in the \
             workspace"
                .to_owned(),
            "the workspace's total size is looked at twice a second; memory, processor time and the number of processes \
             are not limited"
                .to_owned(),
        ];
        if cfg!(unix) {
            notes.push(
                "enforced: size of each written file; all processes of the command's group are killed".to_owned(),
            );
            notes.push("a process that leaves the group (setsid) is not found and may live on".to_owned());
        } else {
            notes.push("not on this system: size of written files; only the command itself is killed".to_owned());
        }
        Capabilities { isolation: Isolation::None, notes }
    }

    async fn prepare(&self, job: JobId, attempt: u32, base: &[SourceFile]) -> Result<Workspace, SandboxError> {
        let staged = Staged::base(base)?;
        let (root, path, limits) = (Arc::clone(&self.root), self.path.clone(), self.limits);
        let slot = blocking(move || {
            let slot = Slot::create(root, &path, job, attempt).map_err(|source| SandboxError::Io {
                action: format!("make a workspace in {}", path.display()),
                source: source.into(),
            })?;
            slot.starts_from(staged.files());
            staged.commit(slot.work(), &limits)?;
            Ok(slot)
        })
        .await?;
        let workspace = Workspace { job, attempt, root: slot.work_path() };
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).insert(workspace.root.clone(), Arc::new(slot));
        Ok(workspace)
    }

    async fn apply(&self, workspace: &Workspace, work: &Submission) -> Result<(), SandboxError> {
        let (slot, work, limits) = (self.slot(workspace)?, work.clone(), self.limits);
        blocking(move || {
            let staged = Staged::work(slot.work(), &work, &limits)?;
            slot.was_touched(staged.paths().into_iter());
            staged.commit(slot.work(), &limits)
        })
        .await
    }

    async fn run_tests(&self, workspace: &Workspace, suite: &TestSuite) -> Result<TestReport, SandboxError> {
        runner::run(&self.slot(workspace)?, suite, &self.limits).await
    }

    async fn snapshot(&self, workspace: &Workspace) -> Result<Snapshot, SandboxError> {
        let (slot, limits) = (self.slot(workspace)?, self.limits);
        blocking(move || snapshot::take(slot.work(), &limits)).await
    }

    async fn discard(&self, workspace: Workspace) -> Result<(), SandboxError> {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&workspace.root);
        let slot = slot.ok_or_else(|| unknown(&workspace))?;
        blocking(move || {
            slot.remove().map_err(|source| SandboxError::Io {
                action: format!("remove {}", workspace.root.display()),
                source: source.into(),
            })
        })
        .await
    }
}
