//! Unified diffs as models write them, made into what their authors must have meant: wrong line numbers and counts, context lines that
//! lost their blanks. A hunk is moved only where its lines stand at exactly one place. Whatever is changed is said.

use crate::prd::SourceFile;

/// A diff after mending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The diff; as it was when there was nothing to mend, or no way to.
    pub patch: String,
    /// What was changed, in sentences.
    pub notes: Vec<String>,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// ` `, `-`, `+`, or `\` for a remark on the line before.
    sign: char,
    text: String,
}

#[derive(Debug)]
struct Hunk {
    /// The first line it names in the old file; absent when it names none.
    old_start: Option<usize>,
    /// What follows the second `@@`.
    heading: String,
    lines: Vec<Line>,
    /// Its header, as it came.
    header: String,
}

impl Hunk {
    fn count(&self, signs: [char; 2]) -> usize {
        self.lines.iter().filter(|line| signs.contains(&line.sign)).count()
    }

    /// Its lines in the old file.
    fn old(&self) -> Vec<&str> {
        self.lines.iter().filter(|line| line.sign != '+' && line.sign != '\\').map(|line| line.text.as_str()).collect()
    }
}

/// Mends a diff against the files that it changes, as far as they are known.
///
/// # Examples
/// ```
/// use aura_core::{SourceFile, generation::mend};
/// let file = SourceFile::new("a.py", "x = 1\ny = 2\n");
/// let mended = mend("--- a/a.py\n+++ b/a.py\n@@ -7,9 +7,9 @@\n-y = 2\n+y = 3\n", &[file]);
/// assert_eq!(mended.patch, "--- a/a.py\n+++ b/a.py\n@@ -2,1 +2,1 @@\n-y = 2\n+y = 3\n");
/// assert_eq!(mended.notes, ["a.py: a hunk was moved from line 7 to line 2", "a.py: the counts of a hunk were corrected"]);
/// ```
#[must_use]
pub fn mend(patch: &str, files: &[SourceFile]) -> Mended {
    let mut out = String::with_capacity(patch.len());
    let mut notes = Vec::new();
    let mut lines = patch.lines().peekable();
    let mut path = String::new();
    let mut delta: isize = 0;
    while let Some(line) = lines.next() {
        if line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ ")) {
            let next = lines.next().unwrap_or_default();
            path = path_of(line, next);
            delta = 0;
            out.push_str(&format!("{line}\n{next}\n"));
        } else if line.starts_with("@@") {
            let mut hunk = Hunk::begin(line);
            while let Some(line) = lines.peek() {
                match Line::read(line, &path, &mut notes) {
                    // A removed line may look like a header: it is one only as a pair.
                    Some(read) if !(line.starts_with("--- ") && is_header_pair(&mut lines.clone())) => {
                        hunk.lines.push(read)
                    }
                    _ => break,
                }
                lines.next();
            }
            let file = files.iter().find(|file| file.path == path);
            hunk.trim(file);
            out.push_str(&hunk.finish(file, &path, &mut delta, &mut notes));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if notes.is_empty() { Mended { patch: patch.to_owned(), notes } } else { Mended { patch: out, notes } }
}

fn is_header_pair<'a>(lines: &mut impl Iterator<Item = &'a str>) -> bool {
    lines.next().is_some_and(|line| line.starts_with("--- "))
        && lines.next().is_some_and(|line| line.starts_with("+++ "))
}

/// The path that a pair of headers is about, without the side's letter.
fn path_of(old: &str, new: &str) -> String {
    let name = |line: &str| line.get(4..).unwrap_or_default().split('\t').next().unwrap_or_default().trim().to_owned();
    let (old, new) = (name(old), name(new));
    let name = if new == "/dev/null" { old } else { new };
    ["a/", "b/"].iter().find_map(|side| name.strip_prefix(side)).unwrap_or(&name).to_owned()
}

impl Line {
    fn read(line: &str, path: &str, notes: &mut Vec<String>) -> Option<Self> {
        let mut characters = line.chars();
        match characters.next() {
            Some(sign @ (' ' | '-' | '+' | '\\')) => Some(Self { sign, text: characters.as_str().to_owned() }),
            // Editors and models strip the blank that stands for an empty line.
            None => {
                note(notes, format!("{path}: an empty line within a hunk was taken as an empty line of the file"));
                Some(Self { sign: ' ', text: String::new() })
            }
            Some(_) => None,
        }
    }
}

impl Hunk {
    fn begin(header: &str) -> Self {
        let (ranges, heading) = header.strip_prefix("@@").unwrap_or_default().split_once("@@").unwrap_or_default();
        let old = ranges.split_whitespace().find_map(|range| range.strip_prefix('-'));
        let old_start = old.and_then(|range| range.split(',').next()?.parse().ok());
        Self { old_start, heading: heading.to_owned(), lines: Vec::new(), header: header.to_owned() }
    }

    /// Empty lines behind a hunk belong to what follows it, unless the file has them there.
    fn trim(&mut self, file: Option<&SourceFile>) {
        let is_blank = |line: &Line| line.sign == ' ' && line.text.is_empty();
        // Where there are more lines than the file has, nobody has to look: an answer may end in any number of empty lines.
        let most = file.map_or(0, |file| file.text.lines().count());
        let mut old = self.old().len();
        while self.lines.last().is_some_and(is_blank) && (old > most || self.place(file).is_none()) {
            self.lines.pop();
            old -= 1;
        }
    }

    /// Where its old lines stand in the file, counted from 1: at the named line, or at the only place there is.
    fn place(&self, file: Option<&SourceFile>) -> Option<usize> {
        let all: Vec<&str> = file?.text.lines().collect();
        let old = self.old();
        let same = |a: &str, b: &str| a.trim_end() == b.trim_end();
        let fits = |at: usize| {
            // A model may write any number.
            let there = at.checked_add(old.len()).and_then(|end| all.get(at..end));
            there.is_some_and(|lines| lines.iter().zip(&old).all(|(a, b)| same(a, b)))
        };
        if let Some(named) = self.old_start.and_then(|start| start.checked_sub(1)).filter(|at| fits(*at)) {
            return Some(named + 1);
        }
        if old.is_empty() {
            return None;
        }
        let mut places = (0..all.len()).filter(|at| fits(*at));
        let first = places.next()?;
        places.next().is_none().then_some(first + 1)
    }

    /// The hunk as text. `delta`: by how much the hunks before it moved what follows.
    fn finish(mut self, file: Option<&SourceFile>, path: &str, delta: &mut isize, notes: &mut Vec<String>) -> String {
        let place = self.place(file);
        if let (Some(place), Some(file)) = (place, file) {
            self.take_blanks_from(file, place, path, notes);
            match self.old_start {
                Some(named) if named != place => {
                    note(notes, format!("{path}: a hunk was moved from line {named} to line {place}"));
                }
                None => note(notes, format!("{path}: a hunk without line numbers was put at line {place}")),
                Some(_) => {}
            }
        }
        let (old, new) = (self.count([' ', '-']), self.count([' ', '+']));
        let Some(old_start) = place.or(self.old_start) else {
            // Nobody knows where it belongs; whoever applies it will say so.
            let lines: String = self.lines.iter().map(|line| format!("{}{}\n", line.sign, line.text)).collect();
            return format!("{}\n{lines}", self.header);
        };
        // With no old lines, the number is that of the line before.
        let base = if old == 0 { old_start.saturating_add(1) } else { old_start };
        let new_start = base.saturating_add_signed(*delta).saturating_sub(usize::from(new == 0));
        *delta += new.cast_signed() - old.cast_signed();
        let header = format!("@@ -{old_start},{old} +{new_start},{new} @@{}", self.heading);
        let counts = |header: &str| {
            let ranges = header.split("@@").nth(1).unwrap_or_default().split_whitespace();
            ranges.map(|range| range.split_once(',').map_or("1", |(_, count)| count).to_owned()).collect::<Vec<_>>()
        };
        // A header that says the same in another way stays as it is.
        let is_the_same = place == self.old_start || (place.is_none() && self.old_start.is_some());
        let header = if is_the_same && counts(&self.header) == counts(&header) {
            self.header.clone()
        } else {
            if counts(&self.header) != counts(&header) {
                note(notes, format!("{path}: the counts of a hunk were corrected"));
            }
            header
        };
        let lines: String = self.lines.iter().map(|line| format!("{}{}\n", line.sign, line.text)).collect();
        format!("{header}\n{lines}")
    }

    /// Lines that differ from the file in the blanks at their ends alone are written as the file has them.
    fn take_blanks_from(&mut self, file: &SourceFile, place: usize, path: &str, notes: &mut Vec<String>) {
        let mut there = file.text.lines().skip(place - 1);
        for line in self.lines.iter_mut().filter(|line| matches!(line.sign, ' ' | '-')) {
            if let Some(text) = there.next().filter(|text| *text != line.text) {
                text.clone_into(&mut line.text);
                note(notes, format!("{path}: blanks at the ends of lines were taken as the file has them"));
            }
        }
    }
}

/// Each sentence once.
fn note(notes: &mut Vec<String>, text: String) {
    if !notes.contains(&text) {
        notes.push(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "def a():\n    return 1\n\n\ndef b():\n    return 2\n\n\ndef c():\n    return 3\n";

    fn mended(hunks: &str) -> Mended {
        mend(&format!("--- a/x.py\n+++ b/x.py\n{hunks}"), &[SourceFile::new("x.py", FILE)])
    }

    fn hunks(mended: &Mended) -> &str {
        mended.patch.strip_prefix("--- a/x.py\n+++ b/x.py\n").unwrap()
    }

    #[test]
    fn a_good_diff_stays_as_it_is_to_the_letter() {
        for good in [
            "@@ -5,2 +5,2 @@ def b\n def b():\n-    return 2\n+    return 22\n",
            "@@ -2 +2 @@\n-    return 1\n+    return 11\n",
            "@@ -0,0 +1 @@\n+x\n",
        ] {
            let mended = mended(good);
            assert_eq!((hunks(&mended), mended.notes.as_slice()), (good, [].as_slice()));
        }
    }

    #[test]
    fn wrong_numbers_and_counts_are_corrected_and_said() {
        let mended = mended(
            "@@ -1,7 +1,9 @@\n def b():\n-    return 2\n+    return 22\n+    # more\n@@ @@\n def c():\n-    return 3\n",
        );
        let expected = "@@ -5,2 +5,3 @@\n def b():\n-    return 2\n+    return 22\n+    # more\n@@ -9,2 +10,1 @@\n def c():\n-    return 3\n";
        assert_eq!(hunks(&mended), expected);
        assert_eq!(mended.notes.len(), 3, "{:?}", mended.notes);
    }

    #[test]
    fn a_hunk_that_fits_in_several_places_or_in_none_is_not_moved() {
        for hunk in ["@@ -20,1 +20,1 @@\n-\n+x\n", "@@ -20,1 +20,1 @@\n-nothing like it\n+x\n"] {
            assert_eq!(hunks(&mended(hunk)), hunk);
        }
        let hunk = "@@ @@\n-nothing like it\n+x\n";
        assert_eq!(hunks(&mended(hunk)), hunk);
    }

    #[test]
    fn a_line_number_beyond_every_file_is_a_wrong_one() {
        let mended = mended("@@ -18446744073709551615,2 +1,2 @@\n def b():\n-    return 2\n+    return 22\n");
        assert_eq!(hunks(&mended), "@@ -5,2 +5,2 @@\n def b():\n-    return 2\n+    return 22\n");
    }

    /// Looked for in the file at each length, they would take minutes.
    #[test]
    fn an_answer_that_ends_in_many_empty_lines_is_mended_at_once() {
        let many = "\n".repeat(100_000);
        let mended = mended(&format!("@@ -1,2 +1,2 @@\n def b():\n-    return 2\n+    return 22\n{many}"));
        assert!(hunks(&mended).starts_with("@@ -5,4 +5,4 @@\n def b():\n"), "{}", mended.patch);
    }

    #[test]
    fn blanks_that_were_lost_are_found_again() {
        let file = SourceFile::new("x.py", "a  \n\nb\n");
        let mended = mend("--- x.py\n+++ x.py\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", &[file]);
        assert_eq!(mended.patch, "--- x.py\n+++ x.py\n@@ -1,3 +1,3 @@\n a  \n \n-b\n+c\n");
        assert_eq!(mended.notes.len(), 2, "{:?}", mended.notes);
    }

    #[test]
    fn removed_lines_that_look_like_headers_stay_lines() {
        let file = SourceFile::new("x.sql", "-- one\n-- two\n");
        let patch = "--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1,1 @@\n--- one\n -- two\n";
        assert_eq!(mend(patch, &[file]).notes, [""; 0]);
    }

    #[test]
    fn several_files_are_mended_each_by_itself() {
        let files = [SourceFile::new("a", "1\n2\n"), SourceFile::new("b", "1\n2\n")];
        let patch = "--- a/a\n+++ b/a\n@@ -9 +9 @@\n-2\n+3\n\n--- a/b\n+++ b/b\n@@ -9 +9 @@\n-1\n+3\n";
        let mended = mend(patch, &files);
        assert_eq!(
            mended.patch,
            "--- a/a\n+++ b/a\n@@ -2,1 +2,1 @@\n-2\n+3\n--- a/b\n+++ b/b\n@@ -1,1 +1,1 @@\n-1\n+3\n"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(patch in "([ +@\\\\-]{0,3}[a-z0-9, ]{0,8}\n){0,20}", file in "([a-z ]{0,3}\n){0,8}") {
            let _ = mend(&format!("--- a/x\n+++ b/x\n{patch}"), &[SourceFile::new("x", file)]);
        }
    }
}
