//! The file that a block of code is meant for, as models say it.

/// A path written into a fence's first line, as in `python src/app.py`, `python:src/app.py` or `python title="a.py"`.
pub(super) fn in_info<'a>(info: &'a str, language: &str) -> Option<&'a str> {
    let rest = info.strip_prefix(language)?.trim_start_matches([' ', ':', ',']);
    let rest = ["title=", "path=", "file=", "filename="].iter().find_map(|key| rest.strip_prefix(key)).unwrap_or(rest);
    let path = rest.trim_matches(['"', '\'', ' ']);
    (path.contains('.') && !path.contains([' ', '{', '='])).then_some(path)
}

/// A path that stands alone in the line before a block, as in `**src/app.py**`, `### File: src/app.py` or `` `src/app.py`: ``.
pub(super) fn in_line_before(line: &str) -> Option<&str> {
    let bare = line.trim().trim_start_matches(['#', '-', '*', ' ']);
    let bare = ["File name:", "Filename:", "File:", "Path:", "file:", "File"]
        .iter()
        .find_map(|word| bare.strip_prefix(word))
        .unwrap_or(bare);
    is_path(bare.trim_matches(['*', '`', ':', ' ', '"']))
}

/// A path that stands alone in a comment in the first line of a block, as in `# src/app.py`.
pub(super) fn in_first_line(code: &str) -> Option<&str> {
    let line = code.lines().next()?.trim();
    let comment = ["#", "//", "--", ";"].iter().find_map(|mark| line.strip_prefix(mark))?.trim();
    is_path(
        ["filename:", "file:", "File:", "path:"]
            .iter()
            .find_map(|word| comment.strip_prefix(word))
            .unwrap_or(comment)
            .trim(),
    )
}

/// A relative path with an ending, of characters that paths of code have.
fn is_path(text: &str) -> Option<&str> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let ending = text.rsplit('/').next()?.rsplit_once('.')?;
    let has_ending = !ending.0.is_empty()
        && (1..=5).contains(&ending.1.len())
        && ending.1.starts_with(|c: char| c.is_ascii_alphabetic());
    (text.chars().all(is_fit) && has_ending && !text.starts_with('/')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_alone_in_a_line_names_the_block() {
        for line in ["**src/app.py**", "### File: src/app.py", "`src/app.py`:", "src/app.py", "- File `src/app.py`"] {
            assert_eq!(in_line_before(line), Some("src/app.py"), "{line}");
        }
        for line in ["Here is app.py as you asked:", "e.g.", "Version 1.2", "/etc/passwd.txt", "", "See: a.b c.d"] {
            assert_eq!(in_line_before(line), None, "{line}");
        }
    }

    #[test]
    fn a_path_alone_in_the_first_comment_names_the_block() {
        assert_eq!(in_first_line("# src/app.py\nx = 1\n"), Some("src/app.py"));
        assert_eq!(in_first_line("// file: src/lib.rs\n"), Some("src/lib.rs"));
        assert_eq!(in_first_line("# adds 1.5 to x\n"), None);
        assert_eq!(in_first_line("x = 1 # a.py\n"), None);
    }
}
