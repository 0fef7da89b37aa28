//! Reading values out of rows; a value that cannot be read names its row.

use std::{fmt::Display, str::FromStr};

use aura_core::StoreError;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::{Decode, Postgres, Row as _, Type, postgres::PgRow, types::Json};
use uuid::Uuid;

/// A row whose errors say which one it is.
#[derive(Clone, Copy)]
pub(super) struct Named<'r> {
    row: &'r PgRow,
    what: &'static str,
}

impl<'r> Named<'r> {
    /// A row of a kind; its column `id` is what names it.
    pub(super) fn new(what: &'static str, row: &'r PgRow) -> Self {
        Self { row, what }
    }

    /// Says that this row cannot be read.
    pub(super) fn corrupt(&self, column: &str, message: impl Display) -> StoreError {
        let id = self
            .row
            .try_get::<Uuid, _>("id")
            .map(|id| id.to_string())
            .or_else(|_| self.row.try_get::<i64, _>("id").map(|id| id.to_string()))
            .or_else(|_| self.row.try_get::<i32, _>("id").map(|id| id.to_string()));
        StoreError::corrupt(self.what, id.unwrap_or_else(|_| "?".to_owned()), format!("{column}: {message}"))
    }

    /// A value as PostgreSQL holds it.
    pub(super) fn get<T: Decode<'r, Postgres> + Type<Postgres>>(&self, column: &str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    /// A text that has to be parsed: a name, a word.
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
        self.in_range(column, self.get(column)?)
    }

    /// A number, brought into its type, where there is one.
    pub(super) fn maybe_number<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let number: Option<i64> = self.get(column)?;
        number.map(|number| self.in_range(column, number)).transpose()
    }

    /// A number of four bytes, brought into its type.
    pub(super) fn small<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        self.in_range(column, i64::from(self.get::<i32>(column)?))
    }

    fn in_range<T: TryFrom<i64>>(&self, column: &str, number: i64) -> Result<T, StoreError> {
        T::try_from(number).map_err(|_| self.corrupt(column, format_args!("{number} is out of range")))
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
    pub(super) fn json<T: DeserializeOwned + 'r>(&self, column: &str) -> Result<T, StoreError> {
        Ok(self.get::<Json<T>>(column)?.0)
    }

    /// A structured value, where there is one.
    pub(super) fn maybe_json<T: DeserializeOwned + 'r>(&self, column: &str) -> Result<Option<T>, StoreError> {
        Ok(self.get::<Option<Json<T>>>(column)?.map(|value| value.0))
    }

    /// A moment.
    pub(super) fn time(&self, column: &str) -> Result<DateTime<Utc>, StoreError> {
        self.get(column)
    }

    /// A moment, where there is one.
    pub(super) fn maybe_time(&self, column: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.get(column)
    }
}

/// Reads every row.
pub(super) fn each<T>(rows: &[PgRow], read: impl Fn(&PgRow) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
