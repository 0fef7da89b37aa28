//! The workspace as it was before a run: what a run leaves would otherwise tell the next one which copies it had.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use aura_core::SourceFile;

use crate::{beneath::Folder, path::WorkPath};

/// Most bytes that are kept; of a larger workspace, new files are removed and changed ones stay changed.
const MAX_KEPT: u64 = 32 << 20;

/// What a workspace held. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    files: Arc<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Before {
    pub(super) fn of(work: &Folder) -> Self {
        let (mut files, mut room) = (BTreeMap::new(), MAX_KEPT);
        let walked = work.walk(&|_, _| false, &mut |entry| {
            let text = room.checked_sub(entry.length).and_then(|left| {
                room = left;
                entry.read(entry.length).ok()
            });
            files.insert(entry.path.to_vec(), text);
            Ok(())
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "a workspace could not be looked through before its tests");
        }
        Self { files: Arc::new(files) }
    }

    /// Puts everything back as it was: from nothing, since also an empty folder, a link or a mode can tell a later run something. Of a
    /// workspace that is too large to be kept, what is new is removed and what is changed is written back.
    pub(super) fn restore(&self, work: &Folder) {
        if self.files.values().all(Option::is_some) {
            match work.clear() {
                Ok(()) => return self.write_back(work, |_| false),
                Err(error) => tracing::debug!(%error, "a workspace could not be emptied between two runs of a suite"),
            }
        }
        self.tidy(work);
    }

    fn tidy(&self, work: &Folder) {
        let (mut new, mut same) = (Vec::new(), HashSet::new());
        let walked = work.walk(&|_, _| false, &mut |entry| {
            match self.files.get(entry.path) {
                None => new.push(entry.path.to_vec()),
                Some(None) => {
                    same.insert(entry.path.to_vec());
                }
                Some(Some(text)) if entry.length == text.len() as u64 => {
                    if entry.read(entry.length).is_ok_and(|now| now == *text) {
                        same.insert(entry.path.to_vec());
                    }
                }
                Some(Some(_)) => {}
            }
            Ok(())
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "a workspace could not be looked through after its tests");
        }
        let path = |bytes: &[u8]| WorkPath::parse(std::str::from_utf8(bytes).ok()?).ok();
        for path in new.iter().filter_map(|bytes| path(bytes)) {
            said(work.remove(&path), &path);
        }
        self.write_back(work, |bytes| same.contains(bytes));
    }

    fn write_back(&self, work: &Folder, is_there: impl Fn(&[u8]) -> bool) {
        for (bytes, text) in self.files.iter().filter(|(bytes, _)| !is_there(bytes)) {
            let path = std::str::from_utf8(bytes).ok().and_then(|text| WorkPath::parse(text).ok());
            if let (Some(path), Some(text)) = (path, text) {
                said(work.write_over(&path, text), &path);
            }
        }
    }
}

/// Writes these files over what is there.
pub(super) fn write(work: &Folder, files: &[SourceFile]) {
    for file in files {
        if let Ok(path) = WorkPath::parse(&file.path) {
            said(work.write_over(&path, file.text.as_bytes()), &path);
        }
    }
}

/// What cannot be put back costs the work its next run, and nobody else.
fn said(done: std::io::Result<()>, path: &WorkPath) {
    if let Err(error) = done {
        tracing::debug!(%path, %error, "a file could not be put back between two runs of a suite");
    }
}
