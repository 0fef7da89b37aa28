//! Puts a model's work together in memory, and writes all of it or nothing.

use std::{collections::BTreeMap, io};

use aura_core::{SandboxError, SourceFile, Submission};

use crate::{
    Limits,
    beneath::{Folder, Kind},
    patch::{FileChange, Operation, PatchText},
    path::WorkPath,
    steering,
};

/// What is to be written (bytes) and removed (absent); nothing of it has happened yet.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    changes: BTreeMap<WorkPath, Option<Vec<u8>>>,
}

impl Staged {
    /// Stages the user's own files.
    ///
    /// # Errors
    /// [`SandboxError::Refused`]: the files are the user's, so that a bad path is a mistake and not an attack.
    pub(crate) fn base(files: &[SourceFile]) -> Result<Self, SandboxError> {
        let mut staged = Self::default();
        for file in files {
            let path = WorkPath::parse(&file.path).map_err(blameless)?;
            staged.changes.insert(path, Some(file.text.clone().into_bytes()));
        }
        staged.check_nesting()?;
        Ok(staged)
    }

    /// Stages a model's files, then its patches in their order, on top of what the folder holds.
    ///
    /// # Errors
    /// [`SandboxError::Hostile`] for a path that leaves the workspace or a file that steers the tests, which outranks
    /// [`SandboxError::Refused`] for what does not fit or is too large; [`SandboxError::Io`] when a file that is to be
    /// patched cannot be read.
    pub(crate) fn work(folder: &Folder, work: &Submission, limits: &Limits) -> Result<Self, SandboxError> {
        let (files, patches) = check(work, limits)?;
        let mut staged = Self::default();
        for (path, file) in files {
            staged.changes.insert(path, Some(file.text.clone().into_bytes()));
        }
        staged.check_size(limits)?;
        for change in patches.iter().flatten() {
            staged.patch(folder, change, limits)?;
            staged.check_size(limits)?;
        }
        if staged.changes.len() > limits.work_files {
            return Err(SandboxError::Refused(format!("the work touches more than {} files", limits.work_files)));
        }
        staged.check_nesting()?;
        staged.check_places(folder)?;
        staged.check_replaced(folder, limits)?;
        Ok(staged)
    }

    /// The paths that it writes or removes.
    pub(crate) fn paths(&self) -> Vec<WorkPath> {
        self.changes.keys().cloned().collect()
    }

    /// The files that it writes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (WorkPath, Vec<u8>)> {
        self.changes.iter().filter_map(|(path, text)| Some((path.clone(), text.clone()?)))
    }

    /// Writes it. When a write fails, what was written before is put back.
    ///
    /// # Errors
    /// [`SandboxError::Io`].
    pub(crate) fn commit(self, folder: &Folder, limits: &Limits) -> Result<(), SandboxError> {
        let mut undo: Vec<(&WorkPath, Option<Vec<u8>>)> = Vec::new();
        for (path, text) in &self.changes {
            let done = before(folder, path, limits).and_then(|old| {
                undo.push((path, old));
                set(folder, path, text.as_deref())
            });
            if let Err(source) = done {
                for (path, old) in undo.into_iter().rev() {
                    if let Err(error) = set(folder, path, old.as_deref()) {
                        tracing::warn!(%path, %error, "a file could not be put back");
                    }
                }
                return Err(SandboxError::Io { action: format!("write {path}"), source: source.into() });
            }
        }
        Ok(())
    }

    fn patch(&mut self, folder: &Folder, change: &FileChange, limits: &Limits) -> Result<(), SandboxError> {
        let refused = |what: String| SandboxError::Refused(format!("{}: {what}", change.place));
        match &change.operation {
            Operation::Create(path) => {
                if self.current(folder, path, limits)?.is_some() {
                    return Err(refused(format!("{path} is to be created but is there already")));
                }
                let text = change.apply("", limits.work_bytes)?;
                steering::check(path, Some(&text))?;
                self.changes.insert(path.clone(), Some(text.into_bytes()));
            }
            Operation::Delete(path) => {
                if !change.apply(&self.text(folder, path, change, limits)?, limits.work_bytes)?.is_empty() {
                    return Err(refused(format!("{path} is to be deleted but the patch leaves lines in it")));
                }
                self.changes.insert(path.clone(), None);
            }
            Operation::Modify(path) => {
                let text = change.apply(&self.text(folder, path, change, limits)?, limits.work_bytes)?;
                steering::check(path, Some(&text))?;
                self.changes.insert(path.clone(), Some(text.into_bytes()));
            }
            Operation::Rename { from, to } | Operation::Copy { from, to } => {
                if from != to && self.current(folder, to, limits)?.is_some() {
                    return Err(refused(format!("{to} is there already")));
                }
                let text = change.apply(&self.text(folder, from, change, limits)?, limits.work_bytes)?;
                steering::check(to, Some(&text))?;
                if matches!(change.operation, Operation::Rename { .. }) {
                    self.changes.insert(from.clone(), None);
                }
                self.changes.insert(to.clone(), Some(text.into_bytes()));
            }
        }
        Ok(())
    }

    /// What the file holds once the changes so far are made.
    fn current(&self, folder: &Folder, path: &WorkPath, limits: &Limits) -> Result<Option<Vec<u8>>, SandboxError> {
        if let Some(staged) = self.changes.get(path) {
            return Ok(staged.clone());
        }
        before(folder, path, limits).map_err(|source| match source.kind() {
            io::ErrorKind::FileTooLarge => SandboxError::Refused(format!("{path} is too large to be patched")),
            io::ErrorKind::InvalidInput => SandboxError::Hostile(format!("{path} is no regular file")),
            _ => SandboxError::Io { action: format!("read {path}"), source: source.into() },
        })
    }

    fn text(
        &self,
        folder: &Folder,
        path: &WorkPath,
        change: &FileChange,
        limits: &Limits,
    ) -> Result<String, SandboxError> {
        let bytes = self.current(folder, path, limits)?;
        let bytes = bytes.ok_or_else(|| SandboxError::Refused(format!("{}: there is no file {path}", change.place)))?;
        String::from_utf8(bytes).map_err(|_| SandboxError::Refused(format!("{}: {path} is no text", change.place)))
    }

    fn check_size(&self, limits: &Limits) -> Result<(), SandboxError> {
        let total: usize = self.changes.values().flatten().map(Vec::len).sum();
        if total > limits.work_bytes {
            return Err(SandboxError::Refused(format!(
                "the work's files have {total} bytes, at most {} are taken",
                limits.work_bytes
            )));
        }
        Ok(())
    }

    /// No file may also be a folder of another.
    fn check_nesting(&self) -> Result<(), SandboxError> {
        let is_file = |path: &str| self.changes.iter().any(|(other, text)| text.is_some() && other.as_str() == path);
        for (path, text) in &self.changes {
            if let Some(parent) = path.ancestors().find(|parent| text.is_some() && is_file(parent)) {
                return Err(SandboxError::Refused(format!("{parent} cannot be a file and hold {path}")));
            }
        }
        Ok(())
    }

    /// Whether what the workspace holds now leaves room for each file.
    fn check_places(&self, folder: &Folder) -> Result<(), SandboxError> {
        for (path, text) in &self.changes {
            if text.is_none() {
                continue;
            }
            for parent in path.ancestors() {
                let parent = WorkPath::parse(parent)?;
                match kind(folder, &parent)? {
                    Kind::Missing | Kind::Folder => {}
                    // A file that the work itself removes makes room.
                    Kind::File if matches!(self.changes.get(&parent), Some(None)) => {}
                    Kind::File => {
                        return Err(SandboxError::Refused(format!("{parent} is a file and cannot hold {path}")));
                    }
                    Kind::Other => return Err(SandboxError::Hostile(format!("{path} goes through a link"))),
                }
            }
            match kind(folder, path)? {
                Kind::Missing | Kind::File => {}
                Kind::Folder => return Err(SandboxError::Refused(format!("{path} is a folder"))),
                Kind::Other => return Err(SandboxError::Hostile(format!("{path} is a link"))),
            }
        }
        Ok(())
    }

    /// A configuration file that steered the tests before may not be replaced by one that no longer does.
    fn check_replaced(&self, folder: &Folder, limits: &Limits) -> Result<(), SandboxError> {
        for path in self.changes.keys().filter(|path| steering::check(path, None).is_err()) {
            let old = Self::default().current(folder, path, limits)?.unwrap_or_default();
            steering::check(path, Some(&String::from_utf8_lossy(&old)))?;
        }
        Ok(())
    }
}

type Checked<'a> = (Vec<(WorkPath, &'a SourceFile)>, Vec<Vec<FileChange>>);

/// Checks everything that can be checked without the folder. An attack outranks a mistake, wherever it stands.
fn check<'a>(work: &'a Submission, limits: &Limits) -> Result<Checked<'a>, SandboxError> {
    let mut mistake = None;
    let mut files = Vec::new();
    if work.files.len() > limits.work_files {
        return Err(SandboxError::Refused(format!("the work has more than {} files", limits.work_files)));
    }
    let bytes: usize = work.patches.iter().map(String::len).sum();
    if bytes > limits.patch_bytes {
        let most = limits.patch_bytes;
        return Err(SandboxError::Refused(format!("the patches have {bytes} bytes, at most {most} are taken")));
    }
    for file in &work.files {
        let checked = WorkPath::parse(&file.path).and_then(|path| {
            steering::check(&path, Some(&file.text))?;
            Ok(path)
        });
        match checked {
            Ok(path) => files.push((path, file)),
            Err(error @ SandboxError::Hostile(_)) => return Err(error),
            Err(error) => {
                mistake.get_or_insert(error);
            }
        }
    }
    let mut patches = Vec::new();
    for (number, patch) in work.patches.iter().enumerate() {
        match PatchText::new(patch, number + 1).parse(limits.work_files) {
            Ok(changes) => patches.push(changes),
            Err(error @ SandboxError::Hostile(_)) => return Err(error),
            Err(error) => {
                mistake.get_or_insert(error);
            }
        }
    }
    mistake.map_or(Ok((files, patches)), Err)
}

fn blameless(error: SandboxError) -> SandboxError {
    match error {
        SandboxError::Hostile(reason) => SandboxError::Refused(reason),
        other => other,
    }
}

fn kind(folder: &Folder, path: &WorkPath) -> Result<Kind, SandboxError> {
    folder.kind(path).map_err(|source| SandboxError::Io { action: format!("look at {path}"), source: source.into() })
}

/// The content of a file; absent when there is none.
fn before(folder: &Folder, path: &WorkPath, limits: &Limits) -> io::Result<Option<Vec<u8>>> {
    match folder.kind(path)? {
        Kind::Missing => Ok(None),
        Kind::File => folder.read(path, limits.work_bytes as u64).map(Some),
        Kind::Folder | Kind::Other => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn set(folder: &Folder, path: &WorkPath, text: Option<&[u8]>) -> io::Result<()> {
    match text {
        Some(bytes) => folder.write(path, bytes),
        None => folder.remove(path),
    }
}
