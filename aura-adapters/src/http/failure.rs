//! What an HTTP error of a vendor means for us.

use std::time::Duration;

use aura_core::AdapterError;
use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use serde_json::Value;

use crate::secret::ApiKey;

/// Longest wait believed, whatever the server says: a day.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// How much of a message is kept, in characters.
const MAX_MESSAGE: usize = 500;

/// What an error's body says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its message, or the first characters of a body that is no JSON.
    pub(crate) message: String,
    /// Its `code`, `type` and `status`, whichever are there.
    pub(crate) codes: Vec<String>,
    /// Whether it was an error as vendors write them, and no page of something between.
    pub(crate) is_an_error: bool,
}

impl Said {
    /// Reads `{"error": {message, type, code, status}}`, `{"error": "text"}`, or an array of one of them; a proxy may answer plain
    /// text or HTML instead. The key is masked in all of it.
    pub(crate) fn read(body: &[u8], key: Option<&ApiKey>) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let json = json.as_ref().map(|json| json.get(0).unwrap_or(json));
        let error = json.and_then(|json| json.get("error")).filter(|error| !error.is_null());
        let message = error.and_then(|error| error.get("message").or(Some(error))).and_then(Value::as_str);
        let codes = ["code", "type", "status"].iter().filter_map(|key| match error?.get(key)? {
            Value::String(text) => Some(text.clone()),
            // llama.cpp sends a number.
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        Self {
            message: masked_excerpt(message.unwrap_or(&String::from_utf8_lossy(body)), key),
            codes: codes.map(|code| masked_excerpt(&code, key)).collect(),
            is_an_error: error.is_some(),
        }
    }

    #[cfg(any(test, feature = "openai"))]
    pub(crate) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|known| known == code)
    }
}

/// The first characters of a text from outside, on one line and without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let line: String =
        text.trim().chars().take(MAX_MESSAGE).map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect();
    if line.is_empty() { "it said nothing".to_owned() } else { line }
}

/// The same of a text that may hold the key. It is masked before the text is cut: a part of it would not be known as one.
pub(super) fn masked_excerpt(text: &str, key: Option<&ApiKey>) -> String {
    key.map_or_else(|| excerpt(text), |key| excerpt(&key.redact(text.to_owned())))
}

/// Marks that change the direction of the text after them.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An answer whose status is none of success.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) status: StatusCode,
    /// How long the headers ask to wait.
    pub(crate) wait: Option<Duration>,
    /// The start of the body, for what only a vendor's own reader finds in it. It may hold the key.
    #[cfg(feature = "gemini")]
    pub(crate) body: Vec<u8>,
    pub(crate) said: Said,
}

impl Failure {
    /// What most vendors mean by the status; a vendor reads its own codes before it asks here.
    pub(crate) fn by_status(self) -> AdapterError {
        let Self { provider, model, status, wait, said, .. } = self;
        let (status, message) = (status.as_u16(), said.message);
        match status {
            401 | 403 => AdapterError::Unauthorized { provider, status, message },
            // A page of something between tells nothing about the model.
            404 if said.is_an_error => AdapterError::UnknownModel { provider, model, message },
            429 | 503 => AdapterError::Busy { provider, message, retry_after: wait },
            // Whoever names a wait is to be given it, whatever else is wrong.
            408 | 500..=599 if wait.is_some() => AdapterError::Busy { provider, message, retry_after: wait },
            408 | 500..=599 => AdapterError::Failed { provider, status, message },
            300..=399 => {
                let message = "it redirects elsewhere, which is not followed: set the base URL to the final address";
                AdapterError::Rejected { provider, status, message: message.to_owned() }
            }
            _ => AdapterError::Rejected { provider, status, message },
        }
    }
}

/// How long the server asks to wait: `retry-after-ms` first, then `Retry-After` as seconds or as a date. A date is measured
/// against the server's own `Date`, so that two clocks never mix.
pub(super) fn wait_asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok();
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc));
    let wait = text("retry-after-ms").and_then(number).and_then(|ms| seconds(ms / 1000.0)).or_else(|| {
        let asked = text(RETRY_AFTER.as_str())?;
        number(asked).and_then(seconds).or_else(|| {
            let now = text(DATE.as_str()).and_then(date).unwrap_or_else(Utc::now);
            Some((date(asked)? - now).to_std().unwrap_or(Duration::ZERO))
        })
    })?;
    Some(wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let pairs = pairs.iter().map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse()));
        wait_asked_for(&pairs.map(|(name, value)| (name, value.unwrap())).collect())
    }

    #[test]
    fn a_wait_is_read_in_each_of_its_forms() {
        assert_eq!(wait(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "1500")]), Some(Duration::from_millis(1500)));
        let now = ("date", "Mon, 23 Nov 2026 14:00:00 GMT");
        assert_eq!(wait(&[("retry-after", "Mon, 23 Nov 2026 14:00:30 GMT"), now]), Some(Duration::from_secs(30)));
        assert_eq!(wait(&[("retry-after", "Mon, 23 Nov 2026 13:00:00 GMT"), now]), Some(Duration::ZERO));
    }

    #[test]
    fn a_wait_that_makes_no_sense_is_absent_or_a_day_at_most() {
        for bad in ["-1", "NaN", "inf", "soon", ""] {
            assert_eq!(wait(&[("retry-after", bad)]), None, "{bad}");
        }
        assert_eq!(wait(&[("retry-after", "1e12")]), Some(MAX_WAIT));
        assert_eq!(wait(&[("retry-after-ms", "x"), ("retry-after", "3")]), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_message_is_one_short_line_without_control_characters() {
        let said = Said::read(format!("<html>\r\n\u{1b}[31m{}", "x".repeat(9000)).as_bytes(), None);
        assert_eq!(said.message.chars().count(), MAX_MESSAGE);
        assert!(!said.message.contains(['\r', '\n', '\u{1b}']) && !said.is_an_error);
        assert_eq!(Said::read(b"", None).message, "it said nothing");
        assert_eq!(Said::read(br#"{"error":"model not found"}"#, None).message, "model not found");
    }

    #[test]
    fn an_error_may_come_as_an_array_of_one() {
        let said = Said::read(br#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#, None);
        assert_eq!((said.message.as_str(), said.has("RESOURCE_EXHAUSTED"), said.has("429")), ("slow", true, true));
    }
}
