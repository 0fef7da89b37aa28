//! Assignment: which model gets a queued job.

use std::collections::{BTreeSet, HashMap, HashSet};

use aura_core::{
    Action, Actor, Job, JobId, JobStatus, ModelId, PrdId, StoreError,
    contract::store::{Assignment, Each},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Core,
        marks::Scan,
        row::{Named, each},
        write::{Answers, Write, again},
    },
    queue::{and_free_in_queue, leave_queue},
    unassign::moved_on,
};
use crate::facts::{About, facts};

pub(super) async fn assign(core: &Core, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
    again(|| assign_once(core, assignments)).await
}

/// Whether the model of an assignment `new (model, probe)` may be given jobs; `$models` lists those that occur, so that each is looked
/// up once.
macro_rules! model_takes_jobs {
    ($models:literal) => {
        concat!(
            "(new.model = ANY(ARRAY(
                 SELECT id FROM models WHERE id = ANY(",
            $models,
            "::int[]) AND hold IS NULL AND is_active
             )) OR new.probe AND new.model = ANY(ARRAY(SELECT id FROM models WHERE id = ANY(",
            $models,
            ") AND hold IS NULL)))"
        )
    };
}
pub(super) use model_takes_jobs;

/// Each model once.
pub(super) fn distinct(models: &[i32]) -> Vec<i32> {
    let models: BTreeSet<i32> = models.iter().copied().collect();
    models.into_iter().collect()
}

/// What an assignment is decided on.
struct Known {
    jobs: HashMap<JobId, Job>,
    /// Those that are not queued, or that another transaction is moving.
    busy: HashMap<JobId, Job>,
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
    let mut answers = Answers::of(assignments.len());
    within(&mut write, assignments, &answers.missing(), &mut answers).await?;
    write.commit().await?;
    answers.all()
}

/// Assigns `fresh` ones of the assignments, and all that have no answer, within a verb that is under way.
pub(super) async fn within(
    write: &mut Write<'_>,
    assignments: &[Assignment],
    fresh: &[usize],
    answers: &mut Answers<()>,
) -> Result<(), StoreError> {
    let of = |items: &[usize]| -> Vec<_> {
        items.iter().filter_map(|item| Some((*item, assignments.get(*item)?))).collect()
    };
    if !fresh.is_empty() {
        give(write, &of(fresh), answers).await?;
    }
    let rest = of(&answers.missing());
    if !rest.is_empty() {
        look_and_give(write, &rest, answers).await?;
    }
    Ok(())
}

/// Assigns what may be assigned by all that one statement can see: the job is the only one of its PRD. The others get no answer.
async fn give(
    write: &mut Write<'_>,
    assignments: &[(usize, &Assignment)],
    answers: &mut Answers<()>,
) -> Result<(), StoreError> {
    let (mut items, mut ids, mut of, mut probes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (place, (_, assignment)) in (0_i64..).zip(assignments) {
        // The same job again in this batch comes too late.
        if seen.insert(assignment.job) {
            items.push(place);
            ids.push(assignment.job.as_uuid());
            of.push(assignment.model.0);
            probes.push(assignment.probe);
        }
    }
    let query = sqlx::query(concat!(
        "WITH waits AS (
             SELECT new.*, there.place, job.place AS job_place
             FROM (SELECT unnest($1::bigint[]) AS item, unnest($2::uuid[]) AS id, unnest($3::int[]) AS model,
                       unnest($4::boolean[]) AS probe) AS new ",
        and_free_in_queue!(),
        " WHERE ",
        model_takes_jobs!("$6"),
        "
         ), assigned AS (
             UPDATE jobs SET status = 'ASSIGNED', assigned_model = new.model, probe = new.probe, updated_at = $5
             FROM (SELECT * FROM waits ORDER BY id) AS new
             WHERE jobs.ctid = new.job_place AND jobs.id = new.id AND jobs.status = 'QUEUED'
               AND coalesce(jobs.pinned_model = new.model, true)
               AND (SELECT cardinality(prds.jobs) = 1 FROM prds WHERE prds.id = jobs.prd_id)
             RETURNING jobs.id, new.item, jobs.seq, jobs.prd_id, jobs.attempt, jobs.assigned_model, new.place
         ), gone AS (
             DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT place FROM assigned))
         ), there AS (
             INSERT INTO queue (model, seq, job, since) SELECT assigned_model, seq, id, $5 FROM assigned
         )
         SELECT id, item, seq, prd_id, attempt, assigned_model FROM assigned",
    ));
    let models = distinct(&of);
    let query = query.bind(items).bind(ids).bind(of).bind(probes).bind(write.now).bind(&models);
    let mut given = each(&write.rows(query).await?, |row| {
        let named = Named::new("job", row);
        let prd = PrdId::from_uuid(named.get("prd_id")?);
        let about = About { job: JobId::from_uuid(named.get("id")?), prd, attempt: named.small("attempt")? };
        Ok((named.number::<usize>("item")?, about, named.get("seq")?, ModelId(named.get("assigned_model")?)))
    })?;
    given.sort_unstable_by_key(|(place, ..)| *place);
    let names = write.names_of(models.into_iter().map(ModelId)).await?;
    for (place, about, seq, model) in given {
        let Some((item, assignment)) = assignments.get(place) else { continue };
        write.back(Scan::Queue(model.0), seq);
        note(write, assignment, about, names.get(&model).map(String::as_str));
        answers.set(*item, Ok(()));
    }
    Ok(())
}

/// Leaves what goes with an assignment.
pub(super) fn note(write: &mut Write<'_>, assignment: &Assignment, about: About, name: Option<&str>) {
    let Assignment { job, model, probe, reason } = assignment;
    write.moves.moved(*job, JobStatus::Queued, JobStatus::Assigned, Some(*model));
    let more = json!({ "model_id": model, "probe": probe, "reason": reason });
    write.trail.both(&Actor::scheduler(), *job, Action::JobAssigned, facts(about, name, more));
}

/// Looks at jobs, models and PRDs, assigns what may be assigned, and says of all others why not.
async fn look_and_give(
    write: &mut Write<'_>,
    assignments: &[(usize, &Assignment)],
    answers: &mut Answers<()>,
) -> Result<(), StoreError> {
    let asked = || assignments.iter().map(|(_, assignment)| assignment.job);
    let free = write.lock_free(asked()).await?;
    let mut known = Known {
        jobs: write.lock_jobs(free.iter().copied()).await?,
        busy: write.see_jobs(asked().filter(|job| !free.contains(job)).map(JobId::as_uuid).collect()).await?,
        models: models(write, assignments.iter().map(|(_, assignment)| assignment.model)).await?,
        taken: HashMap::new(),
    };
    known.taken = taken(write, known.jobs.values().map(|job| job.prd_id)).await?;
    let (mut ids, mut of, mut probes) = (Vec::new(), Vec::new(), Vec::new());
    for (item, assignment) in assignments {
        let answer = known.check(assignment).map(|(job, name)| {
            ids.push(job.id.as_uuid());
            of.push(assignment.model.0);
            probes.push(assignment.probe);
            note(write, assignment, job.into(), Some(name));
            job.prd_id
        });
        if let Ok(prd) = &answer {
            known.taken.insert((*prd, assignment.model), assignment.job);
            // The same job again in this batch comes too late.
            known.busy.extend(known.jobs.remove_entry(&assignment.job));
        }
        answers.set(*item, answer.map(drop));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(concat!(
        "WITH assigned AS (
             UPDATE jobs SET status = 'ASSIGNED', assigned_model = new.model, probe = new.probe, updated_at = $4
             FROM unnest($1::uuid[], $2::int[], $3::boolean[]) AS new (id, model, probe)
             WHERE jobs.id = new.id AND jobs.status = 'QUEUED' RETURNING jobs.id, jobs.seq, jobs.assigned_model
         ), gone AS (
             ",
        leave_queue!("SELECT 0 AS model, seq FROM assigned"),
        "), there AS (
             INSERT INTO queue (model, seq, job, since) SELECT assigned_model, seq, id, $4 FROM assigned
         )
         SELECT assigned_model AS model, min(seq) AS seq FROM assigned GROUP BY assigned_model"
    ));
    write.run_back(query.bind(ids).bind(of).bind(probes).bind(write.now)).await
}

impl Known {
    /// Whether this model may have this job; answers with the job and the model's name.
    fn check(&self, assignment: &Assignment) -> Result<(&Job, &str), StoreError> {
        let Some(job) = self.jobs.get(&assignment.job) else {
            return Err(match self.busy.get(&assignment.job) {
                None => StoreError::not_found("job", assignment.job),
                Some(job) if job.state.status() == JobStatus::Queued => {
                    StoreError::conflict("job", job.id, "is being moved by somebody else")
                }
                Some(job) => moved_on(job, JobStatus::Queued),
            });
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

async fn models(
    write: &mut Write<'_>,
    asked: impl Iterator<Item = ModelId>,
) -> Result<HashMap<ModelId, Hired>, StoreError> {
    let ids: HashSet<i32> = asked.map(|model| model.0).collect();
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
