//! The form that an answer must have.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The form that an answer must have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnswerFormat {
    /// As the model likes: prose, code in fences, diffs.
    #[default]
    Free,
    /// One JSON value.
    Json,
    /// One JSON value that fits this JSON Schema.
    JsonSchema(serde_json::Value),
}

impl AnswerFormat {
    /// Largest schema accepted, in bytes of JSON (64 KiB).
    pub const MAX_SCHEMA: usize = 64 << 10;

    /// Whether any answer will do.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Free | Self::Json => Ok(()),
            Self::JsonSchema(schema) if !schema.is_object() => {
                Err(Error::invalid("format.json_schema", "must be a JSON object that holds a JSON Schema"))
            }
            Self::JsonSchema(schema) if schema.to_string().len() > Self::MAX_SCHEMA => {
                Err(Error::invalid("format.json_schema", format!("is longer than {} bytes", Self::MAX_SCHEMA)))
            }
            Self::JsonSchema(_) => Ok(()),
        }
    }
}
