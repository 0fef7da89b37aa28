//! The sandbox on this machine: workspaces in a private folder, and test runs behind a back end that proved itself.

use std::{
    collections::HashMap,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use aura_core::{
    JobId, Sandbox, SandboxError, SourceFile, Submission, TestReport, TestSuite,
    contract::{Capabilities, Snapshot, Workspace},
};
use tokio::sync::Semaphore;

use crate::{
    BackEnd, Limits, Refusal,
    beneath::Folder,
    blocking,
    confinement::{self, Confinement},
    runner::{self, Place, Starter},
    snapshot,
    temporary::Temporary,
    work::Staged,
    workspace::Slot,
};

/// Runs tests on this machine, behind the strongest [`BackEnd`] that proves itself here.
///
/// A back end is tried out with a small hostile program when the sandbox is made; one that lets anything through is not
/// taken. Without any, making the sandbox is an error that says what is missing: it never falls back to no isolation,
/// unless [`BackEnd::Unconfined`] stands on the list. [`Capabilities`] and every report say what it came to.
///
/// Workspaces lie in a private folder and are removed when they are discarded, and at the latest when the sandbox is
/// dropped. What a killed process left in its temporary folder is removed when the next sandbox is made there.
///
/// # Examples
/// ```
/// use aura_core::{Isolation, Sandbox};
/// use aura_sandbox::{BackEnd, LocalSandbox};
///
/// match LocalSandbox::strongest() {
///     Ok(sandbox) => assert!(sandbox.capabilities().isolation > Isolation::None),
///     Err(error) => println!("{error}"), // Says what to install.
/// }
/// let sandbox = LocalSandbox::builder().back_ends([BackEnd::Unconfined]).build()?;
/// assert_eq!(sandbox.capabilities().isolation, Isolation::None);
/// # Ok::<(), aura_core::SandboxError>(())
/// ```
#[derive(Debug)]
pub struct LocalSandbox {
    // Dropped before the folder that they lie in.
    slots: Mutex<HashMap<PathBuf, Arc<Slot>>>,
    root: Arc<Folder>,
    path: PathBuf,
    limits: Limits,
    confinement: Arc<Confinement>,
    starter: Arc<Starter>,
    /// Suites that may be run now.
    turns: Semaphore,
    refused: Vec<Refusal>,
    _temporary: Option<Temporary>,
}

/// Puts a [`LocalSandbox`] together.
#[derive(Debug, Clone)]
#[must_use]
pub struct LocalSandboxBuilder {
    root: Option<PathBuf>,
    limits: Limits,
    back_ends: Vec<BackEnd>,
    at_once: NonZeroUsize,
}

impl Default for LocalSandboxBuilder {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { root: None, limits: Limits::default(), back_ends: BackEnd::ISOLATING.to_vec(), at_once: processors }
    }
}

impl LocalSandboxBuilder {
    /// The folder that workspaces are made in; it is made when it is missing (default: a fresh temporary one that only
    /// this user can read, removed on drop). What a process that was killed leaves in a folder of yours stays there.
    pub fn root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.root = Some(folder.into());
        self
    }

    /// Bounds (default [`Limits::default`]).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What to try, in this order (default [`BackEnd::ISOLATING`]). [`BackEnd::Unconfined`] always works, and isolates
    /// nothing.
    pub fn back_ends(mut self, back_ends: impl IntoIterator<Item = BackEnd>) -> Self {
        self.back_ends = back_ends.into_iter().collect();
        self
    }

    /// How many suites are run at the same time (default: as many as there are processors for this process). Others wait for their
    /// turn, and their time begins with it: what a suite's time and its speed say of the work would otherwise be said of the machine.
    pub fn at_once(mut self, suites: NonZeroUsize) -> Self {
        self.at_once = suites;
        self
    }

    /// Makes the folder, tries the back ends out, which takes some tens of milliseconds the first time, and makes the sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when no back end works here, with what is missing; [`SandboxError::Io`] when the
    /// folder cannot be made.
    pub fn build(self) -> Result<LocalSandbox, SandboxError> {
        let made = match self.root {
            Some(folder) => make_private(&folder).map(|path| (path, None)),
            None => Temporary::create().map(|(path, folder)| (path, Some(folder))),
        };
        let made = made.and_then(|(path, temporary)| Ok((Folder::open(&path)?, path, temporary)));
        let (root, path, temporary) = made.map_err(|source| SandboxError::Io {
            action: "make the folder for workspaces".to_owned(),
            source: source.into(),
        })?;
        let (confinement, refused) = confinement::choose(&self.back_ends)?;
        let starter = Starter::new().map_err(|source| SandboxError::Io {
            action: "make the thread that starts commands".to_owned(),
            source: source.into(),
        })?;
        Ok(LocalSandbox {
            slots: Mutex::default(),
            root: Arc::new(root),
            path,
            limits: self.limits,
            confinement: Arc::new(confinement),
            starter: Arc::new(starter),
            turns: Semaphore::new(self.at_once.get().min(Semaphore::MAX_PERMITS)),
            refused,
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

impl LocalSandbox {
    /// The strongest sandbox of this machine that isolates, with a temporary folder and the default limits.
    ///
    /// # Errors
    /// As [`LocalSandboxBuilder::build`].
    pub fn strongest() -> Result<Self, SandboxError> {
        Self::builder().build()
    }

    /// Starts to put one together.
    pub fn builder() -> LocalSandboxBuilder {
        LocalSandboxBuilder::default()
    }

    /// What stands between the code under test and the host.
    #[must_use]
    pub fn back_end(&self) -> BackEnd {
        self.confinement.back_end()
    }

    /// The stronger back ends that were not taken, and why.
    #[must_use]
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
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
impl Sandbox for LocalSandbox {
    fn capabilities(&self) -> Capabilities {
        self.confinement.capabilities().clone()
    }

    async fn prepare(&self, job: JobId, attempt: u32, base: &[SourceFile]) -> Result<Workspace, SandboxError> {
        let staged = Staged::base(base)?;
        let (root, path, limits) = (Arc::clone(&self.root), self.path.clone(), self.limits);
        let user = self.confinement.user();
        let slot = blocking(move || {
            let slot = Slot::create(root, &path, job, attempt, user).map_err(|source| SandboxError::Io {
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
        let (slot, confinement) = (self.slot(workspace)?, Arc::clone(&self.confinement));
        // Only a semaphore that was closed refuses, and nobody closes this one.
        let _turn = self.turns.acquire().await;
        let place = Place { slot, limits: self.limits, confinement, starter: Arc::clone(&self.starter) };
        runner::run(&place, suite).await
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
