//! Assignment: which model gets a queued job.

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
    unassign::moved_on,
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
