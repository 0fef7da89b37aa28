//! What SQLite says, as the errors of a store.

use std::path::Path;

use aura_core::StoreError;
use sqlx::Error;

// Primary result codes: https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// SQLite's primary result code, without the extension in the upper bits.
fn code(error: &Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// An error while doing `action` on an open database.
pub(super) fn failed(action: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match (&error, code(&error)) {
        (Error::PoolTimedOut | Error::Io(_), _) | (_, Some(BUSY | LOCKED | IOERR | FULL)) => {
            StoreError::Unavailable { message: format!("cannot {action}: {error}"), source: Some(Box::new(error)) }
        }
        (_, Some(CORRUPT | NOTADB)) => StoreError::corrupt("database", "file", error),
        _ => StoreError::Backend { action, source: Box::new(error) },
    }
}

/// An error while opening the database at `path`.
pub(super) fn opening(path: &Path) -> impl Fn(Error) -> StoreError {
    move |error| {
        let place = path.display();
        let said = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        match code(&error) {
            Some(NOTADB | CORRUPT) => {
                StoreError::corrupt("database", place, format!("it is no SQLite database, or is damaged ({said})"))
            }
            Some(CANTOPEN | READONLY) => StoreError::Unavailable {
                message: format!(
                    "database {place} cannot be opened for writing ({said}): check its folder and permissions"
                ),
                source: Some(Box::new(error)),
            },
            _ => StoreError::Unavailable {
                message: format!("database {place} cannot be opened ({said})"),
                source: Some(Box::new(error)),
            },
        }
    }
}

/// Whether somebody else holds a lock that will go away.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(code(error), Some(BUSY | LOCKED))
}
