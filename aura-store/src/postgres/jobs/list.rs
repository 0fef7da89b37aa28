//! Reading PRDs, jobs and their histories.

use std::collections::HashMap;

use aura_core::{
    Job, JobEvent, JobId, JobStatus, Prd, PrdId, StoreError,
    contract::store::{Each, JobCount, JobFilter},
};
use uuid::Uuid;

use super::{
    super::{
        Core,
        row::{Named, each},
        value,
    },
    record::{self, claimed_lately, job_columns, prd_columns, submitted},
};

/// The PRDs of these ids, in their order.
pub(super) const PRDS_BY_ID: &str = concat!(
    "SELECT ",
    prd_columns!(),
    "FROM unnest((SELECT $1::uuid[])) WITH ORDINALITY AS wanted (id, n)
         CROSS JOIN LATERAL (SELECT * FROM prds WHERE prds.id = wanted.id OFFSET 0) AS prds
         LEFT JOIN LATERAL (SELECT verdict FROM verdicts WHERE verdicts.prd_id = prds.id OFFSET 0) AS verdicts ON true
     ORDER BY wanted.n"
);

/// Ids as PostgreSQL takes them.
pub(in crate::postgres) fn uuids<I: Into<Id>>(ids: impl IntoIterator<Item = I>) -> Vec<Uuid> {
    ids.into_iter().map(|id| id.into().0).collect()
}

/// An id of a PRD or a job.
pub(in crate::postgres) struct Id(Uuid);

impl From<PrdId> for Id {
    fn from(id: PrdId) -> Self {
        Self(id.as_uuid())
    }
}

impl From<JobId> for Id {
    fn from(id: JobId) -> Self {
        Self(id.as_uuid())
    }
}

pub(super) async fn prds(core: &Core, ids: &[PrdId]) -> Result<Vec<Prd>, StoreError> {
    let query = sqlx::query(PRDS_BY_ID).bind(uuids(ids.iter().copied()));
    each(&core.rows("read PRDs", query).await?, record::prd)
}

pub(super) async fn prd_by_key(core: &Core, key: &str) -> Result<Option<Prd>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        prd_columns!(),
        "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id WHERE prds.idempotency_key = $1"
    ));
    let query = query.bind(value::text(key).into_owned());
    core.row("read a PRD by its key", query).await?.map(|row| record::prd(&row)).transpose()
}

pub(super) async fn recent_prds(core: &Core, before: Option<PrdId>, limit: u32) -> Result<Vec<Prd>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        prd_columns!(),
        "FROM prds LEFT JOIN verdicts ON verdicts.prd_id = prds.id
         WHERE prds.id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) ORDER BY prds.id DESC LIMIT $2"
    ));
    let query = query.bind(before.map(PrdId::as_uuid)).bind(i64::from(limit));
    each(&core.replica_rows("list PRDs", query).await?, record::prd)
}

/// What is there of each of these ids.
pub(super) async fn each_prd(core: &Core, ids: &[PrdId]) -> Result<Each<Option<Prd>>, StoreError> {
    let prds: HashMap<_, _> = prds(core, ids).await?.into_iter().map(|prd| (prd.id, prd)).collect();
    Ok(ids.iter().map(|id| Ok(prds.get(id).cloned())).collect())
}

/// What is there of each of these ids.
pub(super) async fn each_job(core: &Core, ids: &[JobId]) -> Result<Each<Option<Job>>, StoreError> {
    let query =
        sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE id = ANY(ARRAY(SELECT unnest($1::uuid[])))"));
    let rows = core.rows("read jobs", query.bind(uuids(ids.iter().copied()))).await?;
    let jobs: HashMap<_, _> = each(&rows, record::job)?.into_iter().map(|job| (job.id, job)).collect();
    Ok(ids.iter().map(|id| Ok(jobs.get(id).cloned())).collect())
}

/// The first jobs of each of these PRDs, each with how many are wanted.
pub(super) async fn of_each_prd(core: &Core, wanted: &[(PrdId, u32)]) -> Result<Each<Vec<Job>>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM unnest((SELECT $1::uuid[])) AS wanted (prd) CROSS JOIN LATERAL (
             SELECT * FROM jobs WHERE jobs.prd_id = wanted.prd ORDER BY seq LIMIT (SELECT $2::bigint)) AS jobs
         ORDER BY jobs.seq"
    ));
    let mut prds = uuids(wanted.iter().map(|(prd, _)| *prd));
    prds.sort_unstable();
    prds.dedup();
    let most = wanted.iter().map(|(_, limit)| *limit).max().unwrap_or_default();
    let rows = core.rows("list the jobs of PRDs", query.bind(prds).bind(i64::from(most))).await?;
    let mut jobs: HashMap<PrdId, Vec<Job>> = HashMap::new();
    for row in &rows {
        let job = record::job(row)?;
        jobs.entry(job.prd_id).or_default().push(job);
    }
    let of = |(prd, limit): &(PrdId, u32)| {
        jobs.get(prd).map(|jobs| jobs.iter().take(*limit as usize).cloned().collect()).unwrap_or_default()
    };
    Ok(wanted.iter().map(|wanted| Ok(of(wanted))).collect())
}

/// The place behind which a list begins.
macro_rules! start {
    () => {
        "coalesce((SELECT seq FROM jobs AS before WHERE before.id = $3), 0)"
    };
}

/// A list of jobs. `$1` is the PRD, `$2` the model, `$3` the job after which the list begins, `$4` its length.
macro_rules! list {
    ($($which:expr),+) => {
        concat!(
            "SELECT ",
            job_columns!(),
            "FROM jobs WHERE ",
            $($which,)+
            " AND ($1::uuid IS NULL OR jobs.prd_id = $1) AND ($2::int IS NULL OR jobs.assigned_model = $2)
             AND jobs.seq > ",
            start!(),
            " ORDER BY jobs.seq LIMIT $4"
        )
    };
}

/// The first jobs that wait for a model (0), or for a worker of it.
macro_rules! waiting_for {
    ($model:literal) => {
        concat!(
            "ARRAY(SELECT job FROM queue WHERE model = ",
            $model,
            " AND seq > ",
            start!(),
            " ORDER BY seq LIMIT $4)"
        )
    };
}

/// The first jobs that wait for a worker of any model.
macro_rules! assigned {
    () => {
        concat!(
            "ARRAY(SELECT found.job FROM models CROSS JOIN LATERAL (
                 SELECT job, seq FROM queue WHERE queue.model = models.id AND seq > ",
            start!(),
            " ORDER BY seq LIMIT $4) AS found ORDER BY found.seq LIMIT $4)"
        )
    };
}

/// The first jobs that ended so, of a model (`"model = $2"`) or of any (`"true"`).
macro_rules! ended {
    ($status:literal, $model:literal) => {
        concat!(
            "ARRAY(SELECT job FROM ended_jobs WHERE status = '",
            $status,
            "' AND ",
            $model,
            " AND seq > ",
            start!(),
            " ORDER BY seq LIMIT $4)"
        )
    };
}

/// What a model has or had: no index holds it as it is, so the first jobs of each state are put together.
macro_rules! of_model {
    () => {
        list!(
            "jobs.id = ANY(",
            waiting_for!("$2"),
            " || ",
            claimed_lately!(),
            " || ",
            submitted!(),
            " || ",
            ended!("VALIDATED", "model = $2"),
            " || ",
            ended!("FAILED", "model = $2"),
            ")"
        )
    };
}

pub(super) async fn jobs(core: &Core, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
    let sql = match (filter.prd, filter.status, filter.model) {
        (Some(_), None, _) => list!("jobs.prd_id = $1"),
        (Some(_), Some(_), _) => list!("jobs.prd_id = $1 AND jobs.status = $5"),
        (None, None, None) => list!("true"),
        (None, None, Some(_)) => of_model!(),
        (None, Some(JobStatus::Queued), _) => {
            list!("jobs.status = 'QUEUED' AND jobs.id = ANY(", waiting_for!("0"), ")")
        }
        (None, Some(JobStatus::Assigned), None) => {
            list!("jobs.status = 'ASSIGNED' AND jobs.id = ANY(", assigned!(), ")")
        }
        (None, Some(JobStatus::Assigned), Some(_)) => {
            list!("jobs.status = 'ASSIGNED' AND jobs.id = ANY(", waiting_for!("$2"), ")")
        }
        (None, Some(JobStatus::InProgress), _) => {
            list!("jobs.status = 'IN_PROGRESS' AND jobs.id = ANY(", claimed_lately!(), ")")
        }
        (None, Some(JobStatus::Submitted), _) => {
            list!("jobs.status = 'SUBMITTED' AND jobs.id = ANY(", submitted!(), ")")
        }
        (None, Some(JobStatus::Validated), None) => list!("jobs.id = ANY(", ended!("VALIDATED", "true"), ")"),
        (None, Some(JobStatus::Validated), Some(_)) => list!("jobs.id = ANY(", ended!("VALIDATED", "model = $2"), ")"),
        (None, Some(JobStatus::Failed), None) => list!("jobs.id = ANY(", ended!("FAILED", "true"), ")"),
        (None, Some(JobStatus::Failed), Some(_)) => list!("jobs.id = ANY(", ended!("FAILED", "model = $2"), ")"),
        (None, Some(JobStatus::Cancelled), None) => list!("jobs.id = ANY(", ended!("CANCELLED", "true"), ")"),
        (None, Some(JobStatus::Cancelled), Some(_)) => list!("jobs.id = ANY(", ended!("CANCELLED", "model = $2"), ")"),
    };
    let mut query = sqlx::query(sql)
        .bind(filter.prd.map(PrdId::as_uuid))
        .bind(filter.model.map(|id| id.0))
        .bind(filter.after.map(JobId::as_uuid))
        .bind(i64::from(filter.limit));
    if let (Some(_), Some(status)) = (filter.prd, filter.status) {
        query = query.bind(status.as_str());
    }
    each(&core.rows("list jobs", query).await?, record::job)
}

pub(super) async fn job_counts(core: &Core) -> Result<Vec<JobCount>, StoreError> {
    let query =
        sqlx::query("SELECT status, sum(jobs)::bigint AS jobs FROM job_totals GROUP BY status HAVING sum(jobs) > 0");
    let mut counts = each(&core.rows("count jobs", query).await?, |row| {
        let named = Named::new("job count", row);
        Ok(JobCount { status: named.parsed("status")?, jobs: named.number("jobs")? })
    })?;
    counts.sort_by_key(|count| count.status);
    Ok(counts)
}

/// Only months since the job was made are looked at. Lines by hand stand by their time among the others.
pub(super) async fn job_events(core: &Core, job: JobId) -> Result<Vec<JobEvent>, StoreError> {
    let query = sqlx::query(
        "SELECT id, job_id, event_type, details, created_at FROM job_events
         WHERE job_id = $1 AND created_at >= coalesce((SELECT created_at FROM jobs WHERE id = $1), '-infinity') ORDER BY created_at, id",
    );
    each(&core.replica_rows("read a job's history", query.bind(job.as_uuid())).await?, |row| {
        let named = Named::new("job event", row);
        Ok(JobEvent {
            id: named.get("id")?,
            job_id: JobId::from_uuid(named.get("job_id")?),
            event_type: named.get("event_type")?,
            details: named.json("details")?,
            created_at: named.time("created_at")?,
        })
    })
}
