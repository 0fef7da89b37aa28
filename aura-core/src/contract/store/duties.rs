//! Work that one node of many does at a time.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::{
    ids::{NodeId, PrdId},
    job::JobStatus,
    standing::text_enum,
};

text_enum!(
    /// An engine of which one may be at work at a time, however many nodes share a store.
    Duty, "duty" {
        /// Gives jobs to models and takes back ended leases.
        Scheduler => "scheduler",
        /// Changes standings.
        Hr => "hr",
        /// Raises flags.
        Auditor => "auditor",
    }
);

/// A node's hold on a duty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term {
    /// The duty.
    pub duty: Duty,
    /// The node that has it.
    pub node: NodeId,
    /// Grows each time that the duty goes to another node: whoever shows an older one has lost it.
    pub epoch: i64,
}

/// What was written to a store that several nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// This process moved jobs into these states.
    Moved(Vec<JobStatus>),
    /// Another node wrote something, or more was written here than could be told.
    Others,
}

/// Who does what, where several nodes share a store. A store that only one process uses leaves all of it at its defaults.
/// See the [contract](super) of all stores.
///
/// # Contract
/// - At any moment of the store's clock a duty has at most one node. It goes to another one when it was not kept for
///   `lease`, or was left.
/// - What a node writes [`on_duty`](Self::on_duty) is refused as a conflict, and changes nothing, once its term is over, also
///   when it has not noticed yet: the term is checked in the transaction that writes.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DutyStore: fmt::Debug + Send + Sync {
    /// The moment by which this store writes. Absent where that is this process's clock: nobody else uses the store.
    async fn now(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(None)
    }

    /// Takes every duty that is free and keeps those that the node has, for `lease` from now; answers with the terms it has now.
    /// Absent: nobody else uses this store, so there is nothing to share.
    async fn keep_duties(&self, node: &NodeId, lease: Duration) -> Result<Option<Vec<Term>>, StoreError> {
        let _ = (node, lease);
        Ok(None)
    }

    /// PRDs that [`assessable`](super::JobStore::assessable) would name, oldest first, taken by this node: no other one is given them
    /// while it keeps its duties. Those it has already are named again. Absent: nobody else uses this store.
    async fn take_assessable(
        &self,
        node: &NodeId,
        limit: u32,
        lease: Duration,
    ) -> Result<Option<Vec<PrdId>>, StoreError> {
        let _ = (node, limit, lease);
        Ok(None)
    }

    /// What is written from now on, as it happens: hints, which save the engines a poll and all that would be in vain. Such a store tells
    /// of this process's own writes, too, a moment before its disk has them. Absent where nobody else uses the store: the engines
    /// know what they wrote.
    fn news(&self) -> Option<BoxStream<'static, News>> {
        None
    }

    /// Gives up every duty of a node, and all that it was about to assess.
    async fn leave_duties(&self, node: &NodeId) -> Result<(), StoreError> {
        let _ = node;
        Ok(())
    }

    /// The same store, for what is written within a term. Absent where there are no terms.
    fn on_duty(&self, term: &Term) -> Option<Arc<dyn Store>> {
        let _ = term;
        None
    }
}
