//! The room that a prompt has besides the task, and what is left out for lack of it.

use aura_core::SourceFile;

/// Bytes that are left, and what did not fit.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    cut: Vec<String>,
    left_out: Vec<String>,
}

impl Room {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { left: bytes, cut: Vec::new(), left_out: Vec::new() }
    }

    pub(super) const fn left(&self) -> usize {
        self.left
    }

    pub(super) const fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Files as they are shown to a model, whole ones first come first served; the first one that does not fit is cut at the end of a
    /// line, and said to be; the others behind it that do not fit are named.
    pub(super) fn files(&mut self, files: &[SourceFile]) -> String {
        let mut text = String::new();
        for file in files {
            let shown = self.file(file);
            text.push_str(&shown);
        }
        if !self.left_out.is_empty() {
            text.push_str(&format!("[Not shown for lack of room: {}]\n\n", self.left_out.join(", ")));
        }
        text
    }

    fn file(&mut self, file: &SourceFile) -> String {
        let SourceFile { path, text } = file;
        let shown = format!("File {path}:\n{}\n\n", fenced(text));
        if shown.len() <= self.left {
            self.take(shown.len());
            return shown;
        }
        let around = shown.len() - text.len() + 60;
        let start = start(text, self.left.saturating_sub(around));
        if start.is_empty() || !self.cut.is_empty() {
            self.left_out.push(path.clone());
            return String::new();
        }
        let note = format!("the first {} of {} bytes", start.len(), text.len());
        let shown = format!("File {path}, cut: {note}:\n{}\n\n", fenced(start));
        self.cut.push(format!("{path} ({note})"));
        self.take(shown.len());
        shown
    }

    /// A text that has no use when it is cut.
    pub(super) fn whole_or_nothing(&mut self, name: &str, text: &str) -> String {
        if text.len() <= self.left {
            self.take(text.len());
            return text.to_owned();
        }
        self.left_out.push(name.to_owned());
        String::new()
    }

    /// What did not fit, in sentences.
    pub(super) fn notes(self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.cut.is_empty() {
            notes.push(format!("cut for lack of room in the prompt: {}", self.cut.join(", ")));
        }
        if !self.left_out.is_empty() {
            notes.push(format!("left out for lack of room in the prompt: {}", self.left_out.join(", ")));
        }
        notes
    }
}

/// The whole lines of `text` that fit into `bytes`.
fn start(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = text.get(..end).unwrap_or_default();
    start.rfind('\n').and_then(|newline| start.get(..=newline)).unwrap_or_default()
}

/// The end of `text`, whole lines only, within `bytes`.
pub(super) fn end(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut begin = text.len() - bytes;
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    let end = text.get(begin..).unwrap_or_default();
    end.split_once('\n').map_or(end, |(_, behind)| behind)
}

/// A text in a fence longer than any in it, so that it cannot end its fence.
pub(super) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let ticks = "`".repeat(longest.max(2) + 1);
    format!("{ticks}\n{}\n{ticks}", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_that_does_not_fit_is_cut_at_a_line_and_the_next_ones_are_named() {
        let long = "x = 1\n".repeat(100);
        let files = [SourceFile::new("a.py", "a\n"), SourceFile::new("b.py", &*long), SourceFile::new("c.py", &*long)];
        let mut room = Room::new(300);
        let text = room.files(&files);
        assert!(text.starts_with("File a.py:\n```\na\n```\n\nFile b.py, cut: the first "), "{text}");
        assert!(text.ends_with("[Not shown for lack of room: c.py]\n\n"), "{text}");
        assert!(!text.contains("x =\n") && text.len() < 400, "{text}");
        let notes = room.notes();
        assert!(notes[0].contains("b.py") && notes[1].contains("c.py"), "{notes:?}");
    }

    #[test]
    fn a_file_cannot_end_the_fence_around_it() {
        assert_eq!(fenced("a ```` b `c`"), "`````\na ```` b `c`\n`````");
    }

    proptest! {
        #[test]
        fn files_never_take_more_room_than_there_is(texts in proptest::collection::vec(".{0,200}", 0..5), room in 0_usize..800) {
            let files: Vec<_> = texts.iter().enumerate().map(|(n, text)| SourceFile::new(format!("{n}"), text)).collect();
            let mut space = Room::new(room);
            let shown = space.files(&files);
            let listed = shown.find("[Not shown").map_or(0, |from| shown.len() - from);
            prop_assert!(shown.len() - listed <= room, "{} of {room}", shown.len() - listed);
        }

        #[test]
        fn ends_and_starts_are_cut_between_characters(text in ".{0,50}\n.{0,50}", bytes in 0_usize..120) {
            prop_assert!(start(&text, bytes).len() <= bytes);
            prop_assert!(end(&text, bytes).len() <= bytes);
        }
    }
}
