//! Pieces of generations, stored under their lease.

use std::{collections::HashMap, time::Duration};

use aura_core::{
    Action, Actor, Artifact, ArtifactId, Job, JobId, JobState, ModelId, NewArtifact, StoreError,
    contract::store::{ArtifactBatch, Each},
};
use serde_json::json;

use super::super::{
    Core,
    jobs::{
        list::uuids,
        record::{self, job_columns},
    },
    row::{Named, each},
    value,
    write::{Answers, Write, again},
};
use crate::facts::facts;

pub(in crate::postgres) async fn add(
    core: &Core,
    batches: &[(ArtifactBatch, Duration)],
) -> Result<Each<Vec<Artifact>>, StoreError> {
    // A statement changes a row once: two batches of one job go one after the other.
    let mut jobs: Vec<JobId> = batches.iter().map(|(batch, _)| batch.job).collect();
    jobs.sort_unstable();
    jobs.dedup();
    if jobs.len() == batches.len() {
        return again(|| add_once(core, batches)).await;
    }
    let mut answers = Vec::with_capacity(batches.len());
    for one in batches {
        answers.extend(again(|| add_once(core, std::slice::from_ref(one))).await?);
    }
    Ok(answers)
}

async fn add_once(core: &Core, batches: &[(ArtifactBatch, Duration)]) -> Result<Each<Vec<Artifact>>, StoreError> {
    let mut write = core.write("store artifacts").await?;
    let mut answers = Answers::of(batches.len());
    let mut taken = extend(&mut write, batches).await?;
    taken.sort_by_key(|(item, _)| *item);
    let names = write.names_of(taken.iter().filter_map(|(_, job)| job.state.model())).await?;
    let mut stored = insert(&mut write, batches, &taken).await?.into_iter();
    for (item, job) in &taken {
        let Some((batch, _)) = batches.get(*item) else { continue };
        let JobState::InProgress { model, lease } = &job.state else {
            return Err(StoreError::corrupt("job", job.id, format!("it is {}, not in progress", job.state.status())));
        };
        let actor = Actor::worker(&lease.worker);
        let mut pieces = Vec::with_capacity(batch.items.len());
        for content in &batch.items {
            let id = stored.next().ok_or_else(|| StoreError::corrupt("job", job.id, "its artifact got no number"))?;
            let more = json!({ "artifact_id": id, "artifact_type": content.kind });
            let details = facts(job, names.get(model).map(String::as_str), more);
            write.trail.both(&actor, job.id, Action::ArtifactStored, details);
            pieces.push(Artifact {
                id,
                job_id: job.id,
                attempt: job.attempt,
                model_id: batch.model,
                content: content.clone(),
                created_at: write.now,
            });
        }
        answers.set(*item, Ok(pieces));
    }
    let missing = answers.missing();
    let refused: Vec<_> = missing.iter().filter_map(|item| batches.get(*item)).map(|(batch, _)| batch).collect();
    for (item, error) in missing.into_iter().zip(refusals(&mut write, &refused).await?) {
        answers.set(item, Err(error));
    }
    write.commit().await?;
    answers.all()
}

/// Checks the leases and makes them longer; answers which items hold theirs.
async fn extend(write: &mut Write<'_>, batches: &[(ArtifactBatch, Duration)]) -> Result<Vec<(usize, Job)>, StoreError> {
    let (mut jobs, mut models, mut workers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tokens, mut ends) = (Vec::new(), Vec::new());
    for (batch, extend_to) in batches {
        jobs.push(batch.job.as_uuid());
        models.push(batch.model.0);
        workers.push(batch.worker.as_ref().map(|worker| worker.as_str()));
        tokens.push(batch.token.map(|token| token.0));
        ends.push(value::after(write.now, *extend_to));
    }
    let query = sqlx::query(concat!(
        "UPDATE jobs SET updated_at = $6, lease_until = greatest(lease_until, new.ends)
         FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bigint[], $5::timestamptz[])
             WITH ORDINALITY AS new (job, model, worker, token, ends, n)
         WHERE jobs.id = new.job AND status = 'IN_PROGRESS' AND assigned_model = new.model
           AND (new.worker IS NULL OR worker_id = new.worker)
           AND (lease_token = new.token OR (new.token IS NULL AND door = 'remote')) AND lease_until > $6
         RETURNING new.n, ",
        job_columns!()
    ));
    let query = query.bind(jobs).bind(models).bind(workers).bind(tokens).bind(ends).bind(write.now);
    each(&write.rows(query).await?, |row| Ok((record::item(row)?, record::job(row)?)))
}

/// Stores all pieces; answers with their numbers, in their order.
async fn insert(
    write: &mut Write<'_>,
    batches: &[(ArtifactBatch, Duration)],
    taken: &[(usize, Job)],
) -> Result<Vec<ArtifactId>, StoreError> {
    let (mut jobs, mut models, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bodies, mut attempts) = (Vec::new(), Vec::new());
    for (item, job) in taken {
        let Some((batch, _)) = batches.get(*item) else { continue };
        for content in &batch.items {
            jobs.push(job.id.as_uuid());
            models.push(batch.model.0);
            kinds.push(content.kind.as_str());
            bodies.push(value::json_text(&content.body));
            attempts.push(i32::try_from(job.attempt).unwrap_or(i32::MAX));
        }
    }
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let query = sqlx::query(
        "INSERT INTO model_artifacts (job_id, model_id, artifact_type, artifact, created_at, attempt)
         SELECT job, model, kind, body::jsonb, $6, attempt
         FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::int[]) AS new (job, model, kind, body, attempt)
         RETURNING id",
    );
    let query = query.bind(jobs).bind(models).bind(kinds).bind(bodies).bind(attempts).bind(write.now);
    let mut ids = each(&write.rows(query).await?, |row| Named::new("artifact", row).get("id").map(ArtifactId))?;
    ids.sort_unstable();
    Ok(ids)
}

/// Why pieces were not taken.
async fn refusals(write: &mut Write<'_>, batches: &[&ArtifactBatch]) -> Result<Vec<StoreError>, StoreError> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = batches.iter().map(|batch| batch.job.as_uuid()).collect();
    let query = sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE id = ANY($1)")).bind(ids);
    let jobs: HashMap<JobId, Job> =
        each(&write.rows(query).await?, record::job)?.into_iter().map(|job| (job.id, job)).collect();
    let models = jobs.values().filter_map(|job| job.state.model()).chain(batches.iter().map(|batch| batch.model));
    let names = write.names_of(models.collect::<Vec<_>>()).await?;
    let name = |model: ModelId| names.get(&model).cloned().unwrap_or_else(|| format!("number {model}"));
    let why = |batch: &&ArtifactBatch| match jobs.get(&batch.job).map(|job| job.state.model()) {
        None => StoreError::not_found("job", batch.job),
        Some(Some(owner)) if owner != batch.model => {
            let (owner, asked) = (name(owner), name(batch.model));
            let reason = format!("belongs to model {owner}: artifacts in the name of {asked} are refused");
            StoreError::conflict("job", batch.job, reason)
        }
        Some(_) => StoreError::LeaseLost { job: batch.job, worker: batch.worker.clone() },
    };
    Ok(batches.iter().map(why).collect())
}

/// The pieces of each of these jobs. One written by hand belongs to the attempt under way.
pub(in crate::postgres) async fn of_each_job(core: &Core, jobs: &[JobId]) -> Result<Each<Vec<Artifact>>, StoreError> {
    let query = sqlx::query(
        "SELECT model_artifacts.id, job_id, model_id, artifact_type, artifact, model_artifacts.created_at,
             coalesce(model_artifacts.attempt, jobs.attempt, 0) AS attempt
         FROM unnest(ARRAY(SELECT DISTINCT unnest($1::uuid[]))) AS wanted (job)
             CROSS JOIN LATERAL (SELECT * FROM model_artifacts WHERE job_id = wanted.job OFFSET 0) AS model_artifacts
             LEFT JOIN LATERAL (SELECT attempt FROM jobs WHERE jobs.id = wanted.job OFFSET 0) AS jobs ON true
         ORDER BY model_artifacts.id",
    );
    let rows = core.rows("read the artifacts of jobs", query.bind(uuids(jobs.iter().copied()))).await?;
    let pieces = each(&rows, |row| {
        let named = Named::new("artifact", row);
        Ok(Artifact {
            id: ArtifactId(named.get("id")?),
            job_id: JobId::from_uuid(named.get("job_id")?),
            attempt: named.small("attempt")?,
            model_id: ModelId(named.get("model_id")?),
            content: NewArtifact { kind: named.parsed("artifact_type")?, body: named.json("artifact")? },
            created_at: named.time("created_at")?,
        })
    })?;
    let of = |job: &JobId| Ok(pieces.iter().filter(|piece| piece.job_id == *job).cloned().collect());
    Ok(jobs.iter().map(of).collect())
}
