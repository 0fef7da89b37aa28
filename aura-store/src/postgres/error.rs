//! What PostgreSQL says, as the errors of a store.

use aura_core::StoreError;
use sqlx::{Error, error::DatabaseError, postgres::PgDatabaseError};

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNIQUE_VIOLATION: &str = "23505";
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
const LOCK_NOT_AVAILABLE: &str = "55P03";
const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_COLUMN: &str = "42703";
/// Classes of errors that go away: connection, resources (a full disk among them), an operator's intervention or a timeout,
/// a lock that is held, the system's I/O.
const PASSING: &[&str] = &["08", "40", "53", "57", "58"];
/// A lock that is not to be had, a server that only reads, and a transaction that the server has ended because its node was silent
/// for too long or took too long.
const PASSING_CODES: &[&str] = &[LOCK_NOT_AVAILABLE, "25006", "25P03", "25P04"];

fn code(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// An error while doing `action` on an open database.
pub(super) fn failed(action: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let code = code(&error);
        let code = code.as_deref().unwrap_or_default();
        let passing = matches!(
            error,
            Error::Io(_)
                | Error::Tls(_)
                | Error::PoolTimedOut
                | Error::PoolClosed
                | Error::Protocol(_)
                | Error::WorkerCrashed
        ) || PASSING.iter().any(|class| code.starts_with(class))
            || PASSING_CODES.contains(&code);
        if passing {
            return StoreError::Unavailable {
                message: format!("cannot {action}: {error}"),
                source: Some(Box::new(error)),
            };
        }
        match code {
            "XX001" | "XX002" => StoreError::corrupt("database", "table", error),
            _ => StoreError::Backend { action, source: Box::new(error) },
        }
    }
}

/// An error of a read from the replica, which may not have heard of the newest tables yet.
pub(super) fn failed_there(action: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match code(&error).as_deref() {
        Some(UNDEFINED_TABLE | UNDEFINED_COLUMN) => StoreError::Unavailable {
            message: format!("cannot {action}: the read-only copy has not caught up with the tables: {error}"),
            source: Some(Box::new(error)),
        },
        _ => failed(action)(error),
    }
}

/// An error while opening the database at `place`.
pub(super) fn opening(place: &str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let advice = match code(&error).as_deref() {
            Some(LOCK_NOT_AVAILABLE) => {
                "its tables are to be changed, and another session holds them: wait for it or end it"
            }
            _ => "check the address, the role and its rights",
        };
        let said = error.as_database_error().map_or_else(|| error.to_string(), said);
        StoreError::Unavailable {
            message: format!("database {place} cannot be opened ({said}): {advice}"),
            source: Some(Box::new(error)),
        }
    }
}

/// What the database said, with its detail: the objects that are in a change's way stand only there.
fn said(error: &dyn DatabaseError) -> String {
    let detail = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
    detail.map_or_else(|| error.message().to_owned(), |detail| format!("{}: {detail}", error.message()))
}

fn database_code(error: &StoreError) -> Option<String> {
    let source = match error {
        StoreError::Unavailable { source: Some(source), .. } | StoreError::Backend { source, .. } => source,
        _ => return None,
    };
    code(source.downcast_ref::<Error>()?)
}

/// Whether the transaction only has to be run again: another one was in its way.
pub(super) fn run_again(error: &StoreError) -> bool {
    matches!(database_code(error).as_deref(), Some(SERIALIZATION_FAILURE | DEADLOCK))
}

/// Whether the connection was cut, or its server is going down.
pub(super) fn is_cut(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        error => code(error).is_some_and(|code| code.starts_with("57P")),
    }
}

/// Whether the connection was cut under a statement, or its server went down: what became of it is not known.
pub(super) fn is_lost(error: &StoreError) -> bool {
    let StoreError::Unavailable { source: Some(source), .. } = error else { return false };
    source.downcast_ref::<Error>().is_some_and(is_cut)
}

/// Whether a lock was not to be had in the time that was given.
pub(super) fn is_locked(error: &StoreError) -> bool {
    database_code(error).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// Whether a row with the same key is there already.
pub(super) fn is_duplicate(error: &StoreError) -> bool {
    database_code(error).as_deref() == Some(UNIQUE_VIOLATION)
}
