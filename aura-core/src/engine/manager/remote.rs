//! Workers of other processes, as this process saw them: for people to look at, and for nothing else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::attendance::passed;
use crate::{
    contract::{Sighting, StoreError, store::Each},
    ids::{JobId, ModelName, WorkerId},
    job::LeaseProof,
    resources::Resources,
};

/// A worker that nobody saw for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// Most workers that are remembered: ids come over the wire, and must not fill the memory.
const MOST: usize = 1000;

/// A worker of another process, as this process last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteWorker {
    /// Who.
    pub id: WorkerId,
    /// When it last asked for work, showed itself, or handed something in.
    pub last_seen: DateTime<Utc>,
    /// Models whose jobs it asks for.
    pub models: Vec<ModelName>,
    /// Jobs whose leases it holds, as far as this process knows; a lease that has ended is none.
    pub jobs: BTreeSet<JobId>,
    /// What its machine had left when it last told; absent when it never did.
    pub resources: Option<Resources>,
    /// When it told that.
    pub resources_at: Option<DateTime<Utc>>,
}

/// Those seen lately. A worker of this process is never among them.
#[derive(Debug, Default)]
pub(crate) struct RemoteWorkers(Mutex<HashMap<WorkerId, Seen>>);

#[derive(Debug)]
struct Seen {
    /// Without its jobs.
    worker: RemoteWorker,
    /// Its jobs, each with the end of its lease.
    leases: BTreeMap<JobId, DateTime<Utc>>,
}

impl Seen {
    /// As it is shown.
    fn shown(&mut self, now: DateTime<Utc>) -> RemoteWorker {
        self.leases.retain(|_, until| now < *until);
        RemoteWorker { jobs: self.leases.keys().copied().collect(), ..self.worker.clone() }
    }
}

impl RemoteWorkers {
    /// All that were seen lately, by their ids.
    pub(crate) fn list(&self, now: DateTime<Utc>) -> Vec<RemoteWorker> {
        let mut list: Vec<_> = self.with(|seen| {
            seen.retain(|_, seen| passed(seen.worker.last_seen, now) <= FORGET_AFTER);
            seen.values_mut().map(|seen| seen.shown(now)).collect()
        });
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// It did something.
    pub(crate) fn saw(&self, worker: &WorkerId, now: DateTime<Utc>) {
        self.entry(worker, now, |_| {});
    }

    /// It asks for jobs of these models.
    pub(crate) fn asked(&self, worker: &WorkerId, models: &[ModelName], now: DateTime<Utc>) {
        self.entry(worker, now, |entry| models.clone_into(&mut entry.models));
    }

    /// It shows itself.
    pub(crate) fn observed(&self, sighting: &Sighting, now: DateTime<Utc>) {
        self.entry(&sighting.worker_id, now, |entry| {
            // A worker whose gates are all shut would do none now, and is still theirs.
            if !sighting.models.is_empty() {
                sighting.models.clone_into(&mut entry.models);
            }
            if let Some(resources) = &sighting.resources {
                entry.resources = Some(resources.clone());
                entry.resources_at = Some(now);
            }
        });
    }

    /// It has these leases, until then.
    pub(crate) fn holds(&self, worker: &WorkerId, leases: impl IntoIterator<Item = (JobId, DateTime<Utc>)>) {
        self.with(|seen| {
            let Some(entry) = seen.get_mut(worker) else { return };
            for (job, until) in leases {
                let end = entry.leases.entry(job).or_insert(until);
                *end = until.max(*end);
            }
        });
    }

    /// Leases were extended, or found lost.
    pub(crate) fn beat(&self, leases: &[LeaseProof], answers: &Each<DateTime<Utc>>, now: DateTime<Utc>) {
        self.with(|seen| {
            for (lease, answer) in leases.iter().zip(answers) {
                let Some(entry) = seen.get_mut(&lease.worker) else { continue };
                entry.worker.last_seen = now;
                match answer {
                    Ok(until) => {
                        entry.leases.insert(lease.job, *until);
                    }
                    Err(StoreError::LeaseLost { .. } | StoreError::NotFound { .. }) => {
                        entry.leases.remove(&lease.job);
                    }
                    Err(_) => {}
                }
            }
        });
    }

    /// It handed a job in, or back.
    pub(crate) fn put_down(&self, proof: &LeaseProof, now: DateTime<Utc>) {
        self.with(|seen| {
            if let Some(entry) = seen.get_mut(&proof.worker) {
                entry.worker.last_seen = now;
                entry.leases.remove(&proof.job);
            }
        });
    }

    fn entry(&self, worker: &WorkerId, now: DateTime<Utc>, change: impl FnOnce(&mut RemoteWorker)) {
        self.with(|seen| {
            if seen.len() >= MOST && !seen.contains_key(worker) {
                let oldest = seen.iter().min_by_key(|(_, entry)| entry.worker.last_seen).map(|(id, _)| id.clone());
                oldest.map(|id| seen.remove(&id));
            }
            let entry = seen.entry(worker.clone()).or_insert_with(|| Seen {
                worker: RemoteWorker {
                    id: worker.clone(),
                    last_seen: now,
                    models: Vec::new(),
                    jobs: BTreeSet::new(),
                    resources: None,
                    resources_at: None,
                },
                leases: BTreeMap::new(),
            });
            entry.worker.last_seen = now;
            change(&mut entry.worker);
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<WorkerId, Seen>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_a_worker_holds_is_what_it_took_less_what_it_put_down_or_lost() {
        let (workers, worker) = (RemoteWorkers::default(), WorkerId::new("w").unwrap());
        let [one, two, three, four] = [(); 4].map(|()| JobId::new());
        let proof = |job| LeaseProof { job, worker: worker.clone(), token: None };
        workers.saw(&worker, at(0));
        workers.holds(&worker, [one, two, three, four].map(|job| (job, at(10))));
        workers.put_down(&proof(one), at(1));
        let lost = Err(StoreError::LeaseLost { job: two, worker: None });
        workers.beat(&[proof(two), proof(three)], &vec![lost, Ok(at(12))], at(2));
        let [seen] = workers.list(at(2)).try_into().unwrap();
        assert_eq!((seen.jobs, seen.last_seen), (BTreeSet::from([three, four]), at(2)));
        // Nothing was heard of the fourth.
        let [seen] = workers.list(at(10)).try_into().unwrap();
        assert_eq!(seen.jobs, BTreeSet::from([three]));
    }

    #[test]
    fn workers_of_this_process_and_those_long_gone_are_not_shown() {
        let workers = RemoteWorkers::default();
        let [gone, here] = ["gone", "here"].map(|name| WorkerId::new(name).unwrap());
        workers.saw(&gone, at(0));
        // A worker of this process comes through another door, and is never seen asking.
        workers.holds(&here, [(JobId::new(), at(10))]);
        assert_eq!(workers.list(at(600)).len(), 1);
        assert!(workers.list(at(601)).is_empty());
    }

    #[test]
    fn ids_that_are_made_up_do_not_fill_the_memory() {
        let workers = RemoteWorkers::default();
        for n in 0..2 * MOST as u64 {
            workers.saw(&WorkerId::new(format!("w{n}")).unwrap(), at(0) + Duration::from_millis(n));
        }
        let list = workers.list(at(2));
        assert_eq!(list.len(), MOST);
        assert!(list.iter().any(|worker| worker.id.as_str() == format!("w{}", 2 * MOST - 1)), "the newest stay");
    }
}
