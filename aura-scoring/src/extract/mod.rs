//! Finds the functions in source text: name, parameters and documentation.
//!
//! It reads tokens, not grammar: quick, linear in the text's length and at ease with broken code, at the price of
//! what only a parser could tell (functions made by macros, or bound to a name at run time, are not seen).

use aura_core::Language;

use crate::lex::{Kind, Token, lex};

mod javascript;
mod python;
mod rust;

/// Most tokens read of one function's head. The bound keeps the pass linear where every head is left open.
const MAX_HEAD: usize = 256;

/// A function with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, without the type or class around it.
    pub name: String,
    /// Its parameters' names, without the receiver (`self`, `cls`); a pattern gives its first name.
    pub parameters: Vec<String>,
    /// Its docstring or doc comment, without the comment marks; absent when there is none.
    pub docs: Option<String>,
}

/// The functions of a text in the order they are written, methods and nested ones included; none for
/// [`Language::Text`].
///
/// # Examples
/// ```
/// use aura_core::Language;
/// use aura_scoring::extract::functions;
/// let found = functions("def add(a, b=1):\n    \"\"\"Adds them.\"\"\"\n    return a + b\n", Language::Python);
/// assert_eq!(found[0].name, "add");
/// assert_eq!(found[0].parameters, ["a", "b"]);
/// assert_eq!(found[0].docs.as_deref(), Some("Adds them."));
/// ```
#[must_use]
pub fn functions(text: &str, language: Language) -> Vec<Function> {
    from_tokens(&lex(text, language), language)
}

pub(crate) fn from_tokens(tokens: &[Token<'_>], language: Language) -> Vec<Function> {
    match language {
        Language::Python => python::functions(tokens),
        Language::Rust => rust::functions(tokens),
        Language::Javascript => javascript::functions(tokens),
        _ => Vec::new(),
    }
}

/// What documents a file as a whole: a module docstring, `//!` lines, or an opening `/** … */`.
pub(crate) fn file_docs(tokens: &[Token<'_>], language: Language) -> Option<String> {
    let first = || tokens.iter().find(|token| !matches!(token.kind, Kind::Comment | Kind::LineEnd));
    match language {
        Language::Python => {
            first().filter(|token| token.kind == Kind::Literal).map(|token| python::docstring(token.text))
        }
        Language::Rust => {
            let inner = tokens.iter().filter(|token| token.kind == Kind::InnerDoc).map(|token| token.text);
            doc_text(inner)
        }
        Language::Javascript => doc_text(first().filter(|token| token.kind == Kind::Doc).map(|token| token.text)),
        _ => None,
    }
}

/// A list in brackets, cut at its commas.
struct List<'t, 'a> {
    pieces: Vec<&'t [Token<'a>]>,
    /// How many tokens it takes up, brackets included.
    length: usize,
}

/// The list that opens at the first of `tokens`. `angles` says whether `<` and `>` are brackets too. A list that does
/// not close within [`MAX_HEAD`] tokens ends there.
fn list<'t, 'a>(tokens: &'t [Token<'a>], angles: bool) -> List<'t, 'a> {
    let mut pieces = Vec::new();
    let mut depth = 0_usize;
    let mut start = 1;
    let mut before = "";
    let mut length = tokens.len().min(MAX_HEAD);
    let mut end = length;
    for (at, token) in tokens.iter().enumerate().take(MAX_HEAD) {
        if token.kind == Kind::Punct {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "<" if angles => depth += 1,
                // The `>` of an arrow closes nothing.
                ">" if angles && !matches!(before, "-" | "=") => depth = depth.saturating_sub(1),
                "," if depth == 1 => {
                    pieces.push(tokens.get(start..at).unwrap_or_default());
                    start = at + 1;
                }
                _ => {}
            }
        }
        before = token.text;
        if depth == 0 {
            length = at + 1;
            end = at;
            break;
        }
    }
    pieces.push(tokens.get(start..end).unwrap_or_default());
    List { pieces, length }
}

/// The first name in each piece that has one, apart from the words to be passed over.
fn first_names(pieces: &[&[Token<'_>]], passed_over: &[&str]) -> Vec<String> {
    let name = |piece: &&[Token<'_>]| {
        piece
            .iter()
            .find(|token| {
                token.kind == Kind::Word && !token.text.starts_with('\'') && !passed_over.contains(&token.text)
            })
            .map(|token| token.text.to_owned())
    };
    pieces.iter().filter_map(name).collect()
}

/// Doc comments as text: comment marks taken off line by line, and none left when nothing else is in them.
fn doc_text<'a>(comments: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mark = |c: char| c.is_whitespace() || matches!(c, '/' | '*' | '!');
    let mut text = String::new();
    for line in comments.into_iter().flat_map(str::lines).map(|line| line.trim_matches(mark)) {
        if !line.is_empty() {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(line);
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use proptest::prelude::*;

    const ALL: [Language; 4] = [Language::Python, Language::Rust, Language::Javascript, Language::Text];

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,200}") {
            for language in ALL {
                prop_assert!(functions(&text, language).len() <= text.len());
            }
        }

        #[test]
        fn no_mixture_of_code_makes_it_panic(words in proptest::collection::vec(
            prop::sample::select(vec![
                "def ", "fn ", "function ", "f", "(", ")", "<", ">", "[", "]", "{", "}", ",", ":", "=", "=>", "->", "\"",
                "'", "'''", "`", "/", "//", "/*", "*/", "/**", "///", "#", "r#\"", "\\", "\n", "async ", "const ", "self",
                "${", "é", "*", "class ", "pub ", "'a",
            ]), 0..60)) {
            for language in ALL {
                prop_assert!(functions(&words.concat(), language).len() <= words.len());
            }
        }
    }

    /// A generous bound for a debug build on a busy machine: quadratic time would need minutes.
    #[test]
    fn a_line_of_a_quarter_megabyte_is_read_in_linear_time() {
        let unit_of_each_kind = [
            "x",
            "(",
            "[",
            "def f(",
            "fn f(",
            "fn f<",
            "function f(",
            "f(",
            "{f(",
            "f=(",
            "f=a=>",
            "'",
            "\"",
            "`",
            "`${",
            "'''",
            "/",
            "=/[",
            "/*",
            "/**/",
            "r#",
            "r#\"",
            "#",
            "\\",
            "<",
            "a,",
            "/** d */",
            "é",
            "const a=async ",
        ];
        for unit in unit_of_each_kind {
            let text = unit.repeat((1 << 18) / unit.len());
            for language in ALL {
                let started = Instant::now();
                let found = functions(&text, language).len();
                let took = started.elapsed();
                assert!(took < Duration::from_secs(10), "{unit:?} in {language:?} took {took:?}, {found} functions");
            }
        }
    }
}
