//! Verdicts, stored once.

use aura_core::{Action, Actor, Outcome, StoreError, Verdict, contract::store::Each};
use serde_json::{Value, json};

use super::super::{
    SqliteStore, moment,
    write::{Write, answer},
};

pub(super) async fn settle(store: &SqliteStore, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
    let mut write = store.write("store verdicts").await?;
    let mut answers = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        answer(settle_one(&mut write, verdict).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn settle_one(write: &mut Write<'_>, verdict: &Verdict) -> Result<bool, StoreError> {
    let known = write.row(sqlx::query("SELECT id FROM prds WHERE id = ?").bind(verdict.prd.to_string())).await?;
    if known.is_none() {
        return Err(StoreError::not_found("PRD", verdict.prd));
    }
    let stored = write.store_verdict(verdict).await?;
    if stored {
        write.trail.entry(&Actor::accountant(), Action::PrdSettled, summary(verdict));
    }
    Ok(stored)
}

/// What the audit log says of a verdict.
fn summary(verdict: &Verdict) -> Value {
    let winner = match &verdict.outcome {
        Outcome::Won { job, model, score } => json!({ "job_id": job, "model": model, "score": score }),
        Outcome::NobodyWon | Outcome::Cancelled => Value::Null,
    };
    json!({ "prd_id": verdict.prd, "winner": winner, "why": verdict.why })
}

impl Write<'_> {
    /// Stores a verdict unless the PRD has one; answers whether it was stored.
    pub(super) async fn store_verdict(&mut self, verdict: &Verdict) -> Result<bool, StoreError> {
        let body = serde_json::to_string(verdict)
            .map_err(|error| StoreError::Backend { action: "write a verdict as JSON", source: Box::new(error) })?;
        let query =
            sqlx::query("INSERT INTO verdicts (prd_id, verdict, settled_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(verdict.prd.to_string())
                .bind(body)
                .bind(moment::text(verdict.settled_at));
        Ok(self.run(query).await? > 0)
    }
}
