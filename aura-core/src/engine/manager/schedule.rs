//! The scheduler's loop: takes back ended leases, then gives queued jobs to models that may have them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use rand::{SeedableRng, rngs::StdRng};

use super::{
    JobManager,
    ahead::{Ahead, Known},
    attendance::{attended, passed},
    capacity::Fleet,
    horizon::{FARTHEST, Horizon, PASS},
    lookout::Lookout,
    round::{NOBODY_ASKS, Round, is_eligible, is_probe},
};
use crate::{
    contract::{
        ModelAdapter, SelectionPolicy, Store,
        store::{Assignment, Dispatched, Duty, JobFilter, ModelLoad, Schedulable},
    },
    engine::{
        duty::Duties,
        pace::{Pace, Pause, caught},
    },
    error::{Error, Result},
    ids::{JobId, ModelId, ModelName, PrdId},
    job::{Job, JobStatus},
    model::Model,
};

/// Gives queued jobs to models.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) manager: Arc<JobManager>,
    pub(crate) duties: Arc<Duties>,
    pub(crate) policy: Arc<dyn SelectionPolicy>,
    pub(crate) lookout: Lookout,
    /// Those in this process: what stands before them is known here.
    pub(crate) adapters: Arc<HashMap<ModelName, Arc<dyn ModelAdapter>>>,
    pub(crate) waiting: Waiting,
    pub(crate) horizon: Horizon,
}

/// Why each job that could not be assigned at the last pass waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<HashMap<JobId, String>>>);

impl Waiting {
    /// Why this job waits, when the last pass looked at it.
    pub(crate) fn reason(&self, job: JobId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn replace(&self, reasons: HashMap<JobId, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reasons;
    }
}

impl Scheduler {
    /// Runs until the orchestra stops.
    pub(crate) async fn run(self) {
        let manager = Arc::clone(&self.manager);
        let mut pace = Pace::new(&manager.clock, &manager.shutdown, manager.bells.schedule.listen());
        let mut rng = match manager.settings.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::from_os_rng(),
        };
        let mut stop = manager.shutdown.signal();
        let mut coming = manager.bells.coming.listen();
        let mut ahead: Option<Ahead> = None;
        loop {
            tokio::select! {
                () = self.duties.on_duty(Duty::Scheduler) => {}
                () = stop.stopping() => return,
            }
            coming.has_heard();
            let outcome = self.pass(&mut rng, ahead.take()).await;
            let pause = pace.pause("scheduler", outcome, manager.settings.poll);
            tokio::pin!(pause);
            let pause = loop {
                tokio::select! {
                    biased;
                    pause = &mut pause => break pause,
                    // With jobs that wait already, the next pass has more to read than this.
                    () = coming.rung(), if self.waiting.is_empty() => {
                        let fresh = ahead.filter(|ahead| ahead.is_fresh(&manager));
                        ahead = fresh.or_else(|| Some(Ahead::begin(&manager)));
                    }
                }
            };
            if pause == Pause::Stop {
                return;
            }
        }
    }

    /// One pass. A job that waits does not wait until ended leases are taken back, which is done whatever comes of the rest; what
    /// comes back rings, and is looked at in the next pass.
    async fn pass(&self, rng: &mut StdRng, ahead: Option<Ahead>) -> Result<()> {
        let Some(store) = self.duties.store(Duty::Scheduler) else { return Ok(()) };
        let outcome = caught(self.assign(store.as_ref(), rng, ahead)).await;
        let expired: Vec<_> = store.expire(PASS).await?.iter().map(|expired| expired.now).collect();
        self.manager.bells.moved(&expired);
        outcome
    }

    /// Gives queued jobs to models, by what was read `ahead` where that is still fresh.
    async fn assign(&self, store: &dyn Store, rng: &mut StdRng, ahead: Option<Ahead>) -> Result<()> {
        let manager = &self.manager;
        let look = async { manager.store.schedulable_with_siblings(PASS).await.map_err(Error::from) };
        // A job that was just queued does not wait for one look after another; where there may be nothing, the first look says so.
        let is_queued = manager.bells.queued();
        let coming = manager.bells.coming.take();
        let ahead = ahead.filter(|ahead| is_queued && ahead.is_fresh(manager));
        let mut was_ahead = ahead.is_some();
        let (mut known, mut queued) = match (ahead, coming) {
            (Some(ahead), Some(coming)) => {
                let mut known = ahead.known(manager).await?;
                self.begin_at_once(store, &known, coming, rng).await?;
                let queued = look.await?;
                if !queued.jobs.is_empty() {
                    (known, was_ahead) = (Known::read(manager).await?, false);
                }
                (known, queued)
            }
            (Some(ahead), None) => tokio::try_join!(ahead.known(manager), look)?,
            (None, _) if is_queued => tokio::try_join!(Known::read(manager), look)?,
            (None, _) => {
                let (models, queued) = tokio::try_join!(manager.roster.refresh(), look)?;
                let is_idle = queued.jobs.is_empty() && self.are_attended(&models);
                let figures = if is_idle { Default::default() } else { Known::figures(manager).await? };
                (Known::of(models, figures), queued)
            }
        };
        manager.bells.coming.forget(&queued.jobs);
        let from_held = self.take_back_from_held(store, &known.models).await?;
        let (from_unattended, waiting_there) =
            self.take_back_from_unattended(store, &known.models, &known.load).await?;
        if from_held + from_unattended > 0 {
            (queued, known.load) =
                tokio::try_join!(manager.store.schedulable_with_siblings(PASS), manager.store.load())?;
        }
        let (assignments, mut waiting) = self.look_far_enough(&known, queued, rng).await?;
        let nobody_waits = waiting.is_empty();
        waiting.extend(waiting_there);
        self.waiting.replace(waiting);
        let all_were_given = assignments.is_empty() || self.dispatch(store, &assignments).await?;
        if was_ahead && !(nobody_waits && all_were_given) {
            // What they wait for may have come since, or what was chosen may have gone.
            manager.bells.changed();
        }
        Ok(())
    }

    /// Gives away a job that is stored by now, most likely, before anybody has looked for it. Nobody waited at the last pass: what has come
    /// since and is older comes behind this one. If it cannot be given away, that is decided when it is found in the store.
    async fn begin_at_once(&self, store: &dyn Store, known: &Known, coming: Job, rng: &mut StdRng) -> Result<()> {
        let coming = Schedulable { jobs: vec![coming], siblings: Vec::new() };
        let (assignments, _, _) = self.plan(known, &coming, rng).await;
        if !assignments.is_empty() {
            self.dispatch(store, &assignments).await?;
        }
        Ok(())
    }

    /// Assigns, and claims for the workers that wait in this process. Answers whether no assignment was refused.
    async fn dispatch(&self, store: &dyn Store, assignments: &[Assignment]) -> Result<bool> {
        let called = self.manager.idle.call(assignments);
        let claims: Vec<_> = called.iter().map(|called| called.claim.clone()).collect();
        let Dispatched { assigned, claimed } = store.dispatch(assignments, &claims).await?;
        let were_all_given = assigned.iter().all(std::result::Result::is_ok);
        let mut left = HashSet::new();
        for (assignment, answer) in assignments.iter().zip(assigned) {
            match answer {
                Ok(()) => drop(left.insert(assignment.job)),
                // Somebody was faster, or the model was held in between: the next pass decides anew.
                Err(error) => tracing::debug!(job = %assignment.job, %error, "an assignment was refused"),
            }
        }
        for (called, claimed) in called.into_iter().zip(claimed) {
            match claimed {
                Ok(jobs) => {
                    left.retain(|job| jobs.iter().all(|claimed| claimed.job.id != *job));
                    called.serve(jobs);
                }
                Err(error) => {
                    tracing::debug!(worker = %called.claim.worker, %error, "nothing could be claimed for a worker that waits");
                }
            }
        }
        if !left.is_empty() {
            self.manager.bells.moved(&[JobStatus::Assigned]);
        }
        Ok(were_all_given)
    }

    /// Plans for the oldest queued jobs; when none of them can be assigned, for more of them, so that a long row of jobs
    /// that wait for one busy model does not hold up those behind it.
    async fn look_far_enough(
        &self,
        known: &Known,
        mut queued: Schedulable,
        rng: &mut StdRng,
    ) -> Result<(Vec<Assignment>, HashMap<JobId, String>)> {
        let models = &known.models;
        let mut limit = PASS;
        loop {
            if queued.jobs.is_empty() {
                return Ok((Vec::new(), HashMap::new()));
            }
            let (assignments, waiting, fleet) = self.plan(known, &queued, rng).await;
            let all_seen = queued.jobs.len() < limit as usize;
            if !assignments.is_empty() || all_seen {
                return Ok((assignments, waiting));
            }
            let now = self.manager.clock.now();
            if limit >= FARTHEST {
                self.horizon.in_vain(models, &fleet, now);
                return Ok((assignments, waiting));
            }
            if limit >= self.horizon.limit(models, &fleet, now, self.manager.settings.poll) {
                return Ok((assignments, waiting));
            }
            limit *= 8;
            queued = self.manager.store.schedulable_with_siblings(limit).await?;
        }
    }

    /// Takes back what held models have not begun; answers how many jobs.
    async fn take_back_from_held(&self, store: &dyn Store, models: &[Model]) -> Result<usize> {
        let mut taken_back = 0;
        for model in models {
            let Some(hold) = &model.hold else { continue };
            let filter = JobFilter {
                status: Some(JobStatus::Assigned),
                model: Some(model.id),
                limit: PASS,
                ..JobFilter::default()
            };
            let jobs: Vec<_> = self.manager.store.jobs(&filter).await?.iter().map(|job| job.id).collect();
            taken_back += take_back(store, &jobs, &format!("model {} is on hold: {hold}", model.profile.name)).await?;
        }
        Ok(taken_back)
    }

    /// Whether workers have asked for every model lately, as they nearly always have.
    fn are_attended(&self, models: &[Model]) -> bool {
        let asked_for = attended(models, &[], self.manager.clock.now(), self.manager.settings.attendance);
        models.iter().all(|model| asked_for.contains(&model.id))
    }

    /// Takes jobs back that have long been assigned to a model that nobody works for, where one that somebody works for
    /// may have them. Answers how many, and why the others wait.
    async fn take_back_from_unattended(
        &self,
        store: &dyn Store,
        models: &[Model],
        load: &[ModelLoad],
    ) -> Result<(usize, Vec<(JobId, String)>)> {
        if self.are_attended(models) {
            return Ok((0, Vec::new()));
        }
        let (attendance, now) = (self.manager.settings.attendance, self.manager.clock.now());
        let attended = attended(models, load, now, attendance);
        let (mut taken_back, mut waiting) = (0, Vec::new());
        for load in load.iter().filter(|load| load.assigned > 0 && !attended.contains(&load.model)) {
            let Some(model) = models.iter().find(|model| model.id == load.model) else { continue };
            let filter = JobFilter {
                status: Some(JobStatus::Assigned),
                model: Some(model.id),
                limit: PASS,
                ..JobFilter::default()
            };
            let jobs = self.manager.store.jobs(&filter).await?;
            let taken = self.taken_by_siblings(&jobs).await?;
            let other_may_have = |job: &Job| {
                let mut others = models.iter().filter(|other| attended.contains(&other.id));
                others.any(|other| is_eligible(other, job, false, &taken).is_ok())
            };
            let (stuck, wait): (Vec<_>, Vec<_>) =
                jobs.iter().partition(|job| passed(job.updated_at, now) >= attendance && other_may_have(job));
            let name = &model.profile.name;
            let stuck: Vec<_> = stuck.iter().map(|job| job.id).collect();
            let reason = format!("{name} has it, but {NOBODY_ASKS} for {attendance:?}, and another model may have it");
            taken_back += take_back(store, &stuck, &reason).await?;
            waiting.extend(wait.iter().map(|job| (job.id, format!("{name} has it, but {NOBODY_ASKS}"))));
        }
        Ok((taken_back, waiting))
    }

    async fn plan(
        &self,
        Known { models, stats, load }: &Known,
        queued: &Schedulable,
        rng: &mut StdRng,
    ) -> (Vec<Assignment>, HashMap<JobId, String>, Fleet) {
        let manager = &self.manager;
        let attended = attended(models, load, manager.clock.now(), manager.settings.attendance);
        let mut sight = self.lookout.look().await;
        let elsewhere = models.iter().filter(|model| !self.adapters.contains_key(&model.profile.name));
        sight.elsewhere = elsewhere.map(|model| model.id).collect();
        let mut round = Round {
            models,
            stats,
            fleet: Fleet::new(models, load, attended, manager.settings.max_local, sight),
            taken: queued.siblings.iter().copied().collect(),
            shut: self.shut(models),
        };
        let mut assignments = Vec::new();
        let mut waiting = HashMap::new();
        for job in &queued.jobs {
            let probe = is_probe(manager.settings.seed.unwrap_or(0), job.id, job.attempt, manager.settings.probe_share);
            match round.choose(job, probe, self.policy.as_ref(), rng) {
                Ok(assignment) => assignments.push(assignment),
                Err(why) => drop(waiting.insert(job.id, why)),
            }
        }
        (assignments, waiting, round.fleet)
    }

    /// Which models the other jobs of the queued jobs' PRDs have: a panel wants different ones.
    async fn taken_by_siblings(&self, queued: &[Job]) -> Result<HashSet<(PrdId, ModelId)>> {
        let ids: Vec<_> = queued.iter().map(|job| job.id).collect();
        Ok(self.manager.store.siblings(&ids).await?.into_iter().collect())
    }

    /// Models of this process before which a gate is shut, and which.
    fn shut(&self, models: &[Model]) -> HashMap<ModelId, String> {
        let gate = |model: &Model| {
            let gates = self.adapters.get(&model.profile.name)?.gates();
            let shut = gates.into_iter().find(|gate| !gate.passes)?;
            Some((model.id, format!("{}: {}", shut.name, shut.state)))
        };
        models.iter().filter_map(gate).collect()
    }
}

/// Answers how many of the jobs were taken back.
async fn take_back(store: &dyn Store, jobs: &[JobId], reason: &str) -> Result<usize> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let mut taken_back = 0;
    for (job, answer) in jobs.iter().zip(store.unassign(jobs, reason).await?) {
        match answer {
            Ok(()) => taken_back += 1,
            Err(error) => tracing::debug!(%job, %error, "a job that was to be taken back moved on by itself"),
        }
    }
    Ok(taken_back)
}
