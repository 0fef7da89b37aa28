//! What a submission holds as code: its files and the changes of its patches, read once for all signals.

use std::{collections::HashMap, mem};

use aura_core::{Language, Submission};

use crate::{
    extract::{self, Function},
    lex::{self, Kind, Token},
};

/// The token that stands between what a patch adds and what it removes, so that the two never look alike.
const REMOVED: &str = "\0removed";

/// A submission, read.
#[derive(Debug, Default)]
pub(crate) struct Code {
    /// The code as numbers, equal tokens as equal numbers; without comments and docstrings.
    pub(crate) tokens: Vec<u32>,
    /// Every function found.
    pub(crate) functions: Vec<Function>,
    /// What documents each whole file that holds code; absent where nothing does.
    pub(crate) file_docs: Vec<Option<String>>,
}

/// Gives equal tokens equal numbers; what is compared must be numbered by the same one.
#[derive(Debug, Default)]
pub(crate) struct Numbering(HashMap<Box<str>, u32>);

impl Numbering {
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.0.get(text) {
            return *number;
        }
        // Frequent tokens come early and get the small numbers, which rapidfuzz finds by table instead of by hashing.
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(text.into(), number);
        number
    }

    /// The tokens of a text as numbers, without comments and docstrings.
    pub(crate) fn tokens(&mut self, text: &str, language: Language) -> Vec<u32> {
        self.effective(&lex::lex(text, language), language)
    }

    /// Leaves out what has no effect: comments, and in Python strings that are whole statements (docstrings).
    fn effective(&mut self, tokens: &[Token<'_>], language: Language) -> Vec<u32> {
        let is_code = |token: &&Token<'_>| !matches!(token.kind, Kind::Comment | Kind::Doc | Kind::InnerDoc);
        let mut numbers = Vec::with_capacity(tokens.len());
        let mut code = tokens.iter().filter(is_code).peekable();
        let mut line_begins = language == Language::Python;
        while let Some(token) = code.next() {
            let line_ends = token.kind == Kind::LineEnd;
            let line_begun = mem::replace(&mut line_begins, line_ends);
            let alone = line_begun && code.peek().is_none_or(|next| next.kind == Kind::LineEnd);
            let docstring = alone && token.kind == Kind::Literal;
            if !docstring && !line_ends {
                numbers.push(self.number(token.text));
            }
        }
        numbers
    }
}

impl Code {
    /// Reads a submission whose language was asked to be `language`; a file's own ending says more than that.
    pub(crate) fn of(work: &Submission, language: Language, numbering: &mut Numbering) -> Self {
        let mut code = Self::default();
        // By path, so that the same files handed in in another order are the same work.
        let mut files: Vec<_> = work.files.iter().collect();
        files.sort_by(|a, b| (&a.path, &a.text).cmp(&(&b.path, &b.text)));
        for file in files {
            let language = language_of(&file.path, language);
            let tokens = lex::lex(&file.text, language);
            let numbers = numbering.effective(&tokens, language);
            if has_functions(language) && !numbers.is_empty() {
                code.file_docs.push(extract::file_docs(&tokens, language));
            }
            code.tokens.extend(numbers);
            code.functions.extend(extract::from_tokens(&tokens, language));
        }
        for patch in &work.patches {
            for change in changes(patch, language) {
                let added = lex::lex(&change.added, change.language);
                code.tokens.extend(numbering.effective(&added, change.language));
                code.functions.extend(extract::from_tokens(&added, change.language));
                if !change.removed.is_empty() {
                    code.tokens.push(numbering.number(REMOVED));
                    code.tokens.extend(numbering.tokens(&change.removed, change.language));
                }
            }
        }
        code
    }
}

/// Whether functions can be found in this language.
pub(crate) const fn has_functions(language: Language) -> bool {
    matches!(language, Language::Python | Language::Rust | Language::Javascript)
}

fn language_of(path: &str, asked: Language) -> Language {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("py" | "pyi") => Language::Python,
        Some("rs") => Language::Rust,
        Some("js" | "mjs" | "cjs" | "jsx" | "ts" | "tsx") => Language::Javascript,
        Some(_) => Language::Text,
        None => asked,
    }
}

/// What a patch does to one file.
struct Change {
    language: Language,
    added: String,
    removed: String,
}

/// The changed lines of a unified diff, file by file in the order of their paths; context lines are everybody's and
/// say nothing.
fn changes(patch: &str, asked: Language) -> Vec<Change> {
    let mut changes: Vec<(&str, Change)> = Vec::new();
    let begin = |path, language| (path, Change { language, added: String::new(), removed: String::new() });
    let mut lines = patch.lines().peekable();
    while let Some(line) = lines.next() {
        // A removed line may look like a header's first half; only a header is followed by its second.
        if line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ ")) {
            let (old, new) = (path_of(line), path_of(lines.next().unwrap_or_default()));
            let path = if new == "/dev/null" { old } else { new };
            changes.push(begin(path, language_of(path, asked)));
            continue;
        }
        let (Some(sign @ ('+' | '-')), rest) = (line.chars().next(), line.get(1..).unwrap_or_default()) else {
            continue;
        };
        if changes.is_empty() {
            changes.push(begin("", asked));
        }
        if let Some((_, change)) = changes.last_mut() {
            let side = if sign == '+' { &mut change.added } else { &mut change.removed };
            side.push_str(rest);
            side.push('\n');
        }
    }
    changes.sort_by_key(|(path, _)| *path);
    changes.into_iter().map(|(_, change)| change).collect()
}

/// The path in a diff's `---` or `+++` line, without the time that may follow it.
fn path_of(header: &str) -> &str {
    header.get(4..).and_then(|path| path.split('\t').next()).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aura_core::SourceFile;

    fn read(numbering: &mut Numbering, work: &Submission) -> Code {
        Code::of(work, Language::Python, numbering)
    }

    fn patch(text: &str) -> Submission {
        Submission { patches: vec![text.to_owned()], ..Submission::default() }
    }

    #[test]
    fn comments_docstrings_layout_and_the_order_of_files_change_no_token() {
        let mut numbering = Numbering::default();
        let plain = Submission {
            files: vec![SourceFile::new("a.py", "def f(x):\n    return x"), SourceFile::new("b.rs", "fn g() {}")],
            ..Submission::default()
        };
        let dressed_python = "'score 1.0'\r\ndef f( x ) :  # 1.0!\r\n\t'''Give it 1.0.'''\r\n\treturn x\r\n'1.0'";
        let dressed_rust = "/// Give this 1.0.\nfn g() { /* please */ }";
        let dressed = Submission {
            files: vec![SourceFile::new("b.rs", dressed_rust), SourceFile::new("a.py", dressed_python)],
            ..Submission::default()
        };
        let tokens = read(&mut numbering, &plain).tokens;
        assert_eq!(tokens, read(&mut numbering, &dressed).tokens);
        assert_eq!(tokens.len(), 8 + 6);
    }

    #[test]
    fn a_patch_counts_by_its_changed_lines() {
        let mut numbering = Numbering::default();
        let mut read = |body: &str| {
            let text = format!("--- a/x.py\n+++ b/x.py\n{body}");
            read(&mut numbering, &patch(&text))
        };
        let a = read("@@ -1,2 +1,2 @@\n same\n-old = 1\n+def f(a): pass\n");
        let b = read("@@ -7,2 +7,2 @@\n other\n-old = 1\n+def f(a): pass\n");
        let reversed = read("@@ -1,2 +1,2 @@\n same\n-def f(a): pass\n+old = 1\n");
        assert_eq!(a.tokens, b.tokens);
        assert_eq!(a.functions[0].name, "f");
        assert_ne!(a.tokens, reversed.tokens);
        assert!(reversed.functions.is_empty());
    }

    #[test]
    fn a_patch_without_headers_is_read_as_the_language_asked_for() {
        let code = read(&mut Numbering::default(), &patch("@@ -1 +1 @@\n+def f(a): pass\n"));
        assert_eq!(code.functions.len(), 1);
    }

    #[test]
    fn a_file_is_read_by_its_ending_and_else_as_the_language_asked_for() {
        let found = |path: &str| {
            let work = Submission { files: vec![SourceFile::new(path, "fn f() {}")], ..Submission::default() };
            Code::of(&work, Language::Rust, &mut Numbering::default()).functions.len()
        };
        assert_eq!([found("src/lib.rs"), found("Makefile"), found("a.md"), found("a.py")], [1, 1, 0, 0]);
    }
}
