//! Verdicts, stored once.

use std::collections::HashSet;

use aura_core::{Action, Actor, Outcome, StoreError, Verdict, contract::store::Each};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{
        Core,
        row::{Named, each},
        write::{Answers, Write, again},
    },
    list::uuids,
};

pub(super) async fn settle(core: &Core, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
    again(|| settle_once(core, verdicts)).await
}

async fn settle_once(core: &Core, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
    let mut write = core.write("store verdicts").await?;
    let ids = uuids(verdicts.iter().map(|verdict| verdict.prd));
    let rows = write.rows(sqlx::query("SELECT id FROM prds WHERE id = ANY($1)").bind(ids)).await?;
    let known: HashSet<Uuid> = each(&rows, |row| Named::new("PRD", row).get("id"))?.into_iter().collect();
    let mut stored = write.store_verdicts(verdicts.iter().filter(|v| known.contains(&v.prd.as_uuid()))).await?;
    let mut answers = Answers::of(verdicts.len());
    for (item, verdict) in verdicts.iter().enumerate() {
        let id = verdict.prd.as_uuid();
        let answer = match known.contains(&id) {
            false => Err(StoreError::not_found("PRD", verdict.prd)),
            true => Ok(stored.remove(&id)),
        };
        if let Ok(true) = answer {
            write.trail.entry(&Actor::accountant(), Action::PrdSettled, summary(verdict));
        }
        answers.set(item, answer);
    }
    write.commit().await?;
    answers.all()
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
    /// Stores verdicts of PRDs that have none; answers which PRDs these were.
    pub(super) async fn store_verdicts(
        &mut self,
        verdicts: impl Iterator<Item = &Verdict>,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let (mut prds, mut bodies, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for verdict in verdicts {
            prds.push(verdict.prd.as_uuid());
            times.push(verdict.settled_at);
            bodies.push(
                serde_json::to_string(verdict).map_err(|error| StoreError::Backend {
                    action: "write a verdict as JSON",
                    source: Box::new(error),
                })?,
            );
        }
        let query = sqlx::query(
            "INSERT INTO verdicts (prd_id, verdict, settled_at)
             SELECT prd, body::json, at FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS new (prd, body, at)
             ORDER BY prd ON CONFLICT DO NOTHING RETURNING prd_id AS id",
        );
        let rows = self.rows(query.bind(prds).bind(bodies).bind(times)).await?;
        Ok(each(&rows, |row| Named::new("PRD", row).get("id"))?.into_iter().collect())
    }
}
