//! Reading runs and what they add up to.

use aura_core::{
    JobId, ModelId, ModelRun, ModelStats, NewRun, PrdId, ProjectId, RunId, Spending, StoreError, Usage, Usd,
    contract::store::{Each, RunFilter},
};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;

use super::super::{
    Core,
    jobs::list::uuids,
    row::{Named, each},
};

/// The columns that [`run`] reads, of `model_runs` and `jobs`. A run written by hand has no attempt: 0 stands for it.
/// Reading `numeric` as a float gives the very number that was written.
macro_rules! run_columns {
    () => {
        "model_runs.id, model_runs.model_id, model_runs.job_id, coalesce(model_runs.attempt, 0) AS attempt,
         jobs.prd_id, model_runs.project_id, jobs.role, success, confidence::float8 AS confidence,
         model_runs.score::float8 AS score, attainable, strength, counts, input_tokens, cached_input_tokens, output_tokens,
         cost_nanos, details, model_runs.created_at "
    };
}

/// A list of runs. Those of a job are few and found by it: ordered by `id + 0`, they cannot be looked for among all runs in the
/// order of their numbers.
macro_rules! select_runs {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT ",
            run_columns!(),
            "FROM model_runs JOIN jobs ON jobs.id = model_runs.job_id WHERE ",
            $which,
            " AND model_runs.id < coalesce($3, 9223372036854775807) ORDER BY ",
            $order,
            " DESC LIMIT $4"
        )
    };
}

fn run(row: &PgRow) -> Result<ModelRun, StoreError> {
    let named = Named::new("run", row);
    Ok(ModelRun {
        id: RunId(named.get("id")?),
        run: NewRun {
            model_id: ModelId(named.get("model_id")?),
            job_id: JobId::from_uuid(named.get("job_id")?),
            attempt: named.small("attempt")?,
            prd_id: PrdId::from_uuid(named.get("prd_id")?),
            project_id: ProjectId(named.get("project_id")?),
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

/// All runs of each of these jobs, newest first: as many as it had attempts.
pub(in crate::postgres) async fn of_each_job(core: &Core, jobs: &[JobId]) -> Result<Each<Vec<ModelRun>>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        run_columns!(),
        "FROM unnest(ARRAY(SELECT DISTINCT unnest($1::uuid[]))) AS wanted (job)
             CROSS JOIN LATERAL (SELECT * FROM model_runs WHERE job_id = wanted.job OFFSET 0) AS model_runs
             CROSS JOIN LATERAL (SELECT prd_id, role FROM jobs WHERE jobs.id = wanted.job OFFSET 0) AS jobs
         ORDER BY model_runs.id DESC"
    ));
    let query = query.bind(uuids(jobs.iter().copied()));
    let runs = each(&core.rows("list the runs of jobs", query).await?, run)?;
    let of = |job: &JobId| Ok(runs.iter().filter(|run| run.run.job_id == *job).cloned().collect());
    Ok(jobs.iter().map(of).collect())
}

/// Runs of jobs that are not there, written by hand, are passed over.
pub(super) async fn runs(core: &Core, filter: &RunFilter) -> Result<Vec<ModelRun>, StoreError> {
    let sql = match (filter.job, filter.model) {
        (None, None) => select_runs!("$1::uuid IS NULL AND $2::int IS NULL", "model_runs.id"),
        (Some(_), None) => select_runs!("model_runs.job_id = $1 AND $2::int IS NULL", "model_runs.id + 0"),
        (None, Some(_)) => select_runs!("$1::uuid IS NULL AND model_runs.model_id = $2", "model_runs.id"),
        (Some(_), Some(_)) => select_runs!("model_runs.job_id = $1 AND model_runs.model_id = $2", "model_runs.id + 0"),
    };
    let query = sqlx::query(sql)
        .bind(filter.job.map(JobId::as_uuid))
        .bind(filter.model.map(|model| model.0))
        .bind(filter.before.map(|run| run.0))
        .bind(i64::from(filter.limit));
    each(&core.rows("list runs", query).await?, run)
}

pub(super) async fn stats(core: &Core, since: DateTime<Utc>) -> Result<Vec<ModelStats>, StoreError> {
    let query = sqlx::query(
        "SELECT model_id AS id, sum(runs)::bigint AS runs, sum(successes)::bigint AS successes,
             sum(sum_score) AS sum_score, sum(sum_share) AS sum_share, sum(sum_share_squared) AS sum_share_squared
         FROM models JOIN model_daily ON model_daily.model_id = models.id AND day >= (SELECT ($1 AT TIME ZONE 'UTC')::date)
         GROUP BY model_id ORDER BY model_id",
    );
    each(&core.rows("add up runs", query.bind(since)).await?, |row| {
        let named = Named::new("statistics of model", row);
        Ok(ModelStats {
            model_id: ModelId(named.get("id")?),
            runs: named.number("runs")?,
            successes: named.number("successes")?,
            sum_score: named.get("sum_score")?,
            sum_share: named.get("sum_share")?,
            sum_share_squared: named.get("sum_share_squared")?,
        })
    })
}

pub(super) async fn spending(core: &Core, since: DateTime<Utc>) -> Result<Vec<Spending>, StoreError> {
    let query = sqlx::query(
        "SELECT model_id AS id, project_id, sum(runs)::bigint AS runs, sum(input_tokens)::bigint AS input_tokens,
             sum(output_tokens)::bigint AS output_tokens, sum(cost_nanos)::bigint AS cost_nanos,
             sum(uncounted)::bigint AS uncounted, sum(unpriced)::bigint AS unpriced
         FROM model_spending WHERE day >= ($1 AT TIME ZONE 'UTC')::date
         GROUP BY model_id, project_id ORDER BY model_id, project_id",
    );
    each(&core.rows("add up what was spent", query.bind(since)).await?, |row| {
        let named = Named::new("spending of model", row);
        Ok(Spending {
            model_id: ModelId(named.get("id")?),
            project_id: ProjectId(named.get("project_id")?),
            runs: named.number("runs")?,
            input_tokens: named.number("input_tokens")?,
            output_tokens: named.number("output_tokens")?,
            cost: Usd::from_nanos(named.number("cost_nanos")?),
            uncounted: named.number("uncounted")?,
            unpriced: named.number("unpriced")?,
        })
    })
}
