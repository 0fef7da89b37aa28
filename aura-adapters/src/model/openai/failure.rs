//! What an HTTP error of a vendor means for us.

use std::time::Duration;

use aura_core::AdapterError;
use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use serde_json::Value;

/// Longest wait believed, whatever the server says: a day.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// How much of a message is kept, in characters.
const MAX_MESSAGE: usize = 500;

/// What an error's body says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Its message, or the first characters of a body that is no JSON.
    pub(super) message: String,
    /// Its `code` and `type`, whichever are there.
    pub(super) codes: Vec<String>,
}

impl Said {
    /// Reads `{"error": {message, type, code}}`; a proxy may answer plain text or HTML instead.
    pub(super) fn read(body: &[u8]) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let error = json.as_ref().and_then(|json| json.get("error"));
        let message = error.and_then(|error| error.get("message").or(Some(error))).and_then(Value::as_str);
        let codes = ["code", "type"].iter().filter_map(|key| match error?.get(key)? {
            Value::String(text) => Some(text.clone()),
            // llama.cpp sends a number.
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        Self {
            message: excerpt(message.unwrap_or(&String::from_utf8_lossy(body))),
            codes: codes.map(|code| excerpt(&code)).collect(),
        }
    }
}

/// The first characters of a text from outside, on one line and without control characters.
pub(super) fn excerpt(text: &str) -> String {
    let line: String =
        text.trim().chars().take(MAX_MESSAGE).map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect();
    if line.is_empty() { "it said nothing".to_owned() } else { line }
}

/// Marks that change the direction of the text after them.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The error for a status; `message` is free of keys.
pub(super) fn error(
    provider: &str,
    status: StatusCode,
    codes: &[String],
    message: String,
    retry_after: Option<Duration>,
) -> AdapterError {
    let provider = provider.to_owned();
    let number = status.as_u16();
    // Waiting does not refill an empty account.
    let out_of_money = codes.iter().any(|code| code == "insufficient_quota");
    match number {
        429 if !out_of_money => AdapterError::Busy { provider, message, retry_after },
        503 => AdapterError::Busy { provider, message, retry_after },
        408 | 500..=599 => AdapterError::Failed { provider, status: number, message },
        300..=399 => {
            let message = "it redirects elsewhere, which is not followed: set the base URL to the final address";
            AdapterError::Rejected { provider, status: number, message: message.to_owned() }
        }
        _ => AdapterError::Rejected { provider, status: number, message },
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
        let said = Said::read(format!("<html>\r\n\u{1b}[31m{}", "x".repeat(9000)).as_bytes());
        assert_eq!(said.message.chars().count(), MAX_MESSAGE);
        assert!(!said.message.contains(['\r', '\n', '\u{1b}']));
        assert_eq!(Said::read(b"").message, "it said nothing");
        assert_eq!(Said::read(br#"{"error":"model not found"}"#).message, "model not found");
    }
}
