//! The folder handle where the system has no `openat`: each component is looked at before it is used.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Entry, Kind, MAX_WALK_DEPTH, too_deep};
use crate::path::WorkPath;

/// A folder by its path.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(path.canonicalize()?))
    }

    /// What `path` names, without following a link anywhere on the way.
    pub(crate) fn kind(&self, path: &WorkPath) -> io::Result<Kind> {
        let (parents, name) = path.split();
        let mut at = self.0.clone();
        for parent in parents {
            at.push(parent);
            match kind_of(&at)? {
                Kind::Folder => {}
                Kind::Missing => return Ok(Kind::Missing),
                Kind::File | Kind::Other => return Ok(Kind::Other),
            }
        }
        kind_of(&at.join(name))
    }

    /// Reads a regular file of at most `max` bytes.
    pub(crate) fn read(&self, path: &WorkPath, max: u64) -> io::Result<Vec<u8>> {
        let (parents, name) = path.split();
        read_file(&self.descend(&parents)?.join(name), max)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, path: &WorkPath, bytes: &[u8]) -> io::Result<()> {
        let (parents, name) = path.split();
        let mut folder = Self(self.0.clone());
        for parent in parents {
            folder = folder.make_child(parent)?;
        }
        let file = folder.0.join(name);
        if kind_of(&file)? != Kind::Missing {
            fs::remove_file(&file)?;
        }
        fs::write(file, bytes)
    }

    /// Writes a file, and removes whatever stands in its way.
    pub(crate) fn write_over(&self, path: &WorkPath, bytes: &[u8]) -> io::Result<()> {
        let (parents, name) = path.split();
        let mut at = self.0.clone();
        for parent in parents {
            at.push(parent);
            if matches!(kind_of(&at)?, Kind::File | Kind::Other) {
                remove_any(&at)?;
            }
        }
        if kind_of(&at.join(name))? == Kind::Folder {
            fs::remove_dir_all(at.join(name))?;
        }
        self.write(path, bytes)
    }

    /// Removes a file; what is not there needs no removing.
    pub(crate) fn remove(&self, path: &WorkPath) -> io::Result<()> {
        let (parents, name) = path.split();
        match self.descend(&parents).and_then(|parent| fs::remove_file(parent.join(name))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens the folder `name` in this one, and makes it first when there is none.
    pub(crate) fn make_child(&self, name: &str) -> io::Result<Self> {
        let child = self.0.join(name);
        match kind_of(&child)? {
            Kind::Missing => fs::create_dir(&child)?,
            Kind::Folder => {}
            Kind::File | Kind::Other => return Err(io::ErrorKind::NotADirectory.into()),
        }
        Ok(Self(child))
    }

    /// Visits every regular file beneath, in no order. `skip` is asked with the depth and name of each folder.
    pub(crate) fn walk(
        &self,
        skip: &dyn Fn(usize, &[u8]) -> bool,
        visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        walk_from(&self.0, "", 0, skip, visit)
    }

    /// No other user is ever lent here, nor let in.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
    pub(crate) fn give_to(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
    pub(crate) fn own_by(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
    pub(crate) fn let_through(&self) -> io::Result<()> {
        Ok(())
    }

    /// Removes the folder `name` with all that is in it.
    pub(crate) fn remove_tree(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes all that is in this folder, whatever it is.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.symlink_metadata()?.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn descend(&self, parents: &[&str]) -> io::Result<PathBuf> {
        let mut at = self.0.clone();
        for parent in parents {
            at.push(parent);
            match kind_of(&at)? {
                Kind::Folder => {}
                Kind::Missing => return Err(io::ErrorKind::NotFound.into()),
                Kind::File | Kind::Other => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        Ok(at)
    }
}

fn walk_from(
    folder: &Path,
    prefix: &str,
    depth: usize,
    skip: &dyn Fn(usize, &[u8]) -> bool,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
) -> io::Result<()> {
    if depth > MAX_WALK_DEPTH {
        return Err(too_deep());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        match kind_of(&entry.path())? {
            Kind::File => {
                let reader = |max| read_file(&entry.path(), max);
                let length = entry.metadata()?.len();
                visit(&Entry { path: path.as_bytes(), length, reader: &reader })?;
            }
            Kind::Folder if !skip(depth, name.as_bytes()) => {
                walk_from(&entry.path(), &path, depth + 1, skip, visit)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn kind_of(path: &Path) -> io::Result<Kind> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => Ok(Kind::File),
        Ok(data) if data.is_dir() => Ok(Kind::Folder),
        Ok(_) => Ok(Kind::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Missing),
        Err(error) => Err(error),
    }
}

/// Removes a file or a link; a link to a folder is removed like a folder on Windows.
fn remove_any(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|_| fs::remove_dir(path))
}

fn read_file(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if kind_of(path)? != Kind::File {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
