//! What a worker shows to be let in.

use std::fmt;

use reqwest::header::HeaderValue;

use crate::HttpError;

/// A bearer token. Its `Debug` and `Display` print a mask; nothing gives the text back.
///
/// # Examples
/// ```
/// let token = aura_http::Token::new("canary")?;
/// assert_eq!(format!("{token:?} {token}"), "Token(***) ***");
/// # Ok::<(), aura_http::HttpError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token. White space around it is left out: files and variables often end in a newline.
    ///
    /// # Errors
    /// [`HttpError::Client`] when it is empty, or has a character that no header can hold.
    pub fn new(token: impl AsRef<str>) -> Result<Self, HttpError> {
        let token = token.as_ref().trim().to_owned();
        let refuse = |reason: &str| Err(HttpError::Client { field: "token", reason: reason.to_owned() });
        if token.is_empty() {
            return refuse("is empty: leave it out for a manager that asks for none");
        }
        if !token.is_ascii() || HeaderValue::from_str(&token).is_err() {
            return refuse("has a character that no token has, such as a line break");
        }
        Ok(Self(token))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Puts a mask over every place in `text` where the token stands.
    pub(super) fn redact(&self, text: String) -> String {
        if text.contains(&self.0) { text.replace(&self.0, "***") } else { text }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
