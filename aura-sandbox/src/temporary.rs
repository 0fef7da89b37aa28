//! The temporary folder of a sandbox, and those of sandboxes whose process was killed before it could remove its own.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::{beneath::Folder, workspace::private_folders};

const PREFIX: &str = "aura-sandbox-";
/// The file in it that its process keeps locked for as long as it lives: the system takes the lock back, however it ends.
const OWNER: &str = "owner.lock";

/// A folder of this process, removed on drop.
#[derive(Debug)]
pub(crate) struct Temporary {
    // Closed before the folder goes: some systems remove no file that is open.
    _lock: Option<File>,
    _folder: tempfile::TempDir,
}

impl Temporary {
    /// Makes one, and removes what killed processes left. Answers also with where it is.
    pub(crate) fn create() -> io::Result<(PathBuf, Self)> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(place: &Path) -> io::Result<(PathBuf, Self)> {
        if let Err(error) = remove_left_behind(place) {
            tracing::warn!(folder = %place.display(), %error, "folders of earlier sandboxes could not be looked for");
        }
        let folder = private_folders().prefix(PREFIX).tempdir_in(place)?;
        let path = folder.path().canonicalize()?;
        // A file system may know no locks.
        let lock = own(&path).inspect_err(|error| {
            tracing::debug!(folder = %path.display(), %error, "stays there if this process is killed: it cannot be locked");
        });
        Ok((path, Self { _lock: lock.ok(), _folder: folder }))
    }
}

/// Shows that this process has the folder.
fn own(folder: &Path) -> io::Result<File> {
    let file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file().try_lock()?;
    // It has its name only now: whoever finds it unlocked may remove the folder.
    Ok(file.persist(folder.join(OWNER))?)
}

/// Removes the folders in `place` whose processes have ended.
fn remove_left_behind(place: &Path) -> io::Result<()> {
    let all = Folder::open(place)?;
    for entry in fs::read_dir(place)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let folder = place.join(name);
        let removed = match is_left_behind(&folder) {
            Ok(false) => continue,
            Ok(true) => all.remove_tree(name),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => {
                tracing::info!(folder = %folder.display(), "removed what a sandbox left whose process was killed")
            }
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "what a sandbox left cannot be removed"),
        }
    }
    Ok(())
}

/// Whether it is a sandbox's folder of this user whose process has ended.
fn is_left_behind(folder: &Path) -> io::Result<bool> {
    // Somebody else's folder, or a link, under such a name is none of ours.
    if !is_own_folder(folder) {
        return Ok(false);
    }
    let lock = match File::open(folder.join(OWNER)) {
        Ok(lock) => lock,
        // Just being made or removed, or by a version that knew no locks.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(unix)]
fn is_own_folder(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let owner = rustix::process::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == owner)
}

#[cfg(not(unix))]
fn is_own_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sandbox's folder with work in it, as a process that is killed leaves it.
    fn left_behind(place: &Path) -> PathBuf {
        let (path, made) = Temporary::create_in(place).unwrap();
        let work = path.join("job/work");
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join("solution.py"), "pass").unwrap();
        let Temporary { _lock, _folder } = made;
        let _kept = _folder.keep();
        path
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_live_one_has_is_not() {
        let place = tempfile::tempdir().unwrap();
        let (live, _held) = Temporary::create_in(place.path()).unwrap();
        let dead = left_behind(place.path());
        assert!(dead.join("job/work/solution.py").exists());
        let (mine, held) = Temporary::create_in(place.path()).unwrap();
        assert!(!dead.exists() && live.join(OWNER).exists());
        drop(held);
        assert!(!mine.exists());
    }

    #[test]
    fn folders_without_a_lock_and_other_names_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        for name in ["aura-sandbox-of-an-older-version", "elsewhere"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        fs::write(place.path().join("elsewhere").join(OWNER), "").unwrap();
        fs::write(place.path().join("aura-sandbox-no-folder"), "").unwrap();
        drop(Temporary::create_in(place.path()).unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_under_such_a_name_leads_to_no_removal() {
        let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join(OWNER), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join("aura-sandbox-link")).unwrap();
        drop(Temporary::create_in(place.path()).unwrap());
        assert!(elsewhere.path().join(OWNER).exists() && place.path().join("aura-sandbox-link").exists());
    }
}
