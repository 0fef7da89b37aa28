//! Assignment: which model gets a queued job, and taking an unclaimed job away from it again.

use std::collections::{HashMap, HashSet};

use aura_core::{
    Action, Actor, Job, JobId, JobStatus, ModelId, PrdId, StoreError,
    contract::store::{Assignment, Each},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Core,
        row::{Named, each},
        write::{Answers, Write, again},
    },
    record::{self, job_columns},
};
use crate::facts::facts;

pub(super) async fn assign(core: &Core, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
    again(|| assign_once(core, assignments)).await
}

/// What an assignment is decided on.
struct Known {
    jobs: HashMap<JobId, Job>,
    models: HashMap<ModelId, Hired>,
    /// Which job of a PRD a model works on.
    taken: HashMap<(PrdId, ModelId), JobId>,
}

/// A model that may be given a job.
struct Hired {
    name: String,
    hold: Option<String>,
    is_active: bool,
}

async fn assign_once(core: &Core, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
    let mut write = core.write("assign jobs").await?;
    let mut known = Known {
        jobs: write.lock_jobs(assignments.iter().map(|assignment| assignment.job)).await?,
        models: models(&mut write, assignments).await?,
        taken: HashMap::new(),
    };
    known.taken = taken(&mut write, known.jobs.values().map(|job| job.prd_id)).await?;
    let mut answers = Answers::of(assignments.len());
    let (mut ids, mut of, mut probes) = (Vec::new(), Vec::new(), Vec::new());
    for (item, assignment) in assignments.iter().enumerate() {
        let answer = known.check(assignment).map(|(job, name)| {
            ids.push(job.id.as_uuid());
            of.push(assignment.model.0);
            probes.push(assignment.probe);
            write.moves.moved(job.id, JobStatus::Queued, JobStatus::Assigned, Some(assignment.model));
            let more = json!({ "model_id": assignment.model, "probe": assignment.probe, "reason": assignment.reason });
            write.trail.both(&Actor::scheduler(), job.id, Action::JobAssigned, facts(job, Some(name), more));
            job.prd_id
        });
        if let Ok(prd) = &answer {
            known.taken.insert((*prd, assignment.model), assignment.job);
            // The same job again in this batch comes too late.
            known.jobs.remove(&assignment.job);
        }
        answers.set(item, answer.map(drop));
    }
    if !ids.is_empty() {
        let query = sqlx::query(
            "WITH assigned AS (
                 UPDATE jobs SET status = 'ASSIGNED', assigned_model = new.model, probe = new.probe, updated_at = $4
                 FROM unnest($1::uuid[], $2::int[], $3::boolean[]) AS new (id, model, probe)
                 WHERE jobs.id = new.id AND jobs.status = 'QUEUED' RETURNING jobs.id, jobs.seq, jobs.assigned_model
             ), gone AS (
                 DELETE FROM queue WHERE model = 0 AND seq = ANY(ARRAY(SELECT seq FROM assigned))
             ), there AS (
                 INSERT INTO queue (model, seq, job, since) SELECT assigned_model, seq, id, $4 FROM assigned
             )
             SELECT assigned_model AS model, min(seq) AS seq FROM assigned GROUP BY assigned_model",
        );
        write.run_back(query.bind(ids).bind(of).bind(probes).bind(write.now)).await?;
    }
    write.commit().await?;
    answers.all()
}

impl Known {
    /// Whether this model may have this job; answers with the job and the model's name.
    fn check(&self, assignment: &Assignment) -> Result<(&Job, &str), StoreError> {
        let Some(job) = self.jobs.get(&assignment.job) else {
            return Err(StoreError::not_found("job", assignment.job));
        };
        if job.state.status() != JobStatus::Queued {
            return Err(moved_on(job, JobStatus::Queued));
        }
        if job.pinned.is_some_and(|pinned| pinned != assignment.model) {
            return Err(StoreError::conflict("job", job.id, "asks for another model"));
        }
        let Some(model) = self.models.get(&assignment.model) else {
            return Err(StoreError::not_found("model", assignment.model));
        };
        if let Some(hold) = &model.hold {
            return Err(StoreError::conflict("model", &model.name, format!("is on hold: {hold}")));
        }
        if !model.is_active && !assignment.probe {
            return Err(StoreError::conflict("model", &model.name, "is suspended and gets only its probe share"));
        }
        if let Some(other) = self.taken.get(&(job.prd_id, assignment.model)).filter(|other| **other != job.id) {
            let reason = format!("works on the same PRD already, in job {other}");
            return Err(StoreError::conflict("model", &model.name, reason));
        }
        Ok((job, &model.name))
    }
}

async fn models(write: &mut Write<'_>, assignments: &[Assignment]) -> Result<HashMap<ModelId, Hired>, StoreError> {
    let ids: HashSet<i32> = assignments.iter().map(|assignment| assignment.model.0).collect();
    let query = sqlx::query("SELECT id, name, hold, is_active FROM models WHERE id = ANY($1)");
    let rows = write.rows(query.bind(ids.into_iter().collect::<Vec<_>>())).await?;
    let models = each(&rows, |row| {
        let named = Named::new("model", row);
        let model = Hired { name: named.get("name")?, hold: named.get("hold")?, is_active: named.get("is_active")? };
        Ok((ModelId(named.get("id")?), model))
    })?;
    Ok(models.into_iter().collect())
}

/// Which models work on these PRDs. PRDs with several jobs are locked before their jobs are read, so that two schedulers
/// cannot give two of them to one model.
async fn taken(
    write: &mut Write<'_>,
    prds: impl Iterator<Item = PrdId>,
) -> Result<HashMap<(PrdId, ModelId), JobId>, StoreError> {
    let prds: HashSet<Uuid> = prds.map(PrdId::as_uuid).collect();
    let prds: Vec<Uuid> = prds.into_iter().collect();
    let query = sqlx::query(
        "SELECT id FROM prds WHERE id = ANY($1) AND cardinality(jobs) > 1
         ORDER BY id FOR NO KEY UPDATE",
    );
    let several: Vec<Uuid> = each(&write.rows(query.bind(prds)).await?, |row| Named::new("PRD", row).get("id"))?;
    if several.is_empty() {
        return Ok(HashMap::new());
    }
    let query = sqlx::query(
        "SELECT id, prd_id, assigned_model FROM jobs WHERE prd_id = ANY($1) AND assigned_model IS NOT NULL
         AND status IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED')",
    );
    let rows = write.rows(query.bind(several)).await?;
    let taken = each(&rows, |row| {
        let named = Named::new("job", row);
        let key = (PrdId::from_uuid(named.get("prd_id")?), ModelId(named.get("assigned_model")?));
        Ok((key, JobId::from_uuid(named.get("id")?)))
    })?;
    Ok(taken.into_iter().collect())
}

fn moved_on(job: &Job, expected: JobStatus) -> StoreError {
    StoreError::conflict("job", job.id, format!("is {}, not {expected}: somebody was faster", job.state.status()))
}

pub(super) async fn unassign(core: &Core, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
    again(|| unassign_once(core, jobs, reason)).await
}

async fn unassign_once(core: &Core, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
    let mut write = core.write("take jobs back from models").await?;
    write.lock_queue(jobs.iter().copied()).await?;
    let known = write.lock_jobs(jobs.iter().copied()).await?;
    let names = write.names_of(known.values().filter_map(|job| job.state.model())).await?;
    let mut answers = Answers::of(jobs.len());
    let mut ids = Vec::new();
    for (item, id) in jobs.iter().enumerate() {
        let answer = match known.get(id) {
            None => Err(StoreError::not_found("job", id)),
            Some(job) if job.state.status() != JobStatus::Assigned || ids.contains(&id.as_uuid()) => {
                Err(moved_on(job, JobStatus::Assigned))
            }
            Some(job) => {
                ids.push(id.as_uuid());
                write.moves.moved(*id, JobStatus::Assigned, JobStatus::Queued, job.state.model());
                let name = job.state.model().and_then(|model| names.get(&model));
                let details = facts(job, name.map(String::as_str), json!({ "reason": reason }));
                write.trail.both(&Actor::scheduler(), *id, Action::JobUnassigned, details);
                Ok(())
            }
        };
        answers.set(item, answer);
    }
    if !ids.is_empty() {
        let query = sqlx::query(
            "WITH gone AS (
                 DELETE FROM queue USING jobs WHERE jobs.id = ANY($1) AND queue.model = jobs.assigned_model AND queue.seq = jobs.seq
             ), back AS (
                 UPDATE jobs SET status = 'QUEUED', assigned_model = NULL, probe = false, updated_at = $2
                 WHERE id = ANY($1) AND status = 'ASSIGNED' RETURNING id, seq, not_before
             ), there AS (
                 INSERT INTO queue (model, seq, job, since, not_before) SELECT 0, seq, id, $2, not_before FROM back
             )
             SELECT 0 AS model, min(seq) AS seq FROM back HAVING count(*) > 0",
        );
        write.run_back(query.bind(ids).bind(write.now)).await?;
    }
    write.commit().await?;
    answers.all()
}

impl Write<'_> {
    /// Keeps workers from claiming these jobs until the transaction ends. A claim locks the row of the queue before the job's:
    /// who moves a job that waits does so in the same order, so that the two cannot wait for one another in a circle.
    pub(super) async fn lock_queue(&mut self, ids: impl Iterator<Item = JobId>) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = ids.map(JobId::as_uuid).collect();
        let query = sqlx::query(
            "SELECT queue.job AS id FROM jobs JOIN queue
                 ON queue.model = coalesce(jobs.assigned_model, 0) AND queue.seq = jobs.seq
             WHERE jobs.id = ANY($1) AND jobs.status IN ('QUEUED', 'ASSIGNED')
             ORDER BY queue.model, queue.seq FOR UPDATE OF queue",
        );
        self.run(query.bind(ids)).await.map(drop)
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
