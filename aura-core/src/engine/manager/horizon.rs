//! How far into the queue a pass of the scheduler looks.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{attendance::passed, capacity::Fleet};
use crate::{ids::ModelId, model::Model};

/// Queued jobs looked at in one pass.
pub(super) const PASS: u32 = 256;
/// Queued jobs looked at when none of the oldest can be assigned.
pub(super) const FARTHEST: u32 = PASS * 8 * 8;
/// After so many poll intervals the farthest look is worth its cost again.
const POLLS: u32 = 10;

/// How many jobs each model had that could have worked, when the farthest look found nothing to assign.
type Busy = HashMap<ModelId, u32>;

/// The last look that went as far as it could and found nothing.
#[derive(Debug, Default)]
pub(crate) struct Horizon(Mutex<Option<(DateTime<Utc>, Busy)>>);

impl Horizon {
    /// How many jobs a pass may look at: only the oldest after a farthest look in vain, until a model became free or time
    /// passed.
    pub(super) fn limit(&self, models: &[Model], fleet: &Fleet, now: DateTime<Utc>, poll: Duration) -> u32 {
        let vain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((looked, before)) = vain.as_ref() else { return FARTHEST };
        let became_free =
            busy(models, fleet).into_iter().any(|(model, jobs)| before.get(&model).is_none_or(|before| jobs < *before));
        let is_due = passed(*looked, now) >= poll.saturating_mul(POLLS);
        if became_free || is_due { FARTHEST } else { PASS }
    }

    /// Remembers that the farthest look found nothing to assign.
    pub(super) fn in_vain(&self, models: &[Model], fleet: &Fleet, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, busy(models, fleet)));
    }
}

/// The jobs of every model that could work: one that was held, suspended or not attended before counts as free when it can.
fn busy(models: &[Model], fleet: &Fleet) -> Busy {
    let able = models.iter().filter(|model| model.hold.is_none() && model.is_active && fleet.is_attended(model.id));
    able.map(|model| (model.id, fleet.load_of(model.id))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        contract::store::ModelLoad,
        model::{ModelKind, ModelProfile},
        resources::Resources,
        standing::Standing,
    };

    #[test]
    fn after_a_far_look_in_vain_only_the_oldest_are_looked_at_until_a_model_is_free_or_time_passed() {
        let now = DateTime::UNIX_EPOCH;
        let model = Model {
            id: ModelId(1),
            profile: ModelProfile::new("m", ModelKind::Cloud, "test", "m").unwrap(),
            is_active: true,
            hold: None,
            standing: Standing::Trial,
            created_at: now,
            asked_at: None,
        };
        let fleet = |jobs| {
            let load = ModelLoad { model: model.id, assigned: jobs, in_progress: 0 };
            let attended = HashSet::from([model.id]);
            Fleet::new(std::slice::from_ref(&model), &[load], attended, 3, Resources::default())
        };
        let (horizon, poll) = (Horizon::default(), Duration::from_secs(1));
        let limit = |model: &Model, jobs, seconds| {
            horizon.limit(std::slice::from_ref(model), &fleet(jobs), now + Duration::from_secs(seconds), poll)
        };
        assert_eq!(limit(&model, 2, 0), FARTHEST);
        let held = Model { hold: Some("moving".to_owned()), ..model.clone() };
        horizon.in_vain(std::slice::from_ref(&held), &fleet(2), now);
        assert_eq!(limit(&held, 2, 9), PASS);
        assert_eq!(limit(&model, 2, 9), FARTHEST, "the hold was lifted");
        horizon.in_vain(std::slice::from_ref(&model), &fleet(2), now);
        assert_eq!((limit(&model, 2, 9), limit(&model, 3, 9)), (PASS, PASS));
        assert_eq!(limit(&model, 1, 0), FARTHEST, "a job of its ended");
        assert_eq!(limit(&model, 2, 10), FARTHEST);
    }
}
