//! The folders of one attempt at one job: the workspace itself, and private ones beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use aura_core::JobId;

use crate::{beneath::Folder, path::WorkPath, steering};

/// The workspace's folder below the attempt's own.
const WORK: &str = "work";

/// The test files that were there before the work, and those that the work touched.
#[derive(Debug, Default)]
struct TestFiles {
    base: BTreeMap<WorkPath, Vec<u8>>,
    touched: BTreeSet<WorkPath>,
    /// Those of the base that the work had changed or removed, and that were put back.
    restored: BTreeSet<WorkPath>,
    /// Whether the work has been looked through for that. Later, what differs may be a copy that tests were run with.
    is_looked_through: bool,
}

/// `<root>/<job>-<attempt>-<random>/`, for its owner only, with `work/` and private folders in it. Removed on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    root: Arc<Folder>,
    name: String,
    path: PathBuf,
    folder: Folder,
    work: Folder,
    tests: Mutex<TestFiles>,
    /// Whom its tests run as, when that is not this process's user.
    user: Option<u32>,
    removed: AtomicBool,
}

impl Slot {
    /// Makes fresh folders below `root`, which lies at `root_path`.
    pub(crate) fn create(
        root: Arc<Folder>,
        root_path: &Path,
        job: JobId,
        attempt: u32,
        user: Option<u32>,
    ) -> io::Result<Self> {
        // Made anew under a random name or not at all, and readable by its owner only.
        let path = private_folders().prefix(&format!("{job}-{attempt}-")).tempdir_in(root_path)?.keep();
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = name.ok_or_else(|| io::Error::other("the new folder has no name"))?;
        let folder = Folder::open(&path)?;
        let work = folder.make_child(WORK)?;
        Ok(Self { root, name, path, folder, work, tests: Mutex::default(), user, removed: AtomicBool::new(false) })
    }

    /// Where the workspace is.
    pub(crate) fn work_path(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// Where the attempt's own folder is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whom its tests run as, when that is not this process's user.
    pub(crate) const fn user(&self) -> Option<u32> {
        self.user
    }

    /// The workspace, by its handle.
    pub(crate) const fn work(&self) -> &Folder {
        &self.work
    }

    /// The workspace and the folders beside it.
    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// An empty folder beside the workspace, and its place. What an earlier run left there is removed.
    pub(crate) fn private(&self, name: &str) -> io::Result<(Folder, PathBuf)> {
        self.folder.remove_tree(name)?;
        Ok((self.folder.make_child(name)?, self.path.join(name)))
    }

    /// Makes the user that tests run as the owner of the attempt's folders: beside this process, nobody else can enter.
    pub(crate) fn hand_over(&self) -> io::Result<()> {
        let Some(user) = self.user else { return Ok(()) };
        self.root.let_through()?;
        self.folder.own_by(user)?;
        for name in [WORK, "report", "home", "tmp", "empty"] {
            self.folder.make_child(name)?.give_to(user)?;
        }
        Ok(())
    }

    /// Remembers the test files among those that the work starts from.
    pub(crate) fn starts_from(&self, files: impl Iterator<Item = (WorkPath, Vec<u8>)>) {
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        tests.base.extend(files.filter(|(path, _)| steering::is_test(path)));
    }

    /// Remembers the test files among those that the work wrote or removed.
    pub(crate) fn was_touched(&self, paths: impl Iterator<Item = WorkPath>) {
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        tests.touched.extend(paths.filter(steering::is_test));
    }

    /// Takes the work's own tests out, and gives the sources of the tests that count: those of the suite and of the
    /// base, where there are any. When neither has tests, the work's are what was asked for, and all count. Before every run: what is
    /// put back between two runs is the work as it was.
    pub(crate) fn restore_tests(&self, suite: &[WorkPath]) -> io::Result<Vec<WorkPath>> {
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        let of_suite = suite.iter().filter(|path| steering::is_test(path));
        let counting: Vec<WorkPath> = of_suite.chain(tests.base.keys()).cloned().collect();
        if !counting.is_empty() {
            let TestFiles { base, touched, restored, is_looked_through } = &mut *tests;
            for path in &*touched {
                let Some(text) = base.get(path) else {
                    self.work.remove(path)?;
                    continue;
                };
                let is_same = self.work.read(path, text.len() as u64).is_ok_and(|now| now == *text);
                if !is_same {
                    self.work.write_over(path, text)?;
                    if !*is_looked_through {
                        restored.insert(path.clone());
                    }
                }
            }
            *is_looked_through = true;
        }
        Ok(counting)
    }

    /// The tests that the work was given and had changed or removed, as far as they have been put back.
    pub(crate) fn restored(&self) -> Vec<String> {
        let tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        tests.restored.iter().map(|path| path.as_str().to_owned()).collect()
    }

    /// The test files among those that the work started from, as they were then.
    pub(crate) fn base_tests(&self) -> BTreeMap<WorkPath, Vec<u8>> {
        self.tests.lock().unwrap_or_else(PoisonError::into_inner).base.clone()
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if !self.removed.swap(true, Ordering::AcqRel) {
            self.root.remove_tree(&self.name)?;
        }
        Ok(())
    }
}

/// Makes folders under random names that only their owner can enter.
pub(crate) fn private_folders<'a>() -> tempfile::Builder<'a, 'a> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "permissions are set on Unix only"))]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(path = %self.path.display(), %error, "a workspace could not be removed");
        }
    }
}
