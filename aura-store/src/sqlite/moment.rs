//! Moments as text that sorts like time: RFC 3339, UTC, microseconds.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, TimeDelta, Utc};

/// Cuts a moment to the microsecond, which is what the tables hold.
pub(super) fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// The text that the tables hold.
pub(super) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The moment `wait` after `now`; a wait without end gives the last year that the text can hold.
pub(super) fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let end = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(now);
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(wait).map_or(end, |at| at.min(end))
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

    #[test]
    fn an_endless_wait_ends_in_the_last_year_that_sorts() {
        assert_eq!(text(after(Utc::now(), Duration::MAX)), "9999-12-31T23:59:59.000000Z");
    }
}
