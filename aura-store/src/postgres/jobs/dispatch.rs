//! Assignment and claim in one go, for workers that wait in the scheduler's own process: a job is begun one transaction, one look and
//! one bell sooner.

use std::collections::BTreeMap;

use aura_core::{
    JobStatus, StoreError,
    contract::store::{Assignment, Claim, Dispatched, Wanted},
};

use super::{
    super::{Core, marks::Scan, write::again},
    assign,
    claim::{self, by_models, claim_job, models_of},
};

pub(super) async fn dispatch(
    core: &Core,
    assignments: &[Assignment],
    claims: &[Claim],
) -> Result<Dispatched, StoreError> {
    let groups = by_models(claims);
    let models = models_of(&groups);
    let mut begin = i64::MAX;
    for model in &models {
        begin = begin.min(core.mark(Scan::Queue(*model)).await?);
    }
    let mut done = again(|| dispatch_once(core, assignments, claims, &groups, begin)).await?;
    for (claim, claimed) in claims.iter().zip(&mut done.claimed) {
        if let Wanted::Job(id) = claim.wanted {
            *claimed = claim_job(core, claim, id).await;
        }
    }
    Ok(done)
}

async fn dispatch_once(
    core: &Core,
    assignments: &[Assignment],
    claims: &[Claim],
    groups: &BTreeMap<Vec<i32>, Vec<usize>>,
    begin: i64,
) -> Result<Dispatched, StoreError> {
    let mut write = core.write("assign and claim jobs").await?;
    let assigned = assign::within(&mut write, assignments).await?;
    // What was just put before a model may have a lower number than what was known to wait there.
    let begin = write.lowest_back().map_or(begin, |lowest| begin.min(lowest - 1));
    let taken = claim::within(&mut write, claims, groups, begin).await?;
    if !write.moves.to().contains(&JobStatus::Assigned) {
        write.all_taken_again();
    }
    let claimed = claim::commit(write, claims.len(), taken).await?;
    Ok(Dispatched { assigned, claimed })
}
