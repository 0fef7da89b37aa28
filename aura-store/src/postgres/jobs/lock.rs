//! Locks on jobs, in an order in which no two verbs wait for one another.

use std::collections::{HashMap, HashSet};

use aura_core::{Job, JobId, StoreError};
use uuid::Uuid;

use super::{
    super::{
        row::{Named, each},
        write::Write,
    },
    queue::each_waiting,
    record::{self, job_columns},
};

impl Write<'_> {
    /// Keeps workers from claiming these jobs until the transaction ends. A claim locks the row of the queue before the job's:
    /// who moves a job that waits does so in the same order, so that the two cannot wait for one another in a circle.
    pub(super) async fn lock_queue(&mut self, ids: impl Iterator<Item = JobId>) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = ids.map(JobId::as_uuid).collect();
        let query = sqlx::query(concat!(
            "SELECT job AS id FROM ",
            each_waiting!(
                "SELECT coalesce(assigned_model, 0) AS model, seq FROM jobs
                 WHERE id = ANY($1) AND status IN ('QUEUED', 'ASSIGNED') ORDER BY 1, 2",
                "FOR UPDATE"
            ),
            " AS held"
        ));
        self.run(query.bind(ids)).await.map(drop)
    }

    /// As [`lock_queue`](Self::lock_queue) for jobs that nobody else is moving right now; answers which these are. A transaction that
    /// somebody left open elsewhere holds up its own job then, and no other.
    pub(super) async fn lock_free(&mut self, ids: impl Iterator<Item = JobId>) -> Result<HashSet<JobId>, StoreError> {
        let ids: Vec<Uuid> = ids.map(JobId::as_uuid).collect();
        let query = sqlx::query(concat!(
            "SELECT job AS id FROM ",
            each_waiting!(
                "SELECT 0 AS model, seq FROM jobs WHERE id = ANY($1) AND status = 'QUEUED' ORDER BY seq",
                "FOR UPDATE SKIP LOCKED"
            ),
            " AS held"
        ));
        let rows = self.rows(query.bind(ids)).await?;
        Ok(each(&rows, |row| Named::new("job", row).get("id").map(JobId::from_uuid))?.into_iter().collect())
    }

    /// Jobs as they are, which others may be moving.
    pub(super) async fn see_jobs(&mut self, ids: Vec<Uuid>) -> Result<HashMap<JobId, Job>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let query = sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE id = ANY($1)"));
        let jobs = each(&self.rows(query.bind(ids)).await?, record::job)?;
        Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
    }

    /// Jobs as this transaction sees them, kept from others until it ends. They are locked in the order of their ids, so that
    /// two transactions cannot wait for one another in a circle.
    pub(crate) async fn lock_jobs(
        &mut self,
        ids: impl Iterator<Item = JobId>,
    ) -> Result<HashMap<JobId, Job>, StoreError> {
        let ids: Vec<Uuid> = ids.map(JobId::as_uuid).collect();
        let query = sqlx::query(concat!(
            "SELECT ",
            job_columns!(),
            "FROM jobs WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
        ));
        let jobs = each(&self.rows(query.bind(ids)).await?, record::job)?;
        Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
    }
}
