//! Two plain ways to choose among candidates: uniformly at random, and one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, RngCore};
use serde_json::json;

use crate::{
    contract::{Candidate, Candidates, Choice, SelectionPolicy},
    run::NewRun,
};

fn chosen(candidates: &Candidates, index: usize, policy: &str) -> Option<Choice> {
    let candidate: &Candidate = candidates.models.get(index)?;
    let names: Vec<_> = candidates.models.iter().map(|candidate| candidate.name.as_str()).collect();
    Some(Choice { model: candidate.model, reason: json!({ "policy": policy, "candidates": names }) })
}

/// Every candidate is as likely as every other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uniform;

impl SelectionPolicy for Uniform {
    fn choose(&self, candidates: &Candidates, rng: &mut dyn RngCore) -> Option<Choice> {
        match candidates.models.len() {
            0 => None,
            n => chosen(candidates, rng.random_range(0..n), "uniform"),
        }
    }

    fn feedback(&self, _run: &NewRun) {}
}

/// One candidate after the other, in the order they were registered.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turn: AtomicUsize,
}

impl SelectionPolicy for RoundRobin {
    fn choose(&self, candidates: &Candidates, _rng: &mut dyn RngCore) -> Option<Choice> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(candidates.models.len()).and_then(|index| chosen(candidates, index, "round_robin"))
    }

    fn feedback(&self, _run: &NewRun) {}
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        ids::{JobId, ModelId, ModelName, Role},
        run::ModelStats,
        standing::Standing,
    };

    fn candidates(n: i32) -> Candidates {
        let models = (1..=n)
            .map(|id| Candidate {
                model: ModelId(id),
                name: ModelName::new(format!("m{id}")).unwrap(),
                standing: Standing::Trial,
                stats: ModelStats::none(ModelId(id)),
                load: 0,
            })
            .collect();
        Candidates { job: JobId::new(), role: Role::default(), models }
    }

    fn draw(policy: &dyn SelectionPolicy, n: i32, times: usize) -> HashMap<i32, usize> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut counts = HashMap::new();
        for _ in 0..times {
            *counts.entry(policy.choose(&candidates(n), &mut rng).unwrap().model.0).or_default() += 1;
        }
        counts
    }

    #[test]
    fn round_robin_gives_everybody_the_same() {
        assert_eq!(draw(&RoundRobin::default(), 3, 30), HashMap::from([(1, 10), (2, 10), (3, 10)]));
    }

    #[test]
    fn uniform_gives_everybody_about_the_same() {
        let counts = draw(&Uniform, 3, 3000);
        assert!(counts.values().all(|n| (900..=1100).contains(n)), "{counts:?}");
    }

    #[test]
    fn without_candidates_nobody_is_chosen() {
        let mut rng = StdRng::seed_from_u64(7);
        assert!(Uniform.choose(&candidates(0), &mut rng).is_none());
        assert!(RoundRobin::default().choose(&candidates(0), &mut rng).is_none());
    }
}
