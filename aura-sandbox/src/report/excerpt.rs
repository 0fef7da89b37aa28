//! Cuts text that code under test printed to a bound, and takes out what a log, a terminal or a database cannot hold.

/// Longest test name kept, in bytes.
pub(crate) const MAX_ID: usize = 512;
/// Longest test message kept, in bytes.
pub(crate) const MAX_MESSAGE: usize = 2 << 10;

/// Text with every control character but tabs and line ends made visible as `U+FFFD`, and with plain line ends.
fn printable(text: &str) -> String {
    let plain = text.replace("\r\n", "\n").replace('\r', "\n");
    plain
        .chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// The beginning of a text, printable and at most `max` bytes long.
pub(crate) fn head(text: &str, max: usize) -> String {
    let text = printable(text.trim());
    match text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= max).last() {
        Some(end) if end < text.len() => text.get(..end).unwrap_or_default().to_owned(),
        Some(_) => text,
        None => String::new(),
    }
}

/// The end of a text, printable and at most `max` bytes long.
pub(crate) fn tail(bytes: &[u8], max: usize) -> String {
    let text = printable(&String::from_utf8_lossy(bytes));
    let from = text.char_indices().map(|(at, _)| at).find(|at| text.len() - at <= max).unwrap_or(text.len());
    text.get(from..).unwrap_or_default().to_owned()
}

/// The end of what was printed, and what this sandbox has to say: last, where a cut keeps it. Both in at most `max` bytes.
pub(crate) fn with_notes(printed: &[u8], max: usize, notes: &[&str]) -> String {
    let notes: Vec<String> =
        notes.iter().filter(|note| !note.is_empty()).map(|note| format!("[aura: {note}]")).collect();
    let notes = head(&notes.join("\n"), max);
    let between = if printed.is_empty() || notes.is_empty() { "" } else { "\n" };
    let room = max.saturating_sub(notes.len() + between.len());
    format!("{}{between}{notes}", tail(printed, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character_or_passes_its_bound() {
        assert_eq!(head("añb", 2), "a");
        assert_eq!(head("abc", 3), "abc");
        assert_eq!(tail("añb".as_bytes(), 2), "b");
        assert_eq!(tail(b"abc", 3), "abc");
        assert_eq!(tail(b"abc", 0), "");
        assert_eq!(tail(&[0xff; 8], 5).len(), 3);
    }

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(printable("a\0b\u{1b}[31m\r\n\tc\rd"), "a\u{fffd}b\u{fffd}[31m\n\tc\nd");
    }
}
