//! Claims the next job under a lease.

use super::Worker;
use crate::{
    contract::{Claimed, WorkRequest},
    error::Result,
};

impl Worker {
    /// Waits for a job of one of its models.
    pub(super) async fn claim(&self) -> Result<Vec<Claimed>> {
        let request = WorkRequest {
            worker_id: self.id.clone(),
            models: self.adapters.keys().cloned().collect(),
            max: 1,
            wait: self.pace.claim_wait,
            door: self.door,
        };
        self.manager.claim(&request).await
    }
}
