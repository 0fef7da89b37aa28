//! The folder handle on Unix: every step is an `openat` that refuses links.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, fchmod, fstat, mkdirat, openat, renameat, statat, unlinkat},
    io::Errno,
    process::{Gid, Uid},
};

use super::{Entry, Kind, MAX_WALK_DEPTH, too_deep};
use crate::path::WorkPath;

/// How long removing a tree may take: somebody may still be writing into it.
const REMOVE_WITHIN: Duration = Duration::from_secs(30);

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// What `path` names, without following a link anywhere on the way.
    pub(crate) fn kind(&self, path: &WorkPath) -> io::Result<Kind> {
        let (parents, name) = path.split();
        let parent = match self.descend(&parents) {
            Ok(parent) => parent,
            Err(Errno::NOENT) => return Ok(Kind::Missing),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Kind::Other),
            Err(error) => return Err(error.into()),
        };
        match statat(&parent.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Folder,
                _ => Kind::Other,
            }),
            Err(Errno::NOENT) => Ok(Kind::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a regular file of at most `max` bytes.
    pub(crate) fn read(&self, path: &WorkPath, max: u64) -> io::Result<Vec<u8>> {
        let (parents, name) = path.split();
        read_file(&self.descend(&parents)?.0, name, max)
    }

    /// Writes a file, with the folders above it. What the name stood for before is cut off rather than written into,
    /// so that no link, hard or soft, carries the bytes elsewhere.
    pub(crate) fn write(&self, path: &WorkPath, bytes: &[u8]) -> io::Result<()> {
        let (parents, name) = path.split();
        let mut folder = self.again()?;
        for parent in parents {
            folder = folder.make_child(parent)?;
        }
        folder.write_here(name, bytes)
    }

    /// Writes a file, and removes whatever stands in its way.
    pub(crate) fn write_over(&self, path: &WorkPath, bytes: &[u8]) -> io::Result<()> {
        let (parents, name) = path.split();
        let mut folder = self.again()?;
        for parent in parents {
            if matches!(step(&folder.0, parent), Err(Errno::NOTDIR | Errno::LOOP)) {
                unlinkat(&folder.0, parent, AtFlags::empty())?;
            }
            folder = folder.make_child(parent)?;
        }
        if step(&folder.0, name).is_ok() {
            folder.remove_tree(name)?;
        }
        folder.write_here(name, bytes)
    }

    /// Removes a file; what is not there needs no removing.
    pub(crate) fn remove(&self, path: &WorkPath) -> io::Result<()> {
        let (parents, name) = path.split();
        match self.descend(&parents).and_then(|parent| unlinkat(&parent.0, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the folder `name` in this one, and makes it first when there is none.
    pub(crate) fn make_child(&self, name: &str) -> io::Result<Self> {
        match mkdirat(&self.0, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let child = step(&self.0, name)?;
                // The process's umask may have taken bits away.
                fchmod(&child, Mode::from_raw_mode(0o755))?;
                Ok(Self(child))
            }
            Err(Errno::EXIST) => Ok(Self(step(&self.0, name)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Visits every regular file beneath, in no order. `skip` is asked with the depth and name of each folder. What
    /// vanishes on the way is passed over.
    pub(crate) fn walk(
        &self,
        skip: &dyn Fn(usize, &[u8]) -> bool,
        visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.walk_from(&mut Vec::new(), 0, skip, visit)
    }

    fn walk_from(
        &self,
        path: &mut Vec<u8>,
        depth: usize,
        skip: &dyn Fn(usize, &[u8]) -> bool,
        visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if depth > MAX_WALK_DEPTH {
            return Err(too_deep());
        }
        for name in names(&self.0)? {
            let stat = match statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let before = path.len();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    let reader = |max| read_file(&self.0, &name, max);
                    let length = u64::try_from(stat.st_size).unwrap_or(0);
                    visit(&Entry { path, length, reader: &reader })?;
                }
                FileType::Directory if !skip(depth, name.as_bytes()) => match step(&self.0, &name) {
                    Ok(child) => Self(child).walk_from(path, depth + 1, skip, visit)?,
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(error) => return Err(error.into()),
                },
                // Links, pipes and devices are left out.
                _ => {}
            }
            path.truncate(before);
        }
        Ok(())
    }

    /// Makes a user the owner of the folder and of what this process's user has in it. Links, devices and files with a
    /// second name are left alone: the other name may lie anywhere.
    pub(crate) fn give_to(&self, user: u32) -> io::Result<()> {
        self.give_from(Uid::from_raw(user), Gid::from_raw(user), 0)
    }

    /// Makes a user the owner of the folder alone.
    pub(crate) fn own_by(&self, user: u32) -> io::Result<()> {
        Ok(rustix::fs::fchown(&self.0, Some(Uid::from_raw(user)), Some(Gid::from_raw(user)))?)
    }

    /// Lets everybody pass through the folder to what they can name in it; nobody else can list it.
    pub(crate) fn let_through(&self) -> io::Result<()> {
        Ok(fchmod(&self.0, Mode::from_raw_mode(0o711))?)
    }

    fn give_from(&self, user: Uid, group: Gid, depth: usize) -> io::Result<()> {
        if depth > MAX_WALK_DEPTH {
            return Err(too_deep());
        }
        rustix::fs::fchown(&self.0, Some(user), Some(group))?;
        let own = rustix::process::geteuid().as_raw();
        for name in names(&self.0)? {
            let stat = statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Self(step(&self.0, &name)?).give_from(user, group, depth + 1)?,
                FileType::RegularFile if stat.st_uid == own && stat.st_nlink == 1 => {
                    rustix::fs::chownat(&self.0, &name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the folder `name` with all that is in it, however deep and whatever its permissions.
    pub(crate) fn remove_tree(&self, name: &str) -> io::Result<()> {
        let tree = match step(&self.0, name) {
            Ok(tree) => tree,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ACCESS) => {
                chmodat(&self.0, name, Mode::RWXU, AtFlags::empty())?;
                step(&self.0, name)?
            }
            Err(error) => return Err(error.into()),
        };
        Self(tree).clear()?;
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes all that is in this folder, whatever it is.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let deadline = Instant::now() + REMOVE_WITHIN;
        fchmod(&self.0, Mode::from_raw_mode(0o755))?;
        let mut lifted = 0_u64;
        loop {
            let names = names(&self.0)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                if Instant::now() > deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                remove_one(&self.0, &name, &mut lifted)?;
            }
        }
    }

    fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    fn descend(&self, parents: &[&str]) -> Result<Self, Errno> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.0, 0)?;
        for parent in parents {
            folder = step(&folder, *parent)?;
        }
        Ok(Self(folder))
    }

    fn write_here(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let mode = Mode::from_raw_mode(0o644);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, mode)?;
        fchmod(&file, mode)?;
        File::from(file).write_all(bytes)
    }
}

fn step<P: rustix::path::Arg>(folder: impl AsFd, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

fn read_file<P: rustix::path::Arg>(folder: &OwnedFd, name: P, max: u64) -> io::Result<Vec<u8>> {
    // Non-blocking, so that a pipe put in the file's place cannot hold the reader up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes one entry of `tree`. The folders in a folder are lifted up into `tree`, to be met by a later pass: so the
/// work needs neither a deep stack nor many handles.
fn remove_one(tree: &OwnedFd, name: &CStr, lifted: &mut u64) -> Result<(), Errno> {
    if !is_folder(tree, name)? {
        return unlinkat(tree, name, AtFlags::empty());
    }
    let folder = match step(tree, name) {
        Err(Errno::ACCESS) => {
            chmodat(tree, name, Mode::RWXU, AtFlags::empty())?;
            step(tree, name)?
        }
        other => other?,
    };
    fchmod(&folder, Mode::RWXU)?;
    for inner in names(&folder)? {
        if is_folder(&folder, &inner)? {
            lift(&folder, &inner, tree, lifted)?;
        } else {
            unlinkat(&folder, &inner, AtFlags::empty())?;
        }
    }
    unlinkat(tree, name, AtFlags::REMOVEDIR)
}

fn lift(from: &OwnedFd, name: &CStr, to: &OwnedFd, lifted: &mut u64) -> Result<(), Errno> {
    let mut made_writable = false;
    loop {
        *lifted += 1;
        match renameat(from, name, to, format!(".lifted-{lifted}")) {
            // The name is taken by something that the code under test made: try the next.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            // A folder that changes its parent must be writable itself.
            Err(Errno::ACCESS) if !made_writable => {
                made_writable = true;
                chmodat(from, name, Mode::RWXU, AtFlags::empty())?;
            }
            other => return other,
        }
    }
}

fn is_folder(folder: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
