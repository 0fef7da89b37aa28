//! What share of the code a project's tests reached, as their command left word of it: shown, and no part of any score.

use std::io;
#[cfg(target_os = "linux")]
use std::{fs, path::Path};

use aura_core::{CoverageFormat, Fraction, Project, SandboxError};

use super::{Place, Prepared};
use crate::{
    beneath::Folder,
    path::WorkPath,
    report::{self, MAX_REPORT},
};

/// The file's name in the private folder, where the workspace itself is gone with the run.
pub(crate) const COVERAGE: &str = "coverage";

/// What a run said of its coverage.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Coverage {
    /// The share, where there is one.
    pub(super) share: Option<Fraction>,
    /// Why there is none; empty when there is, and when nobody asked for one.
    pub(super) complaint: String,
}

impl Coverage {
    /// What two runs of the same tests reached: a copy of a test that is meant to fail may stop early, so the larger share is theirs.
    pub(super) fn or(self, other: Self) -> Self {
        let share = self.share.max(other.share);
        let complaint = if self.complaint.is_empty() { other.complaint } else { self.complaint };
        Self { share, complaint: if share.is_some() { String::new() } else { complaint } }
    }
}

/// Makes an empty file where the command is to leave its report, in the place of whatever the work has there.
pub(super) fn lay_out(work: &Folder, project: &Project) -> Result<Option<WorkPath>, SandboxError> {
    let Some(report) = &project.coverage else { return Ok(None) };
    let path = WorkPath::parse(&report.path)?;
    work.write_over(&path, b"").map_err(|source| SandboxError::Io {
        action: format!("make room for the coverage report {path}"),
        source: source.into(),
    })?;
    Ok(Some(path))
}

/// Makes the file that stands for the report inside where the workspace is a copy.
#[cfg(target_os = "linux")]
pub(crate) fn make(report: &Path, user: Option<u32>) -> io::Result<()> {
    fs::File::options().write(true).create(true).truncate(true).open(report)?;
    std::os::unix::fs::chown(report, user, user)
}

/// Reads it once every process is dead, and leaves nothing of it for a later run.
pub(super) fn read(place: &Place, prepared: &Prepared, format: CoverageFormat) -> Coverage {
    let Some(path) = &prepared.coverage else { return Coverage::default() };
    let read = if place.confinement.works_in_place() {
        let read = place.slot.work().read(path, MAX_REPORT);
        if let Err(error) = place.slot.work().remove(path) {
            tracing::debug!(%path, %error, "a coverage report could not be removed");
        }
        read
    } else {
        WorkPath::parse(COVERAGE).map_err(io::Error::other).and_then(|name| prepared.report.read(&name, MAX_REPORT))
    };
    let share = match read {
        Ok(file) if file.is_empty() => Err(format!("the command left nothing at {path}")),
        Ok(file) => report::coverage(format, &file),
        Err(error) => Err(format!("{path} cannot be read: {error}")),
    };
    match share {
        Ok(share) => Coverage { share: Some(share), complaint: String::new() },
        Err(why) => Coverage { share: None, complaint: format!("no coverage: {why}") },
    }
}
