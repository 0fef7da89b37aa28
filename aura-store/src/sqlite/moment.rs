//! Moments as text that sorts like time: RFC 3339, UTC, microseconds.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

pub(super) use crate::moment::{after, micros};

/// The text that the tables hold.
pub(super) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Reads a moment: our own text, or what SQLite's date functions write by hand (`2026-01-01 12:00:00`, in UTC).
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .map(|at| at.and_utc())
        .map_err(|_| format!("{text:?} is no time: RFC 3339 in UTC is expected, e.g. 2026-01-01T12:00:00.000000Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_moment_is_read_back_to_the_microsecond() {
        let at = micros(DateTime::from_timestamp(1_767_268_800, 123_456_789).unwrap());
        assert_eq!(text(at), "2026-01-01T12:00:00.123456Z");
        assert_eq!(parse(&text(at)), Ok(at));
    }

    #[test]
    fn what_sqlite_writes_by_hand_is_read() {
        assert_eq!(parse("2026-01-01 12:00:00").map(text), Ok("2026-01-01T12:00:00.000000Z".to_owned()));
        assert!(parse("yesterday").is_err());
    }
}
