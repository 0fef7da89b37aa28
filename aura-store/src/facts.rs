//! What the SQL stores say of a job in the trail, and how they keep what a worker said.

use aura_core::{Job, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the trail says of a job: which one, whose, and what `more` adds.
pub(crate) fn facts(job: &Job, model: Option<&str>, more: Value) -> Value {
    let mut facts = json!({ "job_id": job.id, "prd_id": job.prd_id, "attempt": job.attempt });
    if let Value::Object(facts) = &mut facts {
        if let Some(model) = model {
            facts.insert("model".to_owned(), model.into());
        }
        if let Value::Object(more) = more {
            facts.extend(more);
        }
    }
    facts
}

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
