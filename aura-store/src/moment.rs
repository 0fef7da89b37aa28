//! Moments as every store keeps them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The moment `wait` after `now`; a wait without end gives the end of the year 9999, the last that every store can hold.
pub(crate) fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let end = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(now);
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(wait).map_or(end, |at| at.min(end))
}

/// Cuts a moment to the microsecond, which is what the tables hold.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}
