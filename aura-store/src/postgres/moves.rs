//! What is kept beside the rows of jobs when their states change: how many jobs are in each state, which PRDs the accountant has
//! to look at, and which flags are closed. One statement for all jobs of a verb.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aura_core::{JobId, JobStatus, ModelId, PrdId, StoreError};
use uuid::Uuid;

use super::{trail::Head, write::Write};

/// Locks the end of the audit log.
const HEAD: &str = "SELECT 0::bigint AS id, * FROM hold_audit_head(NOT $1)";

/// Writes what goes with moves. `$ended` enters the jobs that have ended; it is spared where none has, or where they are entered
/// already. The end of the log is asked for once all else is done: who waits for somebody's row does not hold it meanwhile.
macro_rules! keep {
    ($ended:literal) => {
        concat!(
            "WITH handed AS (
                 INSERT INTO handed_in (prds) SELECT $4::uuid[] WHERE $4 <> '{}' RETURNING 1
             ), closed AS (
                 UPDATE job_flags SET closed_at = $6 WHERE closed_at IS NULL AND job_id = ANY($5)
                     AND EXISTS (SELECT 1 FROM job_flags WHERE closed_at IS NULL) RETURNING 1
             ), totals AS (
                 INSERT INTO job_totals (status, model, jobs) SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
                 RETURNING 1
             ), ended AS (",
            $ended,
            "), kept AS (
                 SELECT (SELECT count(*) FROM handed) + (SELECT count(*) FROM closed) + (SELECT count(*) FROM totals)
                     + (SELECT count(*) FROM ended) AS rows
             )
             SELECT 0::bigint AS id, head.*
             FROM kept CROSS JOIN LATERAL (SELECT * FROM hold_audit_head(NOT $7) WHERE kept.rows >= 0 OFFSET 0) AS head"
        )
    };
}
const KEEP: &str = keep!("SELECT 1 WHERE false");
const KEEP_ENDED: &str = keep!(
    "INSERT INTO ended_jobs (status, seq, model, job)
     SELECT status, seq, coalesce(assigned_model, 0), id FROM jobs WHERE id = ANY(ARRAY(SELECT unnest($8::uuid[])))
     ORDER BY status, seq RETURNING 1"
);

/// Changes of state within one verb.
#[derive(Debug, Default)]
pub(super) struct Moves {
    totals: BTreeMap<(JobStatus, i32), i64>,
    /// Into which states jobs were made.
    made: BTreeSet<JobStatus>,
    /// Where each job that moved is now.
    moved: HashMap<Uuid, JobStatus>,
    /// Those that have ended and are to be entered.
    ended: Vec<Uuid>,
    handed_in: BTreeSet<Uuid>,
}

impl Moves {
    /// A job was made.
    pub(super) fn made(&mut self, status: JobStatus) {
        self.count(status, None, 1);
        self.made.insert(status);
    }

    /// A job changed its state; `model` is the one that has it or had it.
    pub(super) fn moved(&mut self, job: JobId, from: JobStatus, to: JobStatus, model: Option<ModelId>) {
        self.moved_and_entered(job, from, to, model);
        if to.is_final() {
            self.ended.push(job.as_uuid());
        }
    }

    /// As [`moved`](Self::moved), by a statement that entered the job among those that have ended, if it has.
    pub(super) fn moved_and_entered(&mut self, job: JobId, from: JobStatus, to: JobStatus, model: Option<ModelId>) {
        self.count(from, model, -1);
        self.count(to, model, 1);
        self.moved.insert(job.as_uuid(), to);
    }

    /// Into which states jobs came, and are in now: one that was assigned and claimed waits for nobody.
    pub(super) fn to(&self) -> Vec<JobStatus> {
        let to: BTreeSet<_> = self.made.iter().chain(self.moved.values()).copied().collect();
        to.into_iter().collect()
    }

    /// The jobs that moved, whose flags are closed.
    pub(super) fn jobs(self) -> Vec<Uuid> {
        self.moved.into_keys().collect()
    }

    /// The accountant has to look at this PRD.
    pub(super) fn assess_later(&mut self, prd: PrdId) {
        self.handed_in.insert(prd.as_uuid());
    }

    fn count(&mut self, status: JobStatus, model: Option<ModelId>, by: i64) {
        let busy = matches!(status, JobStatus::Assigned | JobStatus::InProgress);
        let model = model.filter(|_| busy).map_or(0, |model| model.0);
        *self.totals.entry((status, model)).or_default() += by;
    }

    /// Writes everything, and when the verb leaves a trail, locks the end of the audit log in the same go: answers with
    /// it then.
    pub(super) async fn write(self, write: &mut Write<'_>, trail: bool) -> Result<Option<Head>, StoreError> {
        let (mut statuses, mut models, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for ((status, model), count) in self.totals.into_iter().filter(|(_, count)| *count != 0) {
            statuses.push(status.as_str());
            models.push(model);
            counts.push(count);
        }
        let prds: Vec<Uuid> = self.handed_in.into_iter().collect();
        let jobs: Vec<Uuid> = self.moved.into_keys().collect();
        if statuses.is_empty() && prds.is_empty() && jobs.is_empty() {
            if !trail {
                return Ok(None);
            }
            let row = write.row(sqlx::query(HEAD).bind(write.is_awaited)).await?;
            return row.as_ref().map(Head::of).transpose();
        }
        let ended = self.ended;
        let query = sqlx::query(if ended.is_empty() { KEEP } else { KEEP_ENDED });
        let query =
            query.bind(statuses).bind(models).bind(counts).bind(prds).bind(jobs).bind(write.now).bind(write.is_awaited);
        let row = write.row(if ended.is_empty() { query } else { query.bind(ended) }).await?;
        row.as_ref().map(Head::of).transpose()
    }
}
