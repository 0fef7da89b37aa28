//! Workers that wait for a job at this process's door. The scheduler claims for them in the same go in which it assigns, so that a
//! job does not wait for a bell, a look and a transaction of its own.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::JobManager;
use crate::{
    contract::{
        Release,
        store::{Assignment, Claim, ClaimedJob, Wanted},
    },
    engine::{bell::Bell, pace::Chain},
    error::Result,
    ids::ModelId,
    job::{JobState, LeaseProof},
};

/// Those who wait, who came first first.
#[derive(Debug, Default)]
pub(crate) struct IdleWorkers {
    state: Mutex<State>,
    /// Rings when something was left behind.
    bell: Bell,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Numbers of places that were given.
    given: u64,
    /// Leases of jobs that were claimed for somebody who had gone.
    left_behind: Vec<LeaseProof>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    claim: Claim,
    answer: oneshot::Sender<Vec<ClaimedJob>>,
}

/// Somebody's place among those who wait; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Place {
    idle: Arc<IdleWorkers>,
    number: u64,
    answer: oneshot::Receiver<Vec<ClaimedJob>>,
}

/// Whom a job is claimed for.
#[derive(Debug)]
pub(crate) struct Called {
    idle: Arc<IdleWorkers>,
    pub(crate) claim: Claim,
    answer: oneshot::Sender<Vec<ClaimedJob>>,
}

impl IdleWorkers {
    /// Waits for what this claim wants.
    pub(crate) fn wait(self: &Arc<Self>, claim: Claim) -> Place {
        let (send, answer) = oneshot::channel();
        let mut state = self.state();
        state.given += 1;
        let number = state.given;
        state.waiting.push_back(Waiting { number, claim, answer: send });
        Place { idle: Arc::clone(self), number, answer }
    }

    /// Calls those who wait for what is about to be assigned, each for as many jobs as there are for it and it wants.
    pub(crate) fn call(self: &Arc<Self>, assignments: &[Assignment]) -> Vec<Called> {
        let mut state = self.state();
        let mut called: Vec<(Waiting, u32)> = Vec::new();
        let mut nobody_for: HashSet<ModelId> = HashSet::new();
        for Assignment { model, .. } in assignments {
            if nobody_for.contains(model) {
                continue;
            }
            // Somebody who was called already may want more than one.
            if let Some((_, jobs)) = called.iter_mut().find(|(waiting, jobs)| waiting.wants(*model) > *jobs) {
                *jobs += 1;
                continue;
            }
            let first = state.waiting.iter().position(|waiting| waiting.wants(*model) > 0);
            match first.and_then(|place| state.waiting.remove(place)) {
                Some(waiting) => called.push((waiting, 1)),
                None => drop(nobody_for.insert(*model)),
            }
        }
        let call = |(waiting, jobs): (Waiting, u32)| {
            let Waiting { mut claim, answer, .. } = waiting;
            if let Wanted::Any { max, .. } = &mut claim.wanted {
                *max = jobs;
            }
            Called { idle: Arc::clone(self), claim, answer }
        };
        called.into_iter().map(call).collect()
    }

    /// Leases of jobs that nobody came for, to be handed back. They are told once.
    fn left_behind(&self) -> Vec<LeaseProof> {
        std::mem::take(&mut self.state().left_behind)
    }

    fn leave_behind(&self, leases: impl IntoIterator<Item = LeaseProof>) {
        self.state().left_behind.extend(leases);
        self.bell.ring();
    }

    /// Keeps an eye on jobs that are on their way to whoever claimed them.
    pub(crate) fn watch(self: &Arc<Self>, jobs: &[ClaimedJob]) -> OnTheWay {
        OnTheWay { idle: Arc::clone(self), leases: leases(jobs) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands back what is left behind, until the orchestra stops: no vendor was asked for it.
pub(crate) async fn hand_back(manager: Arc<JobManager>) {
    let mut rings = manager.idle.bell.listen();
    let mut stop = manager.shutdown.signal();
    loop {
        let is_over = tokio::select! {
            () = rings.rung() => false,
            () = stop.stopping() => true,
        };
        let leases = manager.idle.left_behind();
        if let Err(error) = manager.release_unbegun(&leases).await
            && !is_over
        {
            tracing::warn!(error = %Chain(&error), "jobs that nobody came for could not be handed back; it is tried again");
            tokio::select! {
                () = manager.clock.sleep(manager.settings.poll) => {}
                () = stop.stopping() => {}
            }
            manager.idle.leave_behind(leases);
        }
        if is_over {
            return;
        }
    }
}

impl JobManager {
    async fn release_unbegun(&self, leases: &[LeaseProof]) -> Result<()> {
        let back = |proof: &LeaseProof| Release {
            proof: proof.clone(),
            reason: "the worker that waited for it had gone".to_owned(),
            retry_after: None,
            blameless: true,
            unbilled: true,
        };
        let releases: Vec<_> = leases.iter().map(back).collect();
        if releases.is_empty() {
            return Ok(());
        }
        for (release, answer) in releases.iter().zip(self.store.release(&releases).await?) {
            match answer {
                Ok(status) => self.bells.moved(&[status]),
                Err(error) => {
                    tracing::debug!(job = %release.proof.job, %error, "a job that nobody came for moved on by itself");
                }
            }
        }
        Ok(())
    }
}

impl Waiting {
    /// How many jobs of this model it would take.
    fn wants(&self, model: ModelId) -> u32 {
        if self.claim.wants(model) { self.claim.most() } else { 0 }
    }
}

impl Place {
    /// Waits until somebody claimed for it. What was claimed may be nothing: others may have been faster. It is answered once.
    pub(crate) async fn served(&mut self) -> Vec<ClaimedJob> {
        if self.answer.is_terminated() {
            return Vec::new();
        }
        (&mut self.answer).await.unwrap_or_default()
    }

    /// Gives the place up. Who is being served right now is waited for.
    pub(crate) async fn leave(mut self) -> Vec<ClaimedJob> {
        if self.is_given_up() { Vec::new() } else { self.served().await }
    }

    /// Takes the place out of those that wait; whether it was among them.
    fn is_given_up(&self) -> bool {
        let waiting = &mut self.idle.state().waiting;
        match waiting.binary_search_by_key(&self.number, |waiting| waiting.number) {
            Ok(place) => waiting.remove(place).is_some(),
            Err(_) => false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_given_up() {
            return;
        }
        self.answer.close();
        if let Ok(jobs) = self.answer.try_recv() {
            self.idle.leave_behind(leases(&jobs));
        }
    }
}

/// Jobs on their way to whoever claimed them; when it is dropped before they have arrived, they are left behind.
#[derive(Debug)]
pub(crate) struct OnTheWay {
    idle: Arc<IdleWorkers>,
    leases: Vec<LeaseProof>,
}

impl OnTheWay {
    pub(crate) fn arrived(mut self) {
        self.leases.clear();
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let leases = std::mem::take(&mut self.leases);
        if !leases.is_empty() {
            self.idle.leave_behind(leases);
        }
    }
}

fn leases(jobs: &[ClaimedJob]) -> Vec<LeaseProof> {
    let lease = |ClaimedJob { job, .. }: &ClaimedJob| match &job.state {
        JobState::InProgress { lease, .. } => {
            Some(LeaseProof { job: job.id, worker: lease.worker.clone(), token: Some(lease.token) })
        }
        _ => None,
    };
    jobs.iter().filter_map(lease).collect()
}

impl Called {
    /// Hands over what was claimed.
    pub(crate) fn serve(self, jobs: Vec<ClaimedJob>) {
        if let Err(jobs) = self.answer.send(jobs) {
            self.idle.leave_behind(leases(&jobs));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::{
        Job, JobId, Lease, NewPrd, Prd, PrdId, WorkerId,
        job::{Door, FencingToken},
    };

    fn claim(worker: &str, models: &[i32], max: u32) -> Claim {
        let wanted = Wanted::Any { models: models.iter().map(|model| ModelId(*model)).collect(), max };
        let worker = WorkerId::new(worker).unwrap();
        Claim { worker, door: Door::InProcess, wanted, lease: Duration::from_secs(30) }
    }

    fn assignments(models: &[i32]) -> Vec<Assignment> {
        let of = |model| Assignment { job: JobId::new(), model: ModelId(model), probe: false, reason: json!({}) };
        models.iter().map(|model| of(*model)).collect()
    }

    /// Who is called for how many jobs.
    fn who(called: &[Called]) -> Vec<(String, u32)> {
        let of = |called: &Called| {
            let Wanted::Any { max, .. } = called.claim.wanted else { unreachable!() };
            (called.claim.worker.to_string(), max)
        };
        called.iter().map(of).collect()
    }

    #[test]
    fn who_came_first_and_wants_it_is_called_and_nobody_for_more_than_there_is() {
        let idle = Arc::new(IdleWorkers::default());
        let _places = [
            idle.wait(claim("a", &[1], 1)),
            idle.wait(claim("b", &[1, 2], 3)),
            idle.wait(claim("c", &[1], 1)),
            idle.wait(claim("d", &[4], 9)),
        ];
        let called = idle.call(&assignments(&[2, 1, 1, 1, 3]));
        assert_eq!(who(&called), [("b".to_owned(), 3), ("a".to_owned(), 1)]);
        assert_eq!(who(&idle.call(&assignments(&[1, 1, 4]))), [("c".to_owned(), 1), ("d".to_owned(), 1)]);
        assert_eq!(who(&idle.call(&assignments(&[1, 2, 4]))), [], "each is called once");
    }

    fn job() -> ClaimedJob {
        let now = chrono::DateTime::UNIX_EPOCH;
        let (prd, id) = (PrdId::new(), JobId::new());
        let lease = Lease {
            worker: WorkerId::new("a").unwrap(),
            token: FencingToken(7),
            until: now,
            claimed_at: now,
            door: Door::InProcess,
        };
        let request = NewPrd::new("do it");
        let job = Job {
            id,
            prd_id: prd,
            project_id: request.project,
            role: request.role.clone(),
            state: JobState::InProgress { model: ModelId(1), lease },
            attempt: 1,
            max_attempts: 3,
            pinned: None,
            tried: Vec::new(),
            last_error: None,
            not_before: None,
            created_at: now,
            updated_at: now,
        };
        ClaimedJob { job, prd: Prd { id: prd, request, jobs: vec![id], created_at: now, verdict: None } }
    }

    #[tokio::test]
    async fn who_is_being_served_gets_its_job_also_when_it_is_about_to_leave() {
        let idle = Arc::new(IdleWorkers::default());
        let place = idle.wait(claim("a", &[1], 1));
        let called = idle.call(&assignments(&[1])).pop().unwrap();
        let mut leaving = Box::pin(place.leave());
        assert!((&mut leaving).now_or_never().is_none(), "it waits for its answer");
        let job = job();
        called.serve(vec![job.clone()]);
        assert_eq!(leaving.await, [job]);
        assert_eq!(idle.left_behind(), []);
        assert_eq!(idle.wait(claim("a", &[1], 1)).leave().await, [], "nobody calls it");
        assert_eq!(who(&idle.call(&assignments(&[1]))), []);
    }

    #[tokio::test]
    async fn what_was_claimed_for_somebody_who_is_gone_is_left_behind_and_told_once() {
        for is_served_before in [true, false] {
            let idle = Arc::new(IdleWorkers::default());
            let place = idle.wait(claim("a", &[1], 1));
            let called = idle.call(&assignments(&[1])).pop().unwrap();
            let job = job();
            if is_served_before {
                called.serve(vec![job.clone()]);
                drop(place);
            } else {
                drop(place);
                called.serve(vec![job.clone()]);
            }
            let left: Vec<_> = idle.left_behind().iter().map(|lease| (lease.job, lease.token)).collect();
            assert_eq!(left, [(job.job.id, Some(FencingToken(7)))]);
            assert_eq!(idle.left_behind(), []);
        }
    }

    #[tokio::test]
    async fn who_could_not_be_served_may_ask_again() {
        let idle = Arc::new(IdleWorkers::default());
        let mut place = idle.wait(claim("a", &[1], 1));
        drop(idle.call(&assignments(&[1])));
        assert_eq!(place.served().await, []);
        assert_eq!(place.leave().await, [], "it may go then");
        let mut place = idle.wait(claim("a", &[1], 1));
        idle.call(&assignments(&[1])).pop().unwrap().serve(Vec::new());
        assert_eq!(place.served().await, []);
        assert_eq!(place.leave().await, []);
    }
}
