//! Up to where a model's assigned jobs were claimed by this node, so that the next claim does not walk over what earlier ones left
//! in the index: each claimed job leaves a dead entry there until the next vacuum, and for as long as any long transaction is
//! open. A hint: every second, and whenever less is found than wanted, a claim begins at the oldest job again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long jobs that came back may wait behind the frontier while there are enough before it.
const LOOK_BACK: Duration = Duration::from_secs(1);

/// For each set of models: the place of the last job claimed, and when a claim last began at the oldest one.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Frontier(Mutex<HashMap<Vec<i32>, (i64, Instant)>>);

impl Frontier {
    /// Behind which place the next claim begins. Who is told to begin at the oldest job looks back for all.
    pub(super) fn from(&self, models: &[i32]) -> i64 {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(models) {
            Some((place, looked_back)) if looked_back.elapsed() < LOOK_BACK => *place,
            Some((_, looked_back)) => {
                *looked_back = Instant::now();
                0
            }
            None => 0,
        }
    }

    /// A claim got all that it wanted, up to this place; without a place it began at the oldest job and found less.
    pub(super) fn reached(&self, models: &[i32], place: Option<i64>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (held.get_mut(models), place) {
            (_, None) => drop(held.remove(models)),
            (Some((there, _)), Some(place)) => *there = place,
            (None, Some(place)) => drop(held.insert(models.to_vec(), (place, Instant::now()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_goes_on_where_the_last_one_ended_and_starts_anew_when_it_found_less() {
        let frontier = Frontier::default();
        assert_eq!(frontier.from(&[1]), 0);
        frontier.reached(&[1], Some(70));
        assert_eq!((frontier.from(&[1]), frontier.from(&[2])), (70, 0));
        frontier.reached(&[1], None);
        assert_eq!(frontier.from(&[1]), 0);
    }
}
