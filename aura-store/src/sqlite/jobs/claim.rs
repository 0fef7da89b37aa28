//! Claiming: a worker takes assigned jobs under fresh leases.

use std::collections::HashMap;

use aura_core::{
    Action, Actor, Job, JobId, JobState, Lease, Prd, PrdId, StoreError,
    contract::store::{Claim, ClaimedJob, Wanted},
    job::Door,
};
use serde_json::{Value, json};

use super::{
    super::{
        SqliteStore, moment,
        row::{Named, each},
        write::{Statement, Write},
    },
    list::{PRDS_BY_ID, id_list},
    record::{self, job_columns},
};
use crate::facts::{facts, facts_of_all, groups};

const ACTION: &str = "claim jobs";

pub(super) async fn claim(store: &SqliteStore, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
    let (mut write, places) = match &claim.wanted {
        Wanted::Any { models, max } => {
            let models = Value::from_iter(models.iter().map(|model| model.0)).to_string();
            // Most idle workers find nothing: it is not worth the write lock.
            if store.row(ACTION, oldest_assigned(&models, 1)).await?.is_none() {
                return Ok(Vec::new());
            }
            let mut write = store.write(ACTION).await?;
            let rows = write.rows(oldest_assigned(&models, *max)).await?;
            (write, each(&rows, |row| Named::new("job", row).get("seq"))?)
        }
        Wanted::Job(id) => {
            let mut write = store.write(ACTION).await?;
            let place = this_one(&mut write, *id).await?;
            (write, vec![place])
        }
    };
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let jobs = take(&mut write, claim, &places).await?;
    let worker = Actor::worker(&claim.worker);
    for ((model, _), jobs) in groups(jobs.iter().map(|job| ((job.state.model(), job.attempt), job))) {
        let name = write.name_of(model).await?;
        let told = |lease: &Lease| json!({ "worker": lease.worker, "token": lease.token, "until": lease.until });
        for job in &jobs {
            let JobState::InProgress { lease, .. } = &job.state else { continue };
            write.trail.event(job.id, Action::JobClaimed, facts(*job, name.as_deref(), told(lease)));
        }
        let Some(JobState::InProgress { lease, .. }) = jobs.first().map(|job| &job.state) else { continue };
        write.trail.entry(&worker, Action::JobClaimed, facts_of_all(&jobs, name.as_deref(), told(lease)));
    }
    let prds = prds_of(&mut write, &jobs).await?;
    write.commit().await?;
    jobs.into_iter()
        .map(|job| {
            let prd = prds.get(&job.prd_id).cloned();
            let prd = prd.ok_or_else(|| StoreError::corrupt("job", job.id, "its PRD is missing"))?;
            Ok(ClaimedJob { job, prd })
        })
        .collect()
}

/// Where the oldest jobs of these models stand. Jobs of held models, and rows that no worker could do, are passed over.
fn oldest_assigned<'q>(models: &str, max: u32) -> Statement<'q> {
    sqlx::query(
        "SELECT jobs.id, jobs.seq FROM models CROSS JOIN jobs INDEXED BY jobs_assigned ON jobs.assigned_model = models.id
         WHERE models.id IN (SELECT value FROM json_each(?)) AND models.hold IS NULL
           AND jobs.status = 'ASSIGNED' AND jobs.attempt < jobs.max_attempts
           AND EXISTS (SELECT 1 FROM prds WHERE prds.id = jobs.prd_id)
         ORDER BY jobs.seq LIMIT ?",
    )
    .bind(models.to_owned())
    .bind(max)
}

/// Where this job stands, or why it cannot be claimed.
async fn this_one(write: &mut Write<'_>, id: JobId) -> Result<i64, StoreError> {
    let job = write.job(id).await?;
    let refuse = |reason: String| Err(StoreError::conflict("job", id, reason));
    let model = match &job.state {
        JobState::Assigned { model } => *model,
        JobState::InProgress { lease, .. } => {
            return refuse(format!("worker {} has it until {}", lease.worker, moment::text(lease.until)));
        }
        JobState::Queued => return refuse("waits for a model: it can be claimed once it is ASSIGNED".to_owned()),
        JobState::Submitted { delivery, .. } => {
            return refuse(format!("was handed in by worker {} and waits for its score", delivery.worker));
        }
        state => return refuse(format!("is {}: nothing is left to do", state.status())),
    };
    if !job.has_attempts_left() {
        return refuse("has no attempt left".to_owned());
    }
    let query = sqlx::query(
        "SELECT jobs.id, jobs.seq, models.name, models.hold FROM jobs JOIN models ON models.id = jobs.assigned_model
         WHERE jobs.id = ?",
    );
    let Some(row) = write.row(query.bind(id.to_string())).await? else {
        return Err(StoreError::corrupt("job", id, format!("its model {model} is missing")));
    };
    let named = Named::new("job", &row);
    if let Some(hold) = named.get::<Option<String>>("hold")? {
        return refuse(format!("its model {} is on hold: {hold}", named.get::<String>("name")?));
    }
    named.get("seq")
}

/// Takes the jobs, oldest first.
async fn take(write: &mut Write<'_>, claim: &Claim, places: &[i64]) -> Result<Vec<Job>, StoreError> {
    let door = match claim.door {
        Door::Remote => "remote",
        Door::InProcess => "in_process",
    };
    let query = sqlx::query(concat!(
        "UPDATE jobs SET status = 'IN_PROGRESS', worker_id = ?2, door = ?3, lease_token = lease_token + 1,
             lease_until = ?4, claimed_at = ?5, updated_at = ?5, attempt = attempt + 1, not_before = NULL,
             tried = CASE WHEN EXISTS (SELECT 1 FROM json_each(tried) WHERE value = assigned_model)
                          THEN tried ELSE json_insert(tried, '$[#]', assigned_model) END,
             report = NULL, report_token = NULL, report_worker = NULL, reported_at = NULL
         WHERE seq IN (SELECT value FROM json_each(?1)) AND status = 'ASSIGNED' RETURNING seq, ",
        job_columns!()
    ));
    let query = query
        .bind(Value::from_iter(places.iter().copied()).to_string())
        .bind(claim.worker.as_str())
        .bind(door)
        .bind(moment::text(moment::after(write.now, claim.lease)))
        .bind(write.now_text());
    let mut taken =
        each(&write.rows(query).await?, |row| Ok((Named::new("job", row).get::<i64>("seq")?, record::job(row)?)))?;
    taken.sort_by_key(|(seq, _)| *seq);
    Ok(taken.into_iter().map(|(_, job)| job).collect())
}

async fn prds_of(write: &mut Write<'_>, jobs: &[Job]) -> Result<HashMap<PrdId, Prd>, StoreError> {
    let mut ids: Vec<_> = jobs.iter().map(|job| job.prd_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = write.rows(sqlx::query(PRDS_BY_ID).bind(id_list(ids))).await?;
    Ok(each(&rows, record::prd)?.into_iter().map(|prd| (prd.id, prd)).collect())
}
