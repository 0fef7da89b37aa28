//! The accountant's loop: PRDs are begun as they come and ended as they are done, so that one with long tests holds up no other,
//! and the store can write many at once.

use std::{collections::HashSet, sync::Arc};

use tokio::task::JoinSet;

use super::Accountant;
use crate::{
    engine::{
        pace::{Pace, Pause, caught},
        shutdown::Shutdown,
    },
    error::Result,
    ids::PrdId,
};

/// Most PRDs under way at a time.
const MOST: usize = 64;

/// PRDs that were begun and have not ended, each a task of its own: one that waits for the store must go on while another is
/// begun, or they would keep connections from one another. Dropping this ends them.
#[derive(Default)]
struct UnderWay {
    ids: HashSet<PrdId>,
    /// Those that ended since the last bell: named again, they have something that only time or somebody else can change.
    ended: HashSet<PrdId>,
    tasks: JoinSet<(PrdId, Result<()>)>,
}

impl UnderWay {
    /// Waits for the next PRD to end, and takes those that have ended with it. For ever when none is under way.
    async fn ended(&mut self) -> Vec<(PrdId, Result<()>)> {
        let Some(first) = self.tasks.join_next().await else { return std::future::pending().await };
        let mut ended = Vec::new();
        let mut next = Some(first);
        while let Some(outcome) = next {
            match outcome {
                Ok((prd, outcome)) => {
                    self.ids.remove(&prd);
                    self.ended.insert(prd);
                    ended.push((prd, outcome));
                }
                // A panic is caught within the task, and nobody aborts one.
                Err(error) => tracing::error!(%error, "a PRD's assessment was lost and will be begun again"),
            }
            next = self.tasks.try_join_next();
        }
        if self.tasks.is_empty() {
            self.ids.clear();
        }
        ended
    }
}

impl Accountant {
    /// Runs until the orchestra stops; what is under way then is finished, unless its grace is over: the next start assesses it
    /// again.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Arc<Shutdown>) {
        let mut pace = Pace::new(&self.clock, &shutdown, self.bells.account.listen());
        let mut stop = shutdown.signal();
        let mut under_way = UnderWay::default();
        loop {
            // Asked once: a signal that comes while PRDs are begun is the pause's to notice, or nobody would.
            let is_stopping = stop.is_stopping();
            if is_stopping && under_way.ids.is_empty() {
                return;
            }
            let begun = match is_stopping {
                true => Ok(()),
                false => self.begin(&mut under_way).await,
            };
            let on = tokio::select! {
                ended = under_way.ended() => {
                    self.note(ended).await;
                    true
                }
                pause = pace.pause("accountant", begun, self.settings.poll), if !is_stopping => {
                    under_way.ended.clear();
                    pause == Pause::GoOn
                }
                () = stop.hand_back() => return,
            };
            if !on && under_way.ids.is_empty() {
                return;
            }
        }
    }

    /// Begins what waits, as far as there is room. PRDs that could not be assessed wait longer.
    async fn begin(self: &Arc<Self>, under_way: &mut UnderWay) -> Result<()> {
        let room = MOST.saturating_sub(under_way.ids.len());
        // Asking costs as much for one as for many.
        if room < MOST / 2 {
            return Ok(());
        }
        let limit = u32::try_from(MOST).unwrap_or(u32::MAX).saturating_add(self.setbacks.count());
        let waiting = match self.store.take_assessable(self.duties.node(), limit, self.duties.lease()).await? {
            Some(taken) => taken,
            None => self.store.assessable(limit).await?,
        };
        let now = self.clock.now();
        let is_due = |prd: &&PrdId| {
            !under_way.ids.contains(prd) && !under_way.ended.contains(prd) && !self.setbacks.waits(**prd, now)
        };
        let due: Vec<_> = waiting.iter().filter(is_due).take(room).copied().collect();
        if waiting.len() < limit as usize {
            self.forget_all_but(&waiting.into_iter().chain(under_way.ids.iter().copied()).collect());
        }
        if due.is_empty() {
            return Ok(());
        }
        let models = self.roster.refresh().await?;
        for prd in due {
            let (accountant, models) = (Arc::clone(self), Arc::clone(&models));
            under_way.ids.insert(prd);
            under_way.tasks.spawn(async move { (prd, caught(accountant.assess_prd(prd, &models)).await) });
        }
        Ok(())
    }

    async fn note(&self, ended: Vec<(PrdId, Result<()>)>) {
        for (prd, outcome) in ended {
            match outcome {
                Ok(()) => self.setbacks.mended(prd),
                Err(error) => self.set_back(prd, &error).await,
            }
        }
    }
}
