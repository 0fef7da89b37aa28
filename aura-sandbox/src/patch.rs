//! Unified diffs, plain and git style, read strictly and applied to text.
//!
//! A hunk fits at the very lines that it names or not at all. diffy reads the hunks; what it would pass over in silence
//! (lines behind a hunk whose counts are too small, files in another style) is counted here and refused.

use std::borrow::Cow;

use aura_core::SandboxError;
use diffy::{
    Line, Patch,
    patch_set::{FileOperation, ParseOptions, PatchKind, PatchSet},
};

use crate::{
    path::{WorkPath, shown},
    steering,
};

/// Most hunks in one patch.
const MAX_HUNKS: usize = 10_000;
/// Longest `diff --git` line, in bytes: splitting it into two names takes time that grows with its square.
const MAX_GIT_LINE: usize = 4_096;

/// One patch as it came, made ready to be read.
#[derive(Debug)]
pub(crate) struct PatchText<'a> {
    text: Cow<'a, str>,
    number: usize,
}

/// What a patch does to one file.
#[derive(Debug)]
pub(crate) struct FileChange {
    /// Which file operation, with checked paths.
    pub(crate) operation: Operation,
    /// Where it stands, for messages: `patch 1, file 2`.
    pub(crate) place: String,
    hunks: Vec<Hunk>,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Create(WorkPath),
    Delete(WorkPath),
    Modify(WorkPath),
    Rename { from: WorkPath, to: WorkPath },
    Copy { from: WorkPath, to: WorkPath },
}

/// A hunk that owns its lines, so that it outlives the text made ready for diffy.
#[derive(Debug)]
struct Hunk {
    /// Index of the first line replaced; absent when the patch names a line 0 that it cannot mean.
    at: Option<usize>,
    lines: Vec<(Side, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

impl<'a> PatchText<'a> {
    /// Takes a patch; `number` counts from 1, for messages.
    pub(crate) fn new(patch: &'a str, number: usize) -> Self {
        // `git format-patch` puts a letter before the patch.
        let body =
            if patch.starts_with("From ") { patch.split_once("\n---\n").map_or(patch, |(_, b)| b) } else { patch };
        let mut text = Cow::Borrowed(body);
        // A patch that went through a system with CRLF lines as a whole says nothing about the files' own endings.
        if body.contains("\r\n") && body.lines().count() == body.matches("\r\n").count() {
            text = Cow::Owned(body.replace("\r\n", "\n"));
        }
        // The last line's end gets lost on the way through JSON and Markdown.
        if !text.ends_with('\n') {
            text = Cow::Owned(text.into_owned() + "\n");
        }
        Self { text, number }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`SandboxError::Hostile`] for paths that leave the workspace, links, special modes and files that steer tests;
    /// [`SandboxError::Refused`] for what is no complete, plain text patch of at most `max_files` files.
    pub(crate) fn parse(&self, max_files: usize) -> Result<Vec<FileChange>, SandboxError> {
        let lines = Census::of(&self.text, self.number)?;
        let style = if lines.git { ParseOptions::gitdiff() } else { ParseOptions::unidiff() };
        let mut changes = Vec::new();
        let mut seen = Census::default();
        for (index, file) in PatchSet::parse(&self.text, style).enumerate() {
            let place = format!("patch {}, file {}", self.number, index + 1);
            if index >= max_files {
                return Err(SandboxError::Refused(format!("patch {} has more than {max_files} files", self.number)));
            }
            let file = match file {
                Ok(file) => file,
                // diffy takes no unquoted control character or backslash in a name, and does not say which it was.
                Err(error) => return Err(self.hostile_header().unwrap_or_else(|| unreadable(&place, &error))),
            };
            let PatchKind::Text(patch) = file.patch() else {
                return Err(SandboxError::Refused(format!("{place}: binary patches are not taken")));
            };
            seen.add(patch);
            let has_mode = file.new_mode().is_some() || file.old_mode().is_some();
            changes.push(FileChange::new(file.operation(), patch, has_mode, place)?);
        }
        lines.must_equal(&seen, self.number)?;
        Ok(changes)
    }

    /// What is hostile about the names of a patch that cannot be read, if anything.
    fn hostile_header(&self) -> Option<SandboxError> {
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let named = match line.strip_prefix("--- ") {
                // Only a pair of lines is a header; one alone may be a removed line.
                Some(old) => lines.peek().and_then(|next| next.strip_prefix("+++ ")).map(|new| [old, new]),
                None => ["rename from ", "rename to ", "copy from ", "copy to "]
                    .iter()
                    .find_map(|key| line.strip_prefix(key))
                    .map(|name| [name, name]),
            };
            for name in named.into_iter().flatten() {
                let name = name.split('\t').next().unwrap_or_default().trim_matches('"');
                if name == "/dev/null" {
                    continue;
                }
                if let Err(error @ SandboxError::Hostile(_)) = WorkPath::parse(without_side(name)) {
                    return Some(error);
                }
            }
        }
        None
    }
}

/// How many lines of each sort there are; what the text has and what was understood must agree.
#[derive(Debug, Default)]
struct Census {
    git: bool,
    hunks: usize,
    minus: usize,
    plus: usize,
    signature: bool,
}

impl Census {
    /// Counts from the first header on, and refuses what no reader should see.
    fn of(text: &str, number: usize) -> Result<Self, SandboxError> {
        let mut census = Self::default();
        let is_header = |line: &&str| ["diff --git ", "--- ", "+++ "].iter().any(|start| line.starts_with(start));
        for line in text.lines().skip_while(|line| !is_header(line)) {
            census.git |= line.starts_with("diff --git ");
            census.hunks += usize::from(line.starts_with("@@"));
            census.minus += usize::from(line.starts_with('-'));
            census.plus += usize::from(line.starts_with('+'));
            census.signature |= line == "-- ";
            check_mode(line, number)?;
            if line.starts_with("diff --git ") && line.len() > MAX_GIT_LINE {
                return Err(SandboxError::Refused(format!("patch {number}: a file name is too long")));
            }
            if census.hunks > MAX_HUNKS {
                return Err(SandboxError::Refused(format!("patch {number} has more than {MAX_HUNKS} hunks")));
            }
        }
        Ok(census)
    }

    fn add(&mut self, patch: &Patch<'_, str>) {
        self.minus += usize::from(patch.original().is_some());
        self.plus += usize::from(patch.modified().is_some());
        self.hunks += patch.hunks().len();
        for line in patch.hunks().iter().flat_map(|hunk| hunk.lines()) {
            match line {
                Line::Context(_) => {}
                Line::Delete(_) => self.minus += 1,
                Line::Insert(_) => self.plus += 1,
            }
        }
    }

    fn must_equal(&self, seen: &Self, number: usize) -> Result<(), SandboxError> {
        // A mail's signature line looks like a removed line.
        let minus = seen.minus..=seen.minus + usize::from(self.signature);
        if self.hunks == seen.hunks && self.plus == seen.plus && minus.contains(&self.minus) {
            return Ok(());
        }
        Err(SandboxError::Refused(format!(
            "patch {number} holds lines that belong to no hunk: check the counts in its @@ lines, and use one style for \
             all files"
        )))
    }
}

/// Refuses modes other than those of plain files. Such lines stand outside hunks, where every line has a sign before it.
fn check_mode(line: &str, number: usize) -> Result<(), SandboxError> {
    let mode = ["old mode ", "new mode ", "new file mode ", "deleted file mode "]
        .iter()
        .find_map(|key| line.strip_prefix(key))
        .or_else(|| line.strip_prefix("index ")?.split_once("..")?.1.split_once(' ').map(|(_, mode)| mode));
    match mode.map(str::trim) {
        None | Some("100644" | "100755") => Ok(()),
        Some(mode) => Err(SandboxError::Hostile(format!(
            "patch {number} asks for file mode {}: only plain files are taken, no links, modules or special bits",
            shown(mode)
        ))),
    }
}

fn unreadable(place: &str, error: &dyn std::fmt::Display) -> SandboxError {
    let text: String = error.to_string().chars().take(300).collect();
    SandboxError::Refused(format!("{place} cannot be read: {text}"))
}

/// A name without git's `a/` or `b/` before it.
fn without_side(name: &str) -> &str {
    name.strip_prefix("a/").or_else(|| name.strip_prefix("b/")).unwrap_or(name)
}

fn checked(name: &str) -> Result<WorkPath, SandboxError> {
    let path = WorkPath::parse(name)?;
    // A changed or removed configuration file is judged by its name here, and by its text once that is known.
    steering::check(&path, Some(""))?;
    Ok(path)
}

impl FileChange {
    fn new(
        operation: &FileOperation<'_, str>,
        patch: &Patch<'_, str>,
        has_mode: bool,
        place: String,
    ) -> Result<Self, SandboxError> {
        let operation = match operation {
            FileOperation::Create(name) => Operation::Create(checked(without_side(name))?),
            FileOperation::Delete(name) => {
                let path = checked(without_side(name))?;
                steering::check(&path, None)?;
                Operation::Delete(path)
            }
            FileOperation::Modify { original, modified } => {
                // `--- a/x` and `+++ a/x` name a file in a folder `a`.
                let same = original == modified && !original.starts_with("b/");
                let strip = |name| if same { name } else { without_side(name) };
                let (from, to) = (checked(strip(original))?, checked(strip(modified))?);
                if from != to {
                    return Err(SandboxError::Refused(format!(
                        "{place} names two files, {from} and {to}: a rename needs git's `rename from` and `rename to`"
                    )));
                }
                Operation::Modify(to)
            }
            FileOperation::Rename { from, to } => {
                let from = checked(from)?;
                steering::check(&from, None)?;
                Operation::Rename { from, to: checked(to)? }
            }
            FileOperation::Copy { from, to } => Operation::Copy { from: checked(from)?, to: checked(to)? },
        };
        if matches!(operation, Operation::Modify(_)) && patch.hunks().is_empty() && !has_mode {
            return Err(SandboxError::Refused(format!("{place} has no hunks")));
        }
        Ok(Self { operation, place, hunks: patch.hunks().iter().map(Hunk::from_diffy).collect() })
    }

    /// The text after the patch.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] names the hunk that does not fit, or says that the result is larger than `max_bytes`.
    pub(crate) fn apply(&self, original: &str, max_bytes: usize) -> Result<String, SandboxError> {
        let old: Vec<&str> = original.split_inclusive('\n').collect();
        let crlf = old.first().is_some_and(|line| line.ends_with("\r\n"));
        let mut result = Patched::default();
        let mut next = 0;
        for (index, hunk) in self.hunks.iter().enumerate() {
            let misfit =
                |why: String| SandboxError::Refused(format!("{}: hunk {} does not fit: {why}", self.place, index + 1));
            let at = hunk.at.filter(|at| (next..=old.len()).contains(at));
            let at = at.ok_or_else(|| misfit(format!("the file has {} lines", old.len())))?;
            result.keep(old.get(next..at));
            next = at;
            for (side, line) in &hunk.lines {
                if *side == Side::New {
                    result.add(line, crlf);
                    continue;
                }
                let found = old.get(next).copied();
                let Some(same) = found.filter(|found| same_line(found, line)) else {
                    let found = found.map_or_else(|| "the file's end".to_owned(), shown);
                    return Err(misfit(format!("line {} is {found}, not {}", next + 1, shown(line))));
                };
                if *side == Side::Both {
                    result.push(same);
                }
                next += 1;
            }
            self.check_size(&result, max_bytes)?;
        }
        result.keep(old.get(next..));
        self.check_size(&result, max_bytes)?;
        if result.glued {
            return Err(SandboxError::Refused(format!(
                "{}: a line without a line end stands before others",
                self.place
            )));
        }
        Ok(result.text)
    }

    fn check_size(&self, result: &Patched, max_bytes: usize) -> Result<(), SandboxError> {
        if result.text.len() > max_bytes {
            return Err(SandboxError::Refused(format!("{}: the result has more than {max_bytes} bytes", self.place)));
        }
        Ok(())
    }
}

/// A file's text while it is put together.
#[derive(Debug, Default)]
struct Patched {
    text: String,
    /// Whether something came behind a line without an end, so that two lines became one.
    glued: bool,
}

impl Patched {
    fn push(&mut self, line: &str) {
        self.glued |= !self.text.is_empty() && !self.text.ends_with('\n');
        self.text.push_str(line);
    }

    fn keep(&mut self, lines: Option<&[&str]>) {
        lines.unwrap_or_default().iter().for_each(|line| self.push(line));
    }

    /// Adds a new line with the file's own line end.
    fn add(&mut self, line: &str, crlf: bool) {
        match line.strip_suffix('\n') {
            Some(bare) if crlf && !bare.ends_with('\r') => self.push(&format!("{bare}\r\n")),
            _ => self.push(line),
        }
    }
}

impl Hunk {
    fn from_diffy(hunk: &diffy::Hunk<'_, str>) -> Self {
        let range = hunk.old_range();
        // A hunk without old lines stands behind the line that it names, any other starts at it.
        let at = if range.is_empty() { Some(range.start()) } else { range.start().checked_sub(1) };
        let lines = hunk.lines().iter().map(|line| match line {
            Line::Context(text) => (Side::Both, (*text).to_owned()),
            Line::Delete(text) => (Side::Old, (*text).to_owned()),
            Line::Insert(text) => (Side::New, (*text).to_owned()),
        });
        Self { at, lines: lines.collect() }
    }
}

/// Lines are the same when they differ in nothing but CRLF against LF.
fn same_line(file: &str, patch: &str) -> bool {
    let bare = |line| str::strip_suffix(line, "\r\n").or_else(|| str::strip_suffix(line, "\n"));
    file == patch || bare(file).is_some_and(|file| bare(patch) == Some(file))
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
