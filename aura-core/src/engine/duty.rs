//! Which duties this node has: kept from now on, noticed by the engines, given up at the end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream::BoxStream};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    clock::Clock,
    contract::{
        Store,
        store::{Duty, News, Term},
    },
    engine::{bell::Bells, pace::Chain, store_clock::StoreClock},
    error::Result,
    ids::NodeId,
};

/// How many times a duty is kept within its lease.
const BEATS: u32 = 3;

/// The duties of this node.
#[derive(Debug)]
pub(crate) struct Duties {
    store: Arc<dyn Store>,
    clock: Arc<StoreClock>,
    node: NodeId,
    lease: Duration,
    /// The terms there are; absent: nobody else uses the store, and every duty is this node's.
    terms: watch::Sender<Option<Vec<Term>>>,
    tasks: Mutex<JoinSet<()>>,
    /// Whether everything was given up; locked meanwhile, so that several who stop at once all wait for it.
    left: tokio::sync::Mutex<bool>,
}

impl Duties {
    /// Takes what is free, and sets the clock by the store's from now on.
    pub(crate) async fn take(
        store: Arc<dyn Store>,
        clock: Arc<StoreClock>,
        node: NodeId,
        lease: Duration,
    ) -> Result<Arc<Self>> {
        clock.set_by(store.as_ref()).await?;
        let terms = store.keep_duties(&node, lease).await?;
        let (terms, tasks, left) = (watch::Sender::new(terms), Mutex::default(), tokio::sync::Mutex::new(false));
        Ok(Arc::new(Self { store, clock, node, lease, terms, tasks, left }))
    }

    /// This process, among those that share the store.
    pub(crate) const fn node(&self) -> &NodeId {
        &self.node
    }

    /// How long a duty stays this node's without a word from it.
    pub(crate) const fn lease(&self) -> Duration {
        self.lease
    }

    /// The store to write to on this duty; absent while another node has it. What is written after the term is over is refused
    /// by the store.
    pub(crate) fn store(&self, duty: Duty) -> Option<Arc<dyn Store>> {
        let terms = self.terms.borrow();
        let Some(terms) = terms.as_ref() else { return Some(Arc::clone(&self.store)) };
        let term = terms.iter().find(|term| term.duty == duty)?;
        self.store.on_duty(term).or_else(|| Some(Arc::clone(&self.store)))
    }

    /// Waits until this node has the duty.
    pub(crate) async fn on_duty(&self, duty: Duty) {
        let has =
            |terms: &Option<Vec<Term>>| terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.duty == duty));
        if self.terms.subscribe().wait_for(has).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Keeps the duties until they are [left](Self::leave), and rings for the store's news.
    pub(crate) fn start(self: &Arc<Self>, bells: &Arc<Bells>, news: Option<BoxStream<'static, News>>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terms.borrow().is_some() {
            let duties = Arc::clone(self);
            tasks.spawn(async move { duties.keep().await });
        }
        if let Some(mut news) = news {
            let bells = Arc::clone(bells);
            tasks.spawn(async move {
                while let Some(news) = news.next().await {
                    bells.tell(&news);
                }
            });
        }
    }

    async fn keep(&self) {
        let mut kept = self.clock.now();
        loop {
            self.clock.sleep(self.lease / BEATS).await;
            match self.store.keep_duties(&self.node, self.lease).await {
                Ok(terms) => {
                    if let Err(error) = self.clock.set_by(self.store.as_ref()).await {
                        tracing::warn!(error = %Chain(&error), "the store did not say what time it is");
                    }
                    kept = self.clock.now();
                    self.change(terms);
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the duties of this node could not be kept");
                    // Another node may have them now; the store would refuse what this one writes.
                    if (self.clock.now() - kept).to_std().is_ok_and(|silent| silent >= self.lease) {
                        self.change(Some(Vec::new()));
                    }
                }
            }
        }
    }

    /// Gives everything up, once the engines have ended.
    pub(crate) async fn leave(&self) {
        let mut left = self.left.lock().await;
        if *left || self.terms.borrow().is_none() {
            return;
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        self.change(Some(Vec::new()));
        match self.store.leave_duties(&self.node).await {
            Ok(_) => *left = true,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the duties could not be given up: others take them when they end");
            }
        }
    }

    fn change(&self, terms: Option<Vec<Term>>) {
        self.terms.send_if_modified(|held| {
            if *held == terms {
                return false;
            }
            let names = |terms: &Option<Vec<Term>>| {
                let names: Vec<_> = terms.iter().flatten().map(|term| term.duty.as_str()).collect();
                names.join(", ")
            };
            tracing::info!(node = %self.node, before = names(held), now = names(&terms), "duties changed hands");
            *held = terms;
            true
        });
    }
}
