//! Attempts that ended without a run, and may have been billed: their cost is not known, and the day's sums say so.

use aura_core::{Job, JobState, StoreError};

use super::super::write::Write;

impl Write<'_> {
    /// Takes down the attempt under way of a job; `job` is as it was before it ended.
    pub(super) async fn ended_without_a_run(&mut self, job: &Job) -> Result<(), StoreError> {
        let JobState::InProgress { model, .. } = &job.state else { return Ok(()) };
        let query = sqlx::query(
            "INSERT INTO model_spending
                 (model_id, project_id, day, runs, input_tokens, output_tokens, cost_nanos, uncounted, unpriced)
             VALUES (?, ?, substr(?, 1, 10), 0, 0, 0, 0, 1, 1)
             ON CONFLICT (model_id, project_id, day) DO UPDATE SET uncounted = uncounted + 1, unpriced = unpriced + 1",
        );
        self.run(query.bind(model.0).bind(job.project_id.0).bind(self.now_text())).await.map(drop)
    }
}
