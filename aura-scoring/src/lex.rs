//! Cuts source text into tokens, in one pass over its bytes and for any input.
//!
//! Whitespace is dropped, so line ends of every kind compare equal. What looks broken (a string never closed) becomes
//! a token that runs to the end of its line or of the text; nothing is refused.

use aura_core::Language;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword; in Rust a lifetime too.
    Word,
    /// A number.
    Number,
    /// A string or character literal, with its quotes and prefix; in JavaScript a template or a regular expression too.
    Literal,
    /// A comment that documents nothing.
    Comment,
    /// A comment that documents what follows: `///`, `/** … */`.
    Doc,
    /// A comment that documents the file around it: `//!`, `/*! … */`.
    InnerDoc,
    /// Any other character.
    Punct,
    /// The end of a line outside brackets; only in Python, where it ends a statement.
    LineEnd,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
}

impl Token<'_> {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Word | Kind::Punct)
    }
}

/// Longest regular expression literal recognised, in bytes. The bound keeps the pass linear where every `/` could
/// begin one.
const MAX_REGEX: usize = 512;

/// The tokens of a text.
pub(crate) fn lex(text: &str, language: Language) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, language, depth: 0, tokens: Vec::new() };
    while lexer.at < lexer.bytes.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    language: Language,
    /// Open brackets; kept for Python, where a line end inside them ends nothing.
    depth: u32,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    /// The byte at a distance from here; 0 past the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind, end: usize) {
        let end = end.min(self.bytes.len());
        // Every token ends beside an ASCII byte or at the end, so the cut never falls inside a character.
        let text = self.text.get(self.at..end).unwrap_or_default();
        self.tokens.push(Token { kind, text });
        self.at = end;
    }

    fn step(&mut self) {
        let byte = self.peek(0);
        match byte {
            b'\n' | b'\r' => {
                let ends = self.language == Language::Python
                    && self.depth == 0
                    && self.tokens.last().is_some_and(|last| last.kind != Kind::LineEnd);
                if ends {
                    self.tokens.push(Token { kind: Kind::LineEnd, text: "\n" });
                }
                self.at += 1;
            }
            b'\\' if self.language == Language::Python && matches!(self.peek(1), b'\n' | b'\r') => self.at += 2,
            _ if byte.is_ascii_whitespace() || byte == 0x0b => self.at += 1,
            _ if byte.is_ascii_digit() => self.number(),
            _ if is_word(byte) => self.word(),
            _ => match self.language {
                Language::Python => self.python(byte),
                Language::Rust => self.rust(byte),
                Language::Javascript => self.javascript(byte),
                _ => self.punct(byte),
            },
        }
    }

    fn punct(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.push(Kind::Punct, self.at + 1);
    }

    fn number(&mut self) {
        let mut end = self.at + 1;
        while let Some(&byte) = self.bytes.get(end) {
            let point = byte == b'.' && self.bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
            if !is_word(byte) && !point {
                break;
            }
            end += 1;
        }
        self.push(Kind::Number, end);
    }

    fn word(&mut self) {
        let length = self.rest().iter().take_while(|byte| is_word(**byte)).count();
        let word = self.text.get(self.at..self.at + length).unwrap_or_default();
        let quote = self.peek(length);
        match self.language {
            Language::Python if matches!(quote, b'"' | b'\'') && is_python_prefix(word) => self.python_string(length),
            Language::Rust if quote == b'"' && matches!(word, "b" | "c") => self.string(length),
            Language::Rust if quote == b'\'' && word == "b" => self.string(length),
            Language::Rust if matches!(quote, b'"' | b'#') && matches!(word, "r" | "br" | "cr") => self.raw(length),
            _ => self.push(Kind::Word, self.at + length),
        }
    }

    fn python(&mut self, byte: u8) {
        match byte {
            b'#' => self.line_comment(Kind::Comment),
            b'"' | b'\'' => self.python_string(0),
            _ => self.punct(byte),
        }
    }

    fn rust(&mut self, byte: u8) {
        match (byte, self.peek(1), self.peek(2), self.peek(3)) {
            (b'/', b'/', b'/', fourth) if fourth != b'/' => self.line_comment(Kind::Doc),
            (b'/', b'/', b'!', _) => self.line_comment(Kind::InnerDoc),
            (b'/', b'/', ..) => self.line_comment(Kind::Comment),
            (b'/', b'*', b'*', fourth) if !matches!(fourth, b'*' | b'/') => self.block_comment(Kind::Doc),
            (b'/', b'*', b'!', _) => self.block_comment(Kind::InnerDoc),
            (b'/', b'*', ..) => self.block_comment(Kind::Comment),
            (b'"', ..) => self.string(0),
            (b'\'', ..) => self.quote(),
            _ => self.punct(byte),
        }
    }

    fn javascript(&mut self, byte: u8) {
        match (byte, self.peek(1), self.peek(2), self.peek(3)) {
            (b'/', b'/', ..) => self.line_comment(Kind::Comment),
            (b'/', b'*', b'*', fourth) if fourth != b'/' => self.block_comment(Kind::Doc),
            (b'/', b'*', ..) => self.block_comment(Kind::Comment),
            (b'/', ..) => self.slash(),
            (b'"' | b'\'', ..) => self.string(0),
            (b'`', ..) => self.template(),
            _ => self.punct(byte),
        }
    }

    fn line_comment(&mut self, kind: Kind) {
        let length = self.rest().iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count();
        self.push(kind, self.at + length);
    }

    /// Rust's block comments nest, JavaScript's do not.
    fn block_comment(&mut self, kind: Kind) {
        let mut open = 1_usize;
        let mut end = self.at + 2;
        while let Some(&byte) = self.bytes.get(end) {
            match (byte, self.bytes.get(end + 1)) {
                (b'*', Some(b'/')) => {
                    open -= 1;
                    end += 2;
                    if open == 0 {
                        break;
                    }
                }
                (b'/', Some(b'*')) if self.language == Language::Rust => {
                    open += 1;
                    end += 2;
                }
                _ => end += 1,
            }
        }
        self.push(kind, end);
    }

    /// A string with escapes whose opening quote stands `prefix` bytes from here. Only Rust's may span lines.
    fn string(&mut self, prefix: usize) {
        let quote = self.peek(prefix);
        let mut end = self.at + prefix + 1;
        while let Some(&byte) = self.bytes.get(end) {
            match byte {
                b'\\' => end += 2,
                b'\n' | b'\r' if self.language != Language::Rust => break,
                _ if byte == quote => {
                    end += 1;
                    break;
                }
                _ => end += 1,
            }
        }
        self.push(Kind::Literal, end);
    }

    fn python_string(&mut self, prefix: usize) {
        let quote = self.peek(prefix);
        if self.peek(prefix + 1) != quote || self.peek(prefix + 2) != quote {
            return self.string(prefix);
        }
        let mut end = self.at + prefix + 3;
        while let Some(&byte) = self.bytes.get(end) {
            if byte == b'\\' {
                end += 2;
            } else if self.bytes.get(end..end + 3).is_some_and(|three| three.iter().all(|b| *b == quote)) {
                end += 3;
                break;
            } else {
                end += 1;
            }
        }
        self.push(Kind::Literal, end);
    }

    /// Rust's raw string, or the `r` of a raw name.
    fn raw(&mut self, prefix: usize) {
        let hashes = self.rest().iter().skip(prefix).take_while(|byte| **byte == b'#').count();
        if self.peek(prefix + hashes) != b'"' {
            return self.push(Kind::Word, self.at + prefix);
        }
        let mut end = self.at + prefix + hashes + 1;
        while let Some(&byte) = self.bytes.get(end) {
            end += 1;
            let closes = || self.bytes.get(end..end + hashes).is_some_and(|tail| tail.iter().all(|b| *b == b'#'));
            if byte == b'"' && closes() {
                end += hashes;
                break;
            }
        }
        self.push(Kind::Literal, end);
    }

    /// Rust's `'`: a character, or else a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == b'\\' {
            return self.string(0);
        }
        let character = self.text.get(self.at + 1..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        if self.peek(1 + character) == b'\'' {
            return self.push(Kind::Literal, self.at + character + 2);
        }
        let name = self.rest().iter().skip(1).take_while(|byte| is_word(**byte)).count();
        self.push(if name > 0 { Kind::Word } else { Kind::Punct }, self.at + 1 + name);
    }

    /// JavaScript's template literal; code inside `${…}` may hold templates of its own.
    fn template(&mut self) {
        // What is open, innermost last: a template, or the braces of the code inside one.
        let mut open = vec![b'`'];
        let mut end = self.at + 1;
        while let (Some(&byte), Some(&inside)) = (self.bytes.get(end), open.last()) {
            end += 1;
            match (inside, byte) {
                (_, b'\\') => end += 1,
                (b'`', b'`') | (b'{', b'}') => {
                    open.pop();
                }
                (b'`', b'$') if self.bytes.get(end) == Some(&b'{') => {
                    open.push(b'{');
                    end += 1;
                }
                (b'{', b'{' | b'`') => open.push(byte),
                _ => {}
            }
        }
        self.push(Kind::Literal, end);
    }

    /// JavaScript's `/`: a regular expression where a value is expected, else a division.
    fn slash(&mut self) {
        let value_expected =
            self.tokens.iter().rev().find(|token| !matches!(token.kind, Kind::Comment | Kind::Doc)).is_none_or(
                |last| match last.kind {
                    Kind::Word => matches!(last.text, "return" | "typeof" | "case" | "in" | "of" | "delete" | "void"),
                    Kind::Punct => !matches!(last.text, ")" | "]" | "}"),
                    _ => false,
                },
            );
        match value_expected.then(|| self.regex_end()).flatten() {
            Some(end) => self.push(Kind::Literal, end),
            None => self.punct(b'/'),
        }
    }

    fn regex_end(&self) -> Option<usize> {
        let mut class = false;
        let mut escaped = false;
        for (offset, &byte) in self.rest().iter().enumerate().take(MAX_REGEX).skip(1) {
            match byte {
                b'\n' | b'\r' => return None,
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => return Some(self.at + offset + 1),
                _ => {}
            }
        }
        None
    }
}

/// Every byte beyond ASCII counts as part of a word, so that no character is ever cut.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_python_prefix(word: &str) -> bool {
    word.len() <= 2 && word.bytes().all(|byte| matches!(byte.to_ascii_lowercase(), b'r' | b'b' | b'u' | b'f' | b't'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, language: Language) -> Vec<&str> {
        lex(text, language).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn a_hash_in_a_python_string_is_no_comment() {
        assert_eq!(texts("a = rb'#x' # y", Language::Python), ["a", "=", "rb'#x'", "# y"]);
        assert_eq!(texts("'''a\n'b' # '''+1", Language::Python), ["'''a\n'b' # '''", "+", "1"]);
    }

    #[test]
    fn a_python_line_ends_only_outside_brackets_and_without_a_backslash() {
        assert_eq!(texts("f(\n1)\r\n\r\nx = \\\n2", Language::Python), ["f", "(", "1", ")", "\n", "x", "=", "2"]);
    }

    #[test]
    fn a_rust_lifetime_is_no_character() {
        assert_eq!(
            texts("&'a str, 'b', '\\'', 'é'", Language::Rust),
            ["&", "'a", "str", ",", "'b'", ",", "'\\''", ",", "'é'"]
        );
    }

    #[test]
    fn rust_raw_strings_and_nested_comments_end_where_they_end() {
        assert_eq!(texts("r#\"a\"//\"# /* /* */ x */ y", Language::Rust), ["r#\"a\"//\"#", "/* /* */ x */", "y"]);
    }

    #[test]
    fn a_javascript_regex_or_template_hides_quotes_and_slashes() {
        assert_eq!(
            texts("x = /[/\"]/g; a / b // c", Language::Javascript),
            ["x", "=", "/[/\"]/", "g", ";", "a", "/", "b", "// c"]
        );
        assert_eq!(texts("`a${f(`}`)}b` + c", Language::Javascript), ["`a${f(`}`)}b`", "+", "c"]);
    }

    #[test]
    fn doc_comments_are_told_from_others() {
        let kinds = |text, language| lex(text, language).into_iter().map(|token| token.kind).collect::<Vec<_>>();
        assert_eq!(
            kinds("/// a\n//// b\n//! c\n/**/\n/** d */", Language::Rust),
            [Kind::Doc, Kind::Comment, Kind::InnerDoc, Kind::Comment, Kind::Doc]
        );
    }

    proptest! {
        #[test]
        fn every_character_that_is_not_white_is_in_a_token(text in "(?s)[\"'`/*#\\\\rb{}$()é\na0 ]{0,60}|.{0,60}") {
            for language in [Language::Python, Language::Rust, Language::Javascript, Language::Text] {
                let tokens = lex(&text, language);
                prop_assert!(tokens.iter().all(|token| !token.text.is_empty()));
                let kept: usize = tokens.iter().filter(|t| t.kind != Kind::LineEnd).map(|t| t.text.len()).sum();
                prop_assert!(kept <= text.len());
                if language == Language::Text {
                    let strip = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
                    let joined: String = tokens.iter().map(|token| token.text).collect();
                    prop_assert_eq!(joined, text.replace(strip, ""));
                }
            }
        }
    }
}
