//! Wakes a loop when there is something to do; a ring that nobody hears yet is not lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use super::coming::Coming;
use crate::{contract::store::News, job::JobStatus};

/// Rings for whoever listens.
#[derive(Debug)]
pub(crate) struct Bell(watch::Sender<u64>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Bell {
    /// Wakes every listener, now or at its next wait.
    pub(crate) fn ring(&self) {
        self.0.send_modify(|rings| *rings = rings.wrapping_add(1));
    }

    /// Hears every ring from now on. Listen first, then look: no ring falls between.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// Hears a bell.
#[derive(Debug)]
pub(crate) struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Waits for a ring since the last wait; for ever when the bell is gone.
    pub(crate) async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Has heard what was rung until now.
    pub(crate) fn has_heard(&mut self) {
        self.0.mark_unchanged();
    }
}

/// One bell for each step that can become possible.
#[derive(Debug)]
pub(crate) struct Bells {
    /// Whether the store tells of every move of a job, also of our own.
    store_tells: bool,
    /// PRDs that are about to be stored.
    pub(crate) coming: Coming,
    /// A job is queued, or what jobs wait for may be there.
    pub(crate) schedule: Bell,
    /// Since the scheduler last asked, jobs may have been queued.
    is_queued: AtomicBool,
    /// How often the scheduler was called for something else.
    changes: AtomicU64,
    /// A job is assigned.
    pub(crate) claim: Bell,
    /// A job is handed in, or ended otherwise.
    pub(crate) account: Bell,
    /// A PRD has its verdict.
    pub(crate) verdict: Bell,
}

impl Bells {
    /// Bells that nobody has rung.
    pub(crate) fn new(store_tells: bool) -> Self {
        let [schedule, claim, account, verdict] = std::array::from_fn(|_| Bell::default());
        Self {
            store_tells,
            coming: Coming::default(),
            schedule,
            is_queued: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            claim,
            account,
            verdict,
        }
    }

    /// A call of ours may have moved jobs into these states. Where the store tells of it, that was heard before: to look again would be in
    /// vain.
    pub(crate) fn moved(&self, to: &[JobStatus]) {
        if !self.store_tells {
            self.ring_for(to);
        }
    }

    /// Jobs were moved into these states: rings for what that makes possible. Who judges a job goes on with its PRD without a bell.
    fn ring_for(&self, to: &[JobStatus]) {
        for status in to {
            match status {
                JobStatus::Queued => {
                    self.is_queued.store(true, Ordering::Release);
                    self.schedule.ring();
                }
                JobStatus::Assigned => self.claim.ring(),
                JobStatus::InProgress | JobStatus::Validated => {}
                // Its model has room for another one.
                JobStatus::Submitted | JobStatus::Failed | JobStatus::Cancelled => {
                    self.account.ring();
                    self.changed();
                }
            }
        }
    }

    /// A model became free, or came, or may be given other work than before.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.schedule.ring();
    }

    /// Grows with each such change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether jobs may have been queued since this was last asked, so that a look is hardly in vain.
    pub(crate) fn queued(&self) -> bool {
        self.is_queued.swap(false, Ordering::AcqRel)
    }

    /// Rings for what the store tells.
    pub(crate) fn tell(&self, news: &News) {
        match news {
            News::Moved(to) => self.ring_for(to),
            News::Others => self.ring_all(),
        }
    }

    /// Rings every bell: something happened, nobody here knows what.
    fn ring_all(&self) {
        self.changed();
        for bell in [&self.claim, &self.account, &self.verdict] {
            bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Which engines were woken: the scheduler, the claims, the accountant, those who wait for verdicts.
    fn woken(store_tells: bool, by: impl Fn(&Bells)) -> [bool; 4] {
        let bells = Bells::new(store_tells);
        let mut listeners = [&bells.schedule, &bells.claim, &bells.account, &bells.verdict].map(Bell::listen);
        by(&bells);
        listeners.each_mut().map(|listener| listener.rung().now_or_never().is_some())
    }

    #[test]
    fn a_move_wakes_only_those_for_whom_it_makes_something_possible() {
        let moved = |to: &[JobStatus]| {
            let here = woken(false, |bells| bells.moved(to));
            assert_eq!(here, woken(true, |bells| bells.tell(&News::Moved(to.to_vec()))), "{to:?}, told by the store");
            here
        };
        assert_eq!(moved(&[JobStatus::Queued]), [true, false, false, false]);
        assert_eq!(moved(&[JobStatus::Assigned]), [false, true, false, false]);
        assert_eq!(moved(&[JobStatus::Submitted]), [true, false, true, false]);
        assert_eq!(moved(&[JobStatus::Failed]), [true, false, true, false]);
        assert_eq!(moved(&[JobStatus::InProgress, JobStatus::Validated]), [false; 4]);
    }

    #[test]
    fn what_is_read_ahead_is_made_old_by_every_call_of_the_scheduler_but_for_queued_jobs() {
        let bells = Bells::new(true);
        for (news, changes) in [
            (News::Moved(vec![JobStatus::Queued]), 0),
            (News::Moved(vec![JobStatus::Assigned, JobStatus::InProgress]), 0),
            (News::Moved(vec![JobStatus::Submitted]), 1),
            (News::Others, 2),
        ] {
            bells.tell(&news);
            assert_eq!(bells.changes(), changes, "{news:?}");
        }
        assert!(bells.queued());
    }

    #[test]
    fn what_the_store_tells_is_not_rung_twice() {
        assert_eq!(woken(true, |bells| bells.moved(&[JobStatus::Queued])), [false; 4]);
    }

    #[test]
    fn what_another_node_wrote_may_be_anything() {
        assert_eq!(woken(true, |bells| bells.tell(&News::Others)), [true; 4]);
    }
}
