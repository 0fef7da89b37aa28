//! Attempts that ended without a run, and may have been billed: their cost is not known, and the day's sums say so.

use aura_core::{ModelId, ProjectId, StoreError};

use super::super::write::Write;

impl Write<'_> {
    /// Takes down one attempt for each pair. Rows are touched in the order of their keys, as where runs land, so that two
    /// transactions cannot wait for one another in a circle.
    pub(super) async fn ended_without_a_run(&mut self, attempts: Vec<(ModelId, ProjectId)>) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        let (models, projects): (Vec<i32>, Vec<i32>) =
            attempts.into_iter().map(|(model, project)| (model.0, project.0)).unzip();
        let query = sqlx::query(
            "INSERT INTO model_spending AS spent
                 (model_id, project_id, day, runs, input_tokens, output_tokens, cost_nanos, uncounted, unpriced)
             SELECT model, project, ($3 AT TIME ZONE 'UTC')::date, 0, 0, 0, 0, count(*), count(*)
             FROM unnest($1::int[], $2::int[]) AS ended (model, project) GROUP BY model, project ORDER BY model, project
             ON CONFLICT (day, model_id, project_id) DO UPDATE SET
                 uncounted = spent.uncounted + excluded.uncounted, unpriced = spent.unpriced + excluded.unpriced",
        );
        self.run(query.bind(models).bind(projects).bind(self.now)).await.map(drop)
    }
}
