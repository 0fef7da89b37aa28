//! What the scheduler reads ahead, while a PRD about whose jobs it will be asked is being stored: an idle orchestra begins a job sooner.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::JobManager;
use crate::{contract::store::ModelLoad, error::Result, ids::ModelId, model::Model, run::ModelStats};

/// How old it may be when it is decided by: a store that takes longer to store a PRD is not idle.
const FRESH: Duration = Duration::from_millis(50);

/// What a pass decides by, besides the jobs.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) models: Arc<Vec<Model>>,
    pub(super) stats: HashMap<ModelId, ModelStats>,
    pub(super) load: Vec<ModelLoad>,
}

impl Known {
    pub(super) async fn read(manager: &JobManager) -> Result<Self> {
        let (models, figures) = tokio::try_join!(manager.roster.refresh(), Self::figures(manager))?;
        Ok(Self::of(models, figures))
    }

    pub(super) async fn figures(manager: &JobManager) -> Result<(Vec<ModelStats>, Vec<ModelLoad>)> {
        let since = manager.clock.now() - manager.settings.hr.window();
        Ok(tokio::try_join!(manager.store.stats(since), manager.store.load())?)
    }

    pub(super) fn of(models: Arc<Vec<Model>>, (stats, load): (Vec<ModelStats>, Vec<ModelLoad>)) -> Self {
        Self { models, stats: stats.into_iter().map(|stats| (stats.model_id, stats)).collect(), load }
    }
}

/// The reading under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct Ahead {
    since: Instant,
    /// How much had changed before it.
    changes: u64,
    reading: JoinHandle<Result<Known>>,
}

impl Ahead {
    /// Begins to read.
    pub(super) fn begin(manager: &Arc<JobManager>) -> Self {
        let (since, changes) = (Instant::now(), manager.bells.changes());
        let manager = Arc::clone(manager);
        Self { since, changes, reading: tokio::spawn(async move { Known::read(&manager).await }) }
    }

    /// Whether it may be decided by: nothing is known to have changed.
    pub(super) fn is_fresh(&self, manager: &JobManager) -> bool {
        self.since.elapsed() <= FRESH && self.changes == manager.bells.changes()
    }

    /// What was read, or is read now where that failed.
    pub(super) async fn known(mut self, manager: &JobManager) -> Result<Known> {
        match (&mut self.reading).await {
            Ok(Ok(known)) => Ok(known),
            Ok(Err(_)) | Err(_) => Known::read(manager).await,
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
