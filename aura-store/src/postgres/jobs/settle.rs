//! Verdicts, stored once.

use std::collections::HashSet;

use aura_core::{Action, Actor, Outcome, StoreError, Verdict, contract::store::Each};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{
        Core,
        error::is_duplicate,
        row::{Named, each},
        write::{Answers, Write, again},
    },
    list::uuids,
};

pub(super) async fn settle(core: &Core, verdicts: &[Verdict]) -> Result<Each<bool>, StoreError> {
    // None is there yet, nearly always: to ask for each takes longer, and where one is, this fails as a whole.
    match again(|| settle_once(core, verdicts, NEW)).await {
        Err(error) if is_duplicate(&error) => again(|| settle_once(core, verdicts, ANY)).await,
        outcome => outcome,
    }
}

async fn settle_once(core: &Core, verdicts: &[Verdict], sql: &'static str) -> Result<Each<bool>, StoreError> {
    let mut write = core.write("store verdicts").await?;
    let mut stored = write.insert_verdicts(verdicts, sql).await?;
    let mut answers = Answers::of(verdicts.len());
    for (item, verdict) in verdicts.iter().enumerate() {
        if stored.remove(&verdict.prd.as_uuid()) {
            write.trail.entry(&Actor::accountant(), Action::PrdSettled, summary(verdict));
            answers.set(item, Ok(true));
        }
    }
    let missing = answers.missing();
    let missing: Vec<_> = missing.into_iter().filter_map(|item| Some((item, verdicts.get(item)?.prd))).collect();
    if !missing.is_empty() {
        let ids = uuids(missing.iter().map(|(_, prd)| *prd));
        let rows = write.rows(sqlx::query("SELECT id FROM prds WHERE id = ANY($1)").bind(ids)).await?;
        let known: HashSet<Uuid> = each(&rows, |row| Named::new("PRD", row).get("id"))?.into_iter().collect();
        for (item, prd) in missing {
            let is_known = known.contains(&prd.as_uuid());
            answers.set(item, if is_known { Ok(false) } else { Err(StoreError::not_found("PRD", prd)) });
        }
        // One that was settled while a node entered it among those to be looked at: nobody else would take it out.
        let query = sqlx::query(
            "DELETE FROM prds_to_assess WHERE prd_id = ANY($1)
                 AND EXISTS (SELECT 1 FROM verdicts WHERE verdicts.prd_id = prds_to_assess.prd_id OFFSET 0)",
        );
        write.run(query.bind(known.into_iter().collect::<Vec<_>>())).await?;
    }
    let answers = answers.all()?;
    let repeat = answers.iter().flatten().any(|is_new| !is_new);
    write.commit_repeating(repeat, async { Ok(()) }).await?;
    Ok(answers)
}

/// What the audit log says of a verdict.
fn summary(verdict: &Verdict) -> Value {
    let winner = match &verdict.outcome {
        Outcome::Won { job, model, score } => json!({ "job_id": job, "model": model, "score": score }),
        Outcome::NobodyWon | Outcome::Cancelled => Value::Null,
    };
    json!({ "prd_id": verdict.prd, "winner": winner, "why": verdict.why })
}

/// Stores verdicts of PRDs that are there.
macro_rules! insert {
    ($where_one_is:literal) => {
        concat!(
            "INSERT INTO verdicts (prd_id, verdict, settled_at)
             SELECT prd, body::json, at
             FROM (SELECT unnest($1::uuid[]) AS prd, unnest($2::text[]) AS body, unnest($3::timestamptz[]) AS at) AS new
             WHERE EXISTS (SELECT 1 FROM prds WHERE prds.id = new.prd OFFSET 0)
             ORDER BY prd ",
            $where_one_is,
            "RETURNING prd_id AS id"
        )
    };
}
/// Fails where one has a verdict.
const NEW: &str = insert!("");
/// Passes over those that have one.
const ANY: &str = insert!("ON CONFLICT DO NOTHING ");

impl Write<'_> {
    /// Stores verdicts of PRDs that are there and have none; answers which PRDs these were.
    pub(super) async fn store_verdicts(&mut self, verdicts: &[Verdict]) -> Result<HashSet<Uuid>, StoreError> {
        self.insert_verdicts(verdicts, ANY).await
    }

    async fn insert_verdicts(&mut self, verdicts: &[Verdict], sql: &'static str) -> Result<HashSet<Uuid>, StoreError> {
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
        let rows = self.rows(sqlx::query(sql).bind(prds).bind(bodies).bind(times)).await?;
        Ok(each(&rows, |row| Named::new("PRD", row).get("id"))?.into_iter().collect())
    }
}
