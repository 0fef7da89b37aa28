//! Secrets that cannot be printed by accident.

use std::fmt;

/// A vendor's key. Its `Debug` and `Display` print a mask; only [`expose`](Self::expose) gives the text.
///
/// # Examples
/// ```
/// use aura_adapters::ApiKey;
/// let key = ApiKey::new("sk-secret");
/// assert_eq!(format!("{key:?} {key}"), "ApiKey(***) ***");
/// assert_eq!(key.expose(), "sk-secret");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key. White space around it is left out: files and variables often end in a newline.
    #[must_use]
    pub fn new(key: impl AsRef<str>) -> Self {
        Self(key.as_ref().trim().to_owned())
    }

    /// The key in an environment variable; absent when the variable is not set, empty, or not UTF-8.
    #[must_use]
    pub fn from_env(variable: &str) -> Option<Self> {
        std::env::var(variable).ok().map(Self::new).filter(|key| !key.0.is_empty())
    }

    /// The key itself, for the one header that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Puts a mask over every place in `text` where the key stands.
    #[must_use]
    pub fn redact(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) { text } else { text.replace(&self.0, "***") }
    }
}

/// Masks a key in a text that comes in pieces: the key may stand across two of them.
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
#[derive(Debug)]
pub(crate) struct Redactor<'a> {
    key: Option<&'a ApiKey>,
    held: String,
}

#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
impl<'a> Redactor<'a> {
    pub(crate) fn new(key: Option<&'a ApiKey>) -> Self {
        Self { key: key.filter(|key| !key.0.is_empty()), held: String::new() }
    }

    /// Takes a piece; answers with what can be shown. The end that may be the beginning of the key is held back.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        let Some(ApiKey(key)) = self.key else { return piece.to_owned() };
        self.held.push_str(piece);
        let mut text = std::mem::take(&mut self.held);
        if text.contains(key.as_str()) {
            text = text.replace(key.as_str(), "***");
        }
        let may_be_key = |from: usize| text.get(from..).is_some_and(|end| key.starts_with(end));
        let least = text.len().saturating_sub(key.len() - 1);
        if let Some(from) = (least..text.len()).find(|from| may_be_key(*from)) {
            self.held = text.split_off(from);
        }
        text
    }

    /// What was held back, when nothing follows.
    pub(crate) fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
    fn a_key_that_comes_in_pieces_is_masked_and_nothing_else_is_lost() {
        let key = ApiKey::new("sk-1");
        let text = "as-sk-sk-1 s sk-";
        for size in 1..text.len() {
            let mut redactor = Redactor::new(Some(&key));
            let pieces: Vec<_> =
                text.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            let mut shown: String = pieces.iter().map(|piece| redactor.push(piece)).collect();
            shown.push_str(&redactor.end());
            assert_eq!(shown, "as-sk-*** s sk-", "in pieces of {size}");
        }
    }

    #[test]
    fn a_text_that_echoes_the_key_is_masked() {
        let key = ApiKey::new("sk-1\n");
        assert_eq!(key.redact("wrong key sk-1!".to_owned()), "wrong key ***!");
        assert_eq!(ApiKey::new("").redact("abc".to_owned()), "abc");
    }
}
