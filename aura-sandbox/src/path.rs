//! A path that cannot leave the workspace.

use std::fmt;

use aura_core::SandboxError;

/// A checked relative path: `/` between plain components, nothing that any file system reads as a way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkPath(String);

/// Longest path accepted, in bytes: half of what Linux takes, so that the workspace's own folder fits before it.
const MAX_PATH: usize = 512;
/// Longest component accepted, in bytes: what common file systems take.
const MAX_COMPONENT: usize = 255;
/// Deepest path accepted, in components.
pub(crate) const MAX_DEPTH: usize = 32;

impl WorkPath {
    /// Checks a path.
    ///
    /// A leading `./` is dropped, because models write it and it says nothing.
    ///
    /// # Errors
    /// [`SandboxError::Hostile`] for a path that leaves the workspace or means something else to some system than it
    /// shows; [`SandboxError::Refused`] for an empty or an overlong one.
    pub(crate) fn parse(text: &str) -> Result<Self, SandboxError> {
        let path = text.strip_prefix("./").unwrap_or(text);
        if path.is_empty() {
            return Err(SandboxError::Refused("a file has no path".to_owned()));
        }
        if let Some(reason) = hostile_reason(path) {
            return Err(SandboxError::Hostile(format!("path {} {reason}", shown(text))));
        }
        let depth = path.split('/').count();
        if path.len() > MAX_PATH || depth > MAX_DEPTH || path.split('/').any(|part| part.len() > MAX_COMPONENT) {
            return Err(SandboxError::Refused(format!(
                "path {} is too long: at most {MAX_PATH} bytes, {MAX_COMPONENT} in a component and {MAX_DEPTH} components",
                shown(text)
            )));
        }
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The folders above the file, outermost first, and the file's own name.
    pub(crate) fn split(&self) -> (Vec<&str>, &str) {
        let mut parents: Vec<&str> = self.components().collect();
        let name = parents.pop().unwrap_or_default();
        (parents, name)
    }

    /// Every folder that the path goes through, outermost first.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(end, _)| self.0.get(..end))
    }
}

impl fmt::Display for WorkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path as a message may show it: quoted, escaped and cut.
pub(crate) fn shown(path: &str) -> String {
    let cut: String = path.chars().take(120).collect();
    format!("{cut:?}{}", if cut.len() < path.len() { " (cut)" } else { "" })
}

fn hostile_reason(path: &str) -> Option<&'static str> {
    if path.contains('\0') {
        return Some("contains a NUL");
    }
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if path.contains('\\') {
        return Some("contains a backslash");
    }
    if path.contains(':') {
        return Some("contains a colon (a drive letter or a stream)");
    }
    if path.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Some("contains a control or an invisible character");
    }
    path.split('/').find_map(hostile_component)
}

fn hostile_component(part: &str) -> Option<&'static str> {
    if part.is_empty() {
        return Some("has an empty component");
    }
    if part == ".." {
        return Some("leaves the workspace");
    }
    if part.ends_with('.') || part.ends_with(' ') || part.starts_with(' ') {
        return Some("has a component with a dot or a space at its end, which some systems drop");
    }
    let lower = part.to_ascii_lowercase();
    // `git~1` is the short name that Windows gives to `.git`.
    if lower == ".git" || lower.strip_prefix("git~").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) {
        return Some("reaches into .git");
    }
    None
}

/// Characters without a shape of their own: some file systems ignore them, and people cannot see them.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_leave_or_deceive_are_hostile() {
        let bad = [
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "/etc/passwd",
            "//x",
            "C:/x",
            "c:x",
            "a\\b",
            "..\\x",
            "a\0b",
            "a//b",
            "a/",
            "a.",
            "a./b",
            "a/.",
            "a /b",
            ".git/config",
            "a/.GIT/hooks/x",
            "GIT~1/config",
            "a\nb",
            "a\u{7f}",
            ".g\u{200c}it/config",
            "x\u{202e}yp.py",
            "a/./b",
        ];
        for path in bad {
            assert!(matches!(WorkPath::parse(path), Err(SandboxError::Hostile(_))), "{path:?}");
        }
    }

    #[test]
    fn overlong_and_empty_paths_are_refused_without_blame() {
        for path in ["", "./", &"x".repeat(256), &"a/".repeat(300), &format!("{}x", "a/".repeat(40))] {
            let error = WorkPath::parse(path).unwrap_err();
            let expected = path.ends_with('/') && !path.starts_with("./");
            assert_eq!(matches!(error, SandboxError::Hostile(_)), expected, "{path:?}: {error}");
        }
    }

    #[test]
    fn ordinary_paths_are_taken() {
        for path in ["a.py", "src/lib.rs", ".gitignore", "a b/c-d_e.txt", "ünïcode.py", "...x", "..a"] {
            assert_eq!(WorkPath::parse(path).unwrap().as_str(), path);
        }
        assert_eq!(WorkPath::parse("./a.py").unwrap().as_str(), "a.py");
        let path = WorkPath::parse("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path.split(), (vec!["a", "b"], "c"));
    }

    proptest! {
        #[test]
        fn no_accepted_path_leaves_the_workspace(text in "[a./\\\\: \0~g]{0,12}") {
            if let Ok(path) = WorkPath::parse(&text) {
                for part in path.components() {
                    prop_assert!(!part.is_empty() && part != "." && part != "..");
                }
                prop_assert!(std::path::Path::new(path.as_str()).is_relative());
            }
        }
    }
}
