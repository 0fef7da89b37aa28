//! Reading runs and what they add up to.

use aura_core::{
    JobId, ModelId, ModelRun, ModelStats, NewRun, ProjectId, RunId, Spending, StoreError, Usage, Usd,
    contract::store::RunFilter,
};
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;

use super::super::{
    SqliteStore, moment,
    row::{Named, each},
};

/// The columns that [`run`] reads, with the tables they come from. A run written by hand has no attempt: 0 stands for it.
macro_rules! select_runs {
    ($which:literal) => {
        concat!(
            "SELECT model_runs.id, model_runs.model_id, model_runs.job_id, coalesce(model_runs.attempt, 0) AS attempt,
                 jobs.prd_id, model_runs.project_id, jobs.role, success, confidence, model_runs.score, attainable, strength,
                 counts, input_tokens, cached_input_tokens, output_tokens, cost_nanos, details, model_runs.created_at
             FROM model_runs LEFT JOIN jobs ON jobs.id = model_runs.job_id WHERE ",
            $which,
            " AND model_runs.id < coalesce(?, 9223372036854775807) ORDER BY model_runs.id DESC LIMIT ?"
        )
    };
}

fn run(row: &SqliteRow) -> Result<ModelRun, StoreError> {
    let named = Named::new("run", row);
    Ok(ModelRun {
        id: RunId(named.get("id")?),
        run: NewRun {
            model_id: ModelId(named.number("model_id")?),
            job_id: named.parsed::<JobId>("job_id")?,
            attempt: named.number("attempt")?,
            prd_id: named.parsed("prd_id")?,
            project_id: ProjectId(named.number("project_id")?),
            role: named.parsed("role")?,
            success: named.get("success")?,
            confidence: named.maybe_ranged("confidence")?,
            score: named.ranged("score")?,
            attainable: named.ranged("attainable")?,
            strength: named.maybe_parsed("strength")?,
            counts: named.get("counts")?,
            usage: Usage {
                input_tokens: named.maybe_number("input_tokens")?,
                cached_input_tokens: named.maybe_number("cached_input_tokens")?,
                output_tokens: named.maybe_number("output_tokens")?,
            },
            cost: named.maybe_number("cost_nanos")?.map(Usd::from_nanos),
            details: named.json("details")?,
        },
        created_at: named.time("created_at")?,
    })
}

pub(super) async fn runs(store: &SqliteStore, filter: &RunFilter) -> Result<Vec<ModelRun>, StoreError> {
    let query = match (filter.job, filter.model) {
        (None, None) => sqlx::query(select_runs!("true")),
        (Some(job), None) => sqlx::query(select_runs!("model_runs.job_id = ?")).bind(job.to_string()),
        (None, Some(model)) => sqlx::query(select_runs!("model_runs.model_id = ?")).bind(model.0),
        (Some(job), Some(model)) => sqlx::query(select_runs!("model_runs.job_id = ? AND +model_runs.model_id = ?"))
            .bind(job.to_string())
            .bind(model.0),
    };
    let query = query.bind(filter.before.map(|run| run.0)).bind(filter.limit);
    each(&store.rows("list runs", query).await?, run)
}

pub(super) async fn stats(store: &SqliteStore, since: DateTime<Utc>) -> Result<Vec<ModelStats>, StoreError> {
    let query = sqlx::query(
        "SELECT model_id AS id, sum(runs) AS runs, sum(successes) AS successes, sum(sum_score) AS sum_score,
             sum(sum_share) AS sum_share, sum(sum_share_squared) AS sum_share_squared
         FROM models CROSS JOIN model_daily ON model_daily.model_id = models.id AND day >= substr(?, 1, 10)
         GROUP BY models.id ORDER BY models.id",
    );
    each(&store.rows("add up runs", query.bind(moment::text(since))).await?, |row| {
        let named = Named::new("statistics of model", row);
        Ok(ModelStats {
            model_id: ModelId(named.number("id")?),
            runs: named.number("runs")?,
            successes: named.number("successes")?,
            sum_score: named.get("sum_score")?,
            sum_share: named.get("sum_share")?,
            sum_share_squared: named.get("sum_share_squared")?,
        })
    })
}

pub(super) async fn spending(store: &SqliteStore, since: DateTime<Utc>) -> Result<Vec<Spending>, StoreError> {
    let query = sqlx::query(
        "SELECT model_id AS id, project_id, sum(runs) AS runs, sum(input_tokens) AS input_tokens,
             sum(output_tokens) AS output_tokens, sum(cost_nanos) AS cost_nanos, sum(uncounted) AS uncounted,
             sum(unpriced) AS unpriced
         FROM model_spending WHERE day >= substr(?, 1, 10) GROUP BY model_id, project_id ORDER BY model_id, project_id",
    );
    each(&store.rows("add up what was spent", query.bind(moment::text(since))).await?, |row| {
        let named = Named::new("spending of model", row);
        Ok(Spending {
            model_id: ModelId(named.number("id")?),
            project_id: ProjectId(named.number("project_id")?),
            runs: named.number("runs")?,
            input_tokens: named.number("input_tokens")?,
            output_tokens: named.number("output_tokens")?,
            cost: Usd::from_nanos(named.number("cost_nanos")?),
            uncounted: named.number("uncounted")?,
            unpriced: named.number("unpriced")?,
        })
    })
}
