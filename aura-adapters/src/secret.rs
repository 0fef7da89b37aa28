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
    fn a_text_that_echoes_the_key_is_masked() {
        let key = ApiKey::new("sk-1\n");
        assert_eq!(key.redact("wrong key sk-1!".to_owned()), "wrong key ***!");
        assert_eq!(ApiKey::new("").redact("abc".to_owned()), "abc");
    }
}
