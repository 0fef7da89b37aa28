//! Heartbeats.

use std::time::Duration;

use aura_core::{LeaseProof, StoreError, contract::store::Each};
use chrono::{DateTime, Utc};

use super::{
    super::{
        Core,
        row::Named,
        value,
        write::{Answers, again},
    },
    record::item,
};

pub(super) async fn heartbeat(
    core: &Core,
    beats: &[(LeaseProof, Duration)],
) -> Result<Each<DateTime<Utc>>, StoreError> {
    again(|| beat_once(core, beats)).await
}

/// A longer lease that was granted before is never cut short by a beat.
async fn beat_once(core: &Core, beats: &[(LeaseProof, Duration)]) -> Result<Each<DateTime<Utc>>, StoreError> {
    let mut write = core.write("extend leases").await?;
    let (mut jobs, mut workers, mut tokens, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (proof, lease) in beats {
        jobs.push(proof.job.as_uuid());
        workers.push(proof.worker.as_str());
        tokens.push(proof.token.map(|token| token.0));
        ends.push(value::after(write.now, *lease));
    }
    let query = sqlx::query(
        "UPDATE jobs SET lease_until = greatest(lease_until, beat.ends), updated_at = $5
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[])
             WITH ORDINALITY AS beat (job, worker, token, ends, n)
         WHERE jobs.id = beat.job AND status = 'IN_PROGRESS' AND worker_id = beat.worker
           AND (lease_token = beat.token OR (beat.token IS NULL AND door = 'remote')) AND lease_until > $5
         RETURNING beat.n, jobs.id, jobs.lease_until",
    );
    let query = query.bind(jobs).bind(workers).bind(tokens).bind(ends).bind(write.now);
    let mut answers = Answers::of(beats.len());
    let mut extended = Vec::new();
    for row in write.rows(query).await? {
        let until = Named::new("job", &row).time("lease_until")?;
        let item = item(&row)?;
        extended.extend(beats.get(item).map(|(proof, _)| (proof, until)));
        answers.set(item, Ok(until));
    }
    // The same beat twice in a batch extends once.
    for item in answers.missing() {
        let Some((proof, _)) = beats.get(item) else { continue };
        if let Some((_, until)) = extended.iter().find(|(other, _)| *other == proof) {
            answers.set(item, Ok(*until));
        }
    }
    let missing = answers.missing();
    let asked: Vec<_> = missing
        .iter()
        .filter_map(|item| beats.get(*item))
        .map(|(proof, _)| (proof.job, Some(proof.worker.clone())))
        .collect();
    for (item, error) in missing.into_iter().zip(write.lost(&asked).await?) {
        answers.set(item, Err(error));
    }
    write.commit().await?;
    answers.all()
}
