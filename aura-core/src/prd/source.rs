//! Files as text, as a user sends them and as work is handed in.

use serde::{Deserialize, Serialize};

use super::NewPrd;
use crate::error::{Error, Result};

/// A file as text, with its path relative to the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Relative path with `/` between its parts.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl SourceFile {
    /// A file.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

pub(super) fn check_files(field: &'static str, files: &[SourceFile]) -> Result<()> {
    if files.len() > NewPrd::MAX_FILE_COUNT {
        return Err(Error::invalid(field, format!("more than {} files", NewPrd::MAX_FILE_COUNT)));
    }
    if files.iter().map(|file| file.text.len()).sum::<usize>() > NewPrd::MAX_FILES {
        return Err(Error::invalid(field, format!("more than {} bytes in all", NewPrd::MAX_FILES)));
    }
    if let Some(file) = files.iter().find(|file| file.path.is_empty() || file.text.contains('\0')) {
        return Err(Error::invalid(field, format!("file {:?} has no path, or a NUL character", file.path)));
    }
    Ok(())
}
