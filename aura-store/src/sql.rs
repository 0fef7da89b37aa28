//! What the SQL stores share: how they keep what a worker said, and which errors concern one item of a batch.

use aura_core::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a worker said, as the column `report` holds it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReportBody {
    #[serde(default)]
    pub(crate) success: bool,
    #[serde(default)]
    pub(crate) details: Value,
}

impl Default for ReportBody {
    /// What is known of work that was handed in by hand: nothing.
    fn default() -> Self {
        Self { success: false, details: json!({}) }
    }
}

/// Whether an error concerns one item of a batch only. Such errors are found before the item writes anything.
pub(crate) fn concerns_one_item(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. } | StoreError::Conflict { .. } | StoreError::LeaseLost { .. })
}
