//! What one pass of the scheduler decides: which model gets which job, or why a job waits.

use std::collections::{HashMap, HashSet};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::capacity::Fleet;
use crate::{
    contract::{Candidate, Candidates, SelectionPolicy, store::Assignment},
    ids::{JobId, ModelId, PrdId},
    job::Job,
    model::Model,
    run::ModelStats,
};

/// What one pass decides by.
pub(super) struct Round<'a> {
    pub(super) models: &'a [Model],
    pub(super) stats: &'a HashMap<ModelId, ModelStats>,
    pub(super) fleet: Fleet,
    pub(super) taken: HashSet<(PrdId, ModelId)>,
    /// Models before which a gate is shut, and why.
    pub(super) shut: HashMap<ModelId, String>,
}

impl Round<'_> {
    /// Chooses a model for one job, or says why it waits.
    pub(super) fn choose(
        &mut self,
        job: &Job,
        probe: bool,
        policy: &dyn SelectionPolicy,
        rng: &mut dyn RngCore,
    ) -> Result<Assignment, String> {
        let mut ruled_out = Vec::new();
        let mut rule_out = |model: &Model, why| ruled_out.push(json!({ "model": model.profile.name, "why": why }));
        let mut eligible: Vec<&Model> = Vec::new();
        for model in self.models {
            match is_eligible(model, job, probe, &self.taken) {
                Ok(()) => match self.shut.get(&model.id) {
                    Some(why) => rule_out(model, why.clone()),
                    None => eligible.push(model),
                },
                Err(why) => rule_out(model, why),
            }
        }
        // A job rather waits for a model that somebody works for than goes to one where it may wait for ever. When there is
        // none, a worker that looks only at what is assigned may still come for it.
        let has_attended = eligible.iter().any(|model| self.fleet.is_attended(model.id));
        let mut fit: Vec<&Model> = Vec::new();
        for model in eligible {
            if has_attended && !self.fleet.is_attended(model.id) {
                rule_out(model, format!("{NOBODY_ASKS}, another model goes first"));
                continue;
            }
            match self.fleet.room_for(model) {
                Ok(()) => fit.push(model),
                Err(no_room) => rule_out(model, no_room.to_string()),
            }
        }
        // One that has not had the job yet goes before one that has.
        prefer(&mut fit, |model| !job.tried.contains(&model.id));
        let candidates = Candidates {
            job: job.id,
            role: job.role.clone(),
            models: fit
                .iter()
                .map(|model| Candidate {
                    model: model.id,
                    name: model.profile.name.clone(),
                    standing: model.standing,
                    stats: self.stats.get(&model.id).copied().unwrap_or(ModelStats::none(model.id)),
                    load: self.fleet.load_of(model.id),
                })
                .collect(),
        };
        let choice = policy.choose(&candidates, rng).filter(|choice| fit.iter().any(|model| model.id == choice.model));
        let Some((choice, model)) =
            choice.and_then(|choice| fit.iter().find(|model| model.id == choice.model).map(|model| (choice, *model)))
        else {
            return Err(waiting_reason(&ruled_out));
        };
        self.fleet.occupy(model);
        self.taken.insert((job.prd_id, model.id));
        let reason = json!({ "choice": choice.reason, "ruled_out": ruled_out, "probe": probe });
        Ok(Assignment { job: job.id, model: model.id, probe, reason })
    }
}

/// Whether an attempt at a job is of the probe share. Drawn once for each: a job that waits through many passes is no likelier
/// to become a probe, and every node says the same.
pub(super) fn is_probe(seed: u64, job: JobId, attempt: u32, share: f64) -> bool {
    let (high, low) = job.as_uuid().as_u64_pair();
    let draw = seed ^ high ^ low.rotate_left(32) ^ (u64::from(attempt) << 48);
    StdRng::seed_from_u64(draw).random_bool(share)
}

/// Why a model is passed over that no worker works for.
pub(super) const NOBODY_ASKS: &str = "no worker asks for its jobs";

/// Whether a model may have a job at all, however busy it is. `taken`: which models have other jobs of which PRDs.
pub(super) fn is_eligible(
    model: &Model,
    job: &Job,
    probe: bool,
    taken: &HashSet<(PrdId, ModelId)>,
) -> Result<(), String> {
    if job.pinned.is_some_and(|pinned| pinned != model.id) {
        return Err("the job asks for another model".to_owned());
    }
    if let Some(hold) = &model.hold {
        return Err(format!("on hold: {hold}"));
    }
    if !model.is_active && !probe {
        return Err("suspended".to_owned());
    }
    if !model.takes(&job.role) {
        return Err(format!("does not take the role {}", job.role));
    }
    if taken.contains(&(job.prd_id, model.id)) {
        return Err("works on this PRD already".to_owned());
    }
    Ok(())
}

/// Keeps only the preferred ones, when there are any.
fn prefer(models: &mut Vec<&Model>, preferred: impl Fn(&Model) -> bool) {
    if models.iter().any(|model| preferred(model)) {
        models.retain(|model| preferred(model));
    }
}

fn waiting_reason(ruled_out: &[serde_json::Value]) -> String {
    let each: Vec<_> = ruled_out
        .iter()
        .filter_map(|entry| Some(format!("{}: {}", entry.get("model")?.as_str()?, entry.get("why")?.as_str()?)))
        .collect();
    if each.is_empty() { "no model is employed".to_owned() } else { each.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_share_is_drawn_once_for_an_attempt() {
        let jobs: Vec<_> = (0..2000).map(|_| JobId::new()).collect();
        let drawn =
            |seed, attempt| -> Vec<bool> { jobs.iter().map(|job| is_probe(seed, *job, attempt, 0.1)).collect() };
        assert_eq!(drawn(7, 1), drawn(7, 1), "however often it is looked at");
        for (seed, attempt) in [(0, 0), (7, 0), (7, 1), (7, 2)] {
            let probes = drawn(seed, attempt).iter().filter(|probe| **probe).count();
            assert!((120..280).contains(&probes), "{probes} of 2000 at attempt {attempt}");
        }
        assert_ne!(drawn(7, 1), drawn(7, 2), "each attempt has its own draw");
        assert_ne!(drawn(7, 1), drawn(8, 1), "the seed matters");
    }
}
