//! Which models a worker works for: whoever asks for jobs is noted in the store, so that every node knows.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::JobManager;
use crate::{
    contract::store::ModelLoad,
    engine::pace::{Pace, Pause},
    ids::ModelId,
    model::Model,
};

/// How often one process writes down that a model is asked for.
pub(crate) const NOTE_EVERY: Duration = Duration::from_secs(5);

/// When this process last noted each model, so that a worker that polls fast writes seldom.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<HashMap<ModelId, DateTime<Utc>>>);

impl Notes {
    /// Those of `models` that are to be noted again, and whether one of them had not been for as long as `attendance`. Whoever
    /// asks next finds them noted: hundreds of workers that ask at once write once.
    pub(crate) fn take(&self, models: &[ModelId], now: DateTime<Utc>, attendance: Duration) -> (Vec<ModelId>, bool) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_news = false;
        let mut due = Vec::new();
        for model in models {
            let before = noted.get(model).copied();
            if before.is_none_or(|at| passed(at, now) >= NOTE_EVERY) {
                is_news |= before.is_none_or(|at| passed(at, now) > attendance);
                noted.insert(*model, now);
                due.push(*model);
            }
        }
        (due, is_news)
    }

    /// These could not be noted: whoever asks next tries again.
    pub(crate) fn forget(&self, models: &[ModelId]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|model, _| !models.contains(model));
    }
}

/// Notes the models that workers of this process work for until the orchestra stops, also while every worker is busy.
pub(crate) async fn keep(manager: Arc<JobManager>, staffed: Vec<ModelId>) {
    let mut pace = Pace::by_clock(&manager.clock, &manager.shutdown);
    loop {
        let outcome = manager.attend(&staffed).await;
        if pace.pause("attendance", outcome, NOTE_EVERY).await == Pause::Stop {
            return;
        }
    }
}

/// How long `then` is ago; nothing for a moment that is yet to come.
pub(crate) fn passed(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - then).to_std().unwrap_or_default()
}

/// The models that are worked for: a worker asked for their jobs within `attendance`, or is busy with one.
pub(crate) fn attended(
    models: &[Model],
    load: &[ModelLoad],
    now: DateTime<Utc>,
    attendance: Duration,
) -> HashSet<ModelId> {
    let asked = models.iter().filter(|model| model.asked_at.is_some_and(|at| passed(at, now) <= attendance));
    let busy = load.iter().filter(|load| load.in_progress > 0);
    asked.map(|model| model.id).chain(busy.map(|load| load.model)).collect()
}
