//! Claims the next jobs under a lease.

use super::Worker;
use crate::{
    contract::{Claimed, WorkRequest},
    error::Result,
    ids::ModelName,
};

impl Worker {
    /// Waits for up to `max` jobs of these models.
    pub(super) async fn claim(&self, models: Vec<ModelName>, max: u32) -> Result<Vec<Claimed>> {
        let (worker_id, wait, door) = (self.id.clone(), self.pace.claim_wait, self.door);
        self.manager.claim(&WorkRequest { worker_id, models, max, wait, door }).await
    }

    /// Every model that it has an adapter for.
    pub(super) fn models(&self) -> Vec<ModelName> {
        self.adapters.keys().cloned().collect()
    }

    /// Those whose adapters would be reached now: a call that a gate stops is a claim for nothing.
    pub(super) fn open_models(&self) -> Vec<ModelName> {
        let open = self.adapters.iter().filter(|(_, adapter)| adapter.gates().iter().all(|gate| gate.passes));
        open.map(|(name, _)| name.clone()).collect()
    }
}
