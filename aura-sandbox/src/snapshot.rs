//! Packs a workspace: a content hash, and an archive that is the same byte for byte for the same content.

use std::io::{self, Write};

use aura_core::{SandboxError, contract::Snapshot};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::{Limits, beneath::Folder};

/// Folders that tools leave behind and that are no part of the work, wherever they are.
const LEFT_OUT: [&[u8]; 2] = [b"__pycache__", b".pytest_cache"];
/// The folder that cargo builds into, left out at the top only: deeper it may be a package of that name.
const BUILD: &[u8] = b"target";

/// Packs what the folder holds now. Links and other special files are left out.
///
/// # Errors
/// [`SandboxError::Refused`] when it holds more than `limits` allow; [`SandboxError::Io`] when it cannot be read.
pub(crate) fn take(folder: &Folder, limits: &Limits) -> Result<Snapshot, SandboxError> {
    let mut files: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut total = 0_u64;
    let mut too_large = false;
    let skip = |depth: usize, name: &[u8]| LEFT_OUT.contains(&name) || (depth == 0 && name == BUILD);
    let walked = folder.walk(&skip, &mut |entry| {
        too_large = files.len() >= limits.snapshot_files || total + entry.length > limits.snapshot_bytes;
        if too_large {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match entry.read(limits.snapshot_bytes - total) {
            Ok(bytes) => {
                total += bytes.len() as u64;
                files.push((entry.path.to_vec(), bytes));
                Ok(())
            }
            // It vanished since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    });
    match walked {
        Err(error) if too_large || error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(SandboxError::Refused(format!(
                "the workspace holds more than {} files or {} bytes",
                limits.snapshot_files, limits.snapshot_bytes
            )));
        }
        Err(source) => return Err(cannot("read the workspace", source)),
        Ok(()) => {}
    }
    files.sort();
    let archive = pack(&files).map_err(|source| cannot("pack the workspace", source))?;
    Ok(Snapshot { content_hash: hash(&files), files: files.len() as u64, archive })
}

/// Lengths stand before paths and contents, so that no two sets of files run together into the same bytes.
fn hash(files: &[(Vec<u8>, Vec<u8>)]) -> String {
    let mut sha = Sha256::new();
    for part in files.iter().flat_map(|(path, bytes)| [path, bytes]) {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pack(files: &[(Vec<u8>, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, native(path), bytes.as_slice())?;
    }
    let mut packed = archive.into_inner()?;
    packed.flush()?;
    packed.finish()
}

#[cfg(unix)]
fn native(path: &[u8]) -> &std::path::Path {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    std::path::Path::new(OsStr::from_bytes(path))
}

#[cfg(not(unix))]
fn native(path: &[u8]) -> std::path::PathBuf {
    String::from_utf8_lossy(path).into_owned().into()
}

fn cannot(action: &str, source: io::Error) -> SandboxError {
    SandboxError::Io { action: action.to_owned(), source: source.into() }
}
