//! What is about to be stored in this process: an idle scheduler need not look for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::bell::{Bell, Listener};
use crate::{contract::store::NewPrdRecord, ids::JobId, job::Job};

/// PRDs on their way into the store, and the only job of one of them. Where several come, the store gives a better account of the others.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    bell: Bell,
    job: Mutex<Option<Job>>,
}

impl Coming {
    /// Remembers a PRD's only job, unless one is remembered, until it is taken or what is answered is dropped. A panel's jobs are not
    /// remembered: which models may have them depends on each other.
    pub(crate) fn enter(&self, record: &NewPrdRecord, now: DateTime<Utc>) -> OnItsWay<'_> {
        let only = match record.jobs.as_slice() {
            [job] => Some(*job),
            _ => None,
        };
        let mut remembered = self.job();
        if let Some(job) = only
            && remembered.is_none()
        {
            *remembered = Some(record.queued(job, now));
        }
        drop(remembered);
        OnItsWay { coming: self, only }
    }

    /// Hears of every PRD from now on.
    pub(crate) fn listen(&self) -> Listener {
        self.bell.listen()
    }

    /// The job that is remembered, which may not be stored yet. It is not remembered any more.
    pub(crate) fn take(&self) -> Option<Job> {
        self.job().take()
    }

    /// These were found in the store.
    pub(crate) fn forget(&self, found: &[Job]) {
        self.forget_if(|job| found.iter().any(|found| found.id == job));
    }

    fn forget_if(&self, is_it: impl Fn(JobId) -> bool) {
        self.job().take_if(|job| is_it(job.id));
    }

    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A PRD on its way into the store.
#[derive(Debug)]
pub(crate) struct OnItsWay<'c> {
    coming: &'c Coming,
    only: Option<JobId>,
}

impl OnItsWay<'_> {
    /// Tells of it.
    pub(crate) fn ring(&self) {
        self.coming.bell.ring();
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.coming.forget_if(|job| self.only == Some(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::PrdId, prd::NewPrd};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn prd(jobs: usize) -> NewPrdRecord {
        let jobs = std::iter::repeat_with(JobId::new).take(jobs).collect();
        NewPrdRecord { id: PrdId::new(), request: NewPrd::new("add two numbers"), pinned: None, jobs }
    }

    fn taken(coming: &Coming) -> Option<JobId> {
        coming.take().map(|job| job.id)
    }

    #[test]
    fn the_first_job_is_remembered_until_it_is_taken() {
        let coming = Coming::default();
        let (panel, first, second) = (prd(2), prd(1), prd(1));
        let on_their_way = [&panel, &first, &second].map(|prd| coming.enter(prd, NOW));
        assert_eq!(taken(&coming), Some(first.jobs[0]));
        assert_eq!(taken(&coming), None);
        drop(on_their_way);
    }

    #[test]
    fn a_job_is_forgotten_when_its_submission_has_ended_or_it_was_found_in_the_store() {
        let coming = Coming::default();
        let (first, second) = (prd(1), prd(1));
        let ended = coming.enter(&first, NOW);
        let other = coming.enter(&second, NOW);
        drop(other);
        coming.forget(&[second.queued(second.jobs[0], NOW)]);
        assert!(coming.job().is_some(), "another one's");
        drop(ended);
        assert_eq!(taken(&coming), None);
        let found = coming.enter(&second, NOW);
        coming.forget(&[second.queued(second.jobs[0], NOW)]);
        assert_eq!(taken(&coming), None);
        drop(found);
    }
}
