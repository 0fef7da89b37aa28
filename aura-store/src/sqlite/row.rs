//! Reading values out of rows; a value that cannot be read names its row.

use std::{fmt::Display, str::FromStr};

use aura_core::StoreError;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::{Decode, Row as _, Sqlite, Type, sqlite::SqliteRow};

use super::moment;

/// A row whose errors say which one it is.
#[derive(Clone, Copy)]
pub(super) struct Named<'r> {
    row: &'r SqliteRow,
    what: &'static str,
}

impl<'r> Named<'r> {
    /// A row of a kind; its column `id` is what names it.
    pub(super) fn new(what: &'static str, row: &'r SqliteRow) -> Self {
        Self { row, what }
    }

    /// Says that this row cannot be read.
    pub(super) fn corrupt(&self, column: &str, message: impl Display) -> StoreError {
        let id =
            self.row.try_get::<String, _>("id").or_else(|_| self.row.try_get::<i64, _>("id").map(|id| id.to_string()));
        StoreError::corrupt(self.what, id.unwrap_or_else(|_| "?".to_owned()), format!("{column}: {message}"))
    }

    /// A value as SQLite holds it.
    pub(super) fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(&self, column: &str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    /// A text that has to be parsed: an id, a name, a word.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError> {
        let text: &str = self.get(column)?;
        text.parse().map_err(|error| self.corrupt(column, error))
    }

    /// A text that has to be parsed, where there is one.
    pub(super) fn maybe_parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| text.parse().map_err(|error| self.corrupt(column, error))).transpose()
    }

    /// A number, brought into its type.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| self.corrupt(column, format_args!("{number} is out of range")))
    }

    /// A number, brought into its type, where there is one.
    pub(super) fn maybe_number<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let number: Option<i64> = self.get(column)?;
        number
            .map(|number| {
                T::try_from(number).map_err(|_| self.corrupt(column, format_args!("{number} is out of range")))
            })
            .transpose()
    }

    /// A number with a range.
    pub(super) fn ranged<T: TryFrom<f64, Error: Display>>(&self, column: &str) -> Result<T, StoreError> {
        let number: f64 = self.get(column)?;
        T::try_from(number).map_err(|error| self.corrupt(column, error))
    }

    /// A number with a range, where there is one.
    pub(super) fn maybe_ranged<T: TryFrom<f64, Error: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let number: Option<f64> = self.get(column)?;
        number.map(|number| T::try_from(number).map_err(|error| self.corrupt(column, error))).transpose()
    }

    /// A structured value.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        let text: &str = self.get(column)?;
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    /// A structured value, where there is one.
    pub(super) fn maybe_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| serde_json::from_str(text).map_err(|error| self.corrupt(column, error))).transpose()
    }

    /// A moment.
    pub(super) fn time(&self, column: &str) -> Result<DateTime<Utc>, StoreError> {
        moment::parse(self.get(column)?).map_err(|error| self.corrupt(column, error))
    }

    /// A moment, where there is one.
    pub(super) fn maybe_time(&self, column: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| moment::parse(text).map_err(|error| self.corrupt(column, error))).transpose()
    }
}

/// Reads every row.
pub(super) fn each<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
