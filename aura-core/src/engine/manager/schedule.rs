//! The scheduler's loop: takes back ended leases, then gives queued jobs to models that may have them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{JobManager, capacity::Fleet};
use crate::{
    contract::{
        Candidate, Candidates, ResourceProbe, SelectionPolicy,
        store::{Assignment, JobFilter},
    },
    engine::pace::{Pace, Pause},
    error::Result,
    ids::{JobId, ModelId, PrdId},
    job::{Job, JobStatus},
    model::Model,
    resources::Resources,
    run::ModelStats,
};

/// Gives queued jobs to models.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) manager: Arc<JobManager>,
    pub(crate) policy: Arc<dyn SelectionPolicy>,
    pub(crate) probe: Option<Arc<dyn ResourceProbe>>,
    pub(crate) waiting: Waiting,
}

/// Why each job that could not be assigned at the last pass waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<HashMap<JobId, String>>>);

impl Waiting {
    /// Why this job waits, when the last pass looked at it.
    pub(crate) fn reason(&self, job: JobId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()
    }

    fn replace(&self, reasons: HashMap<JobId, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reasons;
    }
}

/// Queued jobs looked at in one pass.
const PASS: u32 = 256;
/// Queued jobs looked at when none of the oldest can be assigned.
const FARTHEST: u32 = 256 * 8 * 8;

impl Scheduler {
    /// Runs until the orchestra stops.
    pub(crate) async fn run(self) {
        let manager = Arc::clone(&self.manager);
        let mut pace = Pace::new(&manager.clock, &manager.shutdown, manager.bells.schedule.listen());
        let mut rng = match manager.settings.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::from_os_rng(),
        };
        loop {
            let outcome = self.pass(&mut rng).await;
            if let Ok(assigned) = outcome
                && assigned > 0
            {
                manager.bells.claim.ring();
            }
            if pace.pause("scheduler", outcome.map(|_| ()), manager.settings.poll).await == Pause::Stop {
                return;
            }
        }
    }

    /// One pass; answers with the number of jobs that were assigned.
    async fn pass(&self, rng: &mut StdRng) -> Result<usize> {
        let manager = &self.manager;
        let expired = manager.store.expire(PASS).await?;
        if expired.iter().any(|expired| expired.now.is_final()) {
            manager.bells.account.ring();
        }
        let models = manager.roster.refresh().await?;
        self.take_back_from_held(&models).await?;
        let (assignments, waiting) = self.look_far_enough(&models, rng).await?;
        self.waiting.replace(waiting);
        if assignments.is_empty() {
            return Ok(0);
        }
        let answers = manager.store.assign(&assignments).await?;
        let mut assigned = 0;
        for (assignment, answer) in assignments.iter().zip(answers) {
            match answer {
                Ok(()) => assigned += 1,
                // Somebody was faster, or the model was held in between: the next pass decides anew.
                Err(error) => tracing::debug!(job = %assignment.job, %error, "an assignment was refused"),
            }
        }
        Ok(assigned)
    }

    /// Plans for the oldest queued jobs; when none of them can be assigned, for more of them, so that a long row of jobs
    /// that wait for one busy model does not hold up those behind it.
    async fn look_far_enough(
        &self,
        models: &[Model],
        rng: &mut StdRng,
    ) -> Result<(Vec<Assignment>, HashMap<JobId, String>)> {
        let mut limit = PASS;
        loop {
            let queued = self.manager.store.schedulable(limit).await?;
            if queued.is_empty() {
                return Ok((Vec::new(), HashMap::new()));
            }
            let (assignments, waiting) = self.plan(models, &queued, rng).await?;
            let all_seen = queued.len() < limit as usize;
            if !assignments.is_empty() || all_seen || limit >= FARTHEST {
                return Ok((assignments, waiting));
            }
            limit *= 8;
        }
    }

    async fn take_back_from_held(&self, models: &[Model]) -> Result<()> {
        for model in models {
            let Some(hold) = &model.hold else { continue };
            let filter = JobFilter {
                status: Some(JobStatus::Assigned),
                model: Some(model.id),
                limit: PASS,
                ..JobFilter::default()
            };
            let jobs: Vec<_> = self.manager.store.jobs(&filter).await?.iter().map(|job| job.id).collect();
            if jobs.is_empty() {
                continue;
            }
            let reason = format!("model {} is on hold: {hold}", model.profile.name);
            for (job, answer) in jobs.iter().zip(self.manager.store.unassign(&jobs, &reason).await?) {
                if let Err(error) = answer {
                    tracing::debug!(%job, %error, "a job of a held model moved on by itself");
                }
            }
        }
        Ok(())
    }

    async fn plan(
        &self,
        models: &[Model],
        queued: &[Job],
        rng: &mut StdRng,
    ) -> Result<(Vec<Assignment>, HashMap<JobId, String>)> {
        let manager = &self.manager;
        let since = manager.clock.now() - manager.settings.hr.window();
        let stats: HashMap<_, _> =
            manager.store.stats(since).await?.into_iter().map(|stats| (stats.model_id, stats)).collect();
        let load = manager.store.load().await?;
        let resources = self.resources().await;
        let taken = self.taken_by_siblings(queued).await?;
        let mut round = Round {
            models,
            stats,
            fleet: Fleet::new(models, &load, manager.settings.max_local, resources),
            attended: manager.attended.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            taken,
        };
        let mut assignments = Vec::new();
        let mut waiting = HashMap::new();
        for job in queued {
            let probe = rng.random_bool(manager.settings.probe_share);
            match round.choose(job, probe, self.policy.as_ref(), rng) {
                Ok(assignment) => assignments.push(assignment),
                Err(why) => drop(waiting.insert(job.id, why)),
            }
        }
        Ok((assignments, waiting))
    }

    /// Which models the other jobs of the queued jobs' PRDs have: a panel wants different ones.
    async fn taken_by_siblings(&self, queued: &[Job]) -> Result<HashSet<(PrdId, ModelId)>> {
        let mut taken = HashSet::new();
        let ids: Vec<_> = queued.iter().map(|job| job.prd_id).collect::<HashSet<_>>().into_iter().collect();
        for prd in self.manager.store.prds(&ids).await? {
            if prd.jobs.len() < 2 {
                continue;
            }
            let filter = JobFilter { prd: Some(prd.id), ..JobFilter::default() };
            for job in self.manager.store.jobs(&filter).await? {
                taken.extend(job.state.model().map(|model| (prd.id, model)));
            }
        }
        Ok(taken)
    }

    async fn resources(&self) -> Resources {
        let Some(probe) = &self.probe else { return Resources::default() };
        match probe.snapshot().await {
            Ok(resources) => resources,
            Err(error) => {
                tracing::warn!(%error, "resources are unknown for this pass");
                Resources::default()
            }
        }
    }
}

/// What one pass knows.
struct Round<'a> {
    models: &'a [Model],
    stats: HashMap<ModelId, ModelStats>,
    fleet: Fleet,
    attended: HashSet<ModelId>,
    taken: HashSet<(PrdId, ModelId)>,
}

impl Round<'_> {
    /// Chooses a model for one job, or says why it waits.
    fn choose(
        &mut self,
        job: &Job,
        probe: bool,
        policy: &dyn SelectionPolicy,
        rng: &mut dyn RngCore,
    ) -> Result<Assignment, String> {
        let mut ruled_out = Vec::new();
        let mut fit: Vec<&Model> = Vec::new();
        for model in self.models {
            match self.may_have(model, job, probe) {
                Ok(()) => fit.push(model),
                Err(why) => ruled_out.push(json!({ "model": model.profile.name, "why": why })),
            }
        }
        // A model that some worker asks for goes before one that nobody works for; one that has not had the job yet goes
        // before one that has.
        prefer(&mut fit, |model| self.attended.contains(&model.id));
        prefer(&mut fit, |model| !job.tried.contains(&model.id));
        let candidates = Candidates {
            job: job.id,
            role: job.role.clone(),
            models: fit
                .iter()
                .map(|model| Candidate {
                    model: model.id,
                    name: model.profile.name.clone(),
                    standing: model.standing,
                    stats: self.stats.get(&model.id).copied().unwrap_or(ModelStats::none(model.id)),
                    load: self.fleet.load_of(model.id),
                })
                .collect(),
        };
        let choice = policy.choose(&candidates, rng).filter(|choice| fit.iter().any(|model| model.id == choice.model));
        let Some((choice, model)) =
            choice.and_then(|choice| fit.iter().find(|model| model.id == choice.model).map(|model| (choice, *model)))
        else {
            return Err(waiting_reason(&ruled_out));
        };
        self.fleet.occupy(model);
        self.taken.insert((job.prd_id, model.id));
        let reason = json!({ "choice": choice.reason, "ruled_out": ruled_out, "probe": probe });
        Ok(Assignment { job: job.id, model: model.id, probe, reason })
    }

    fn may_have(&self, model: &Model, job: &Job, probe: bool) -> Result<(), String> {
        if job.pinned.is_some_and(|pinned| pinned != model.id) {
            return Err("the job asks for another model".to_owned());
        }
        if let Some(hold) = &model.hold {
            return Err(format!("on hold: {hold}"));
        }
        if !model.is_active && !probe {
            return Err("suspended".to_owned());
        }
        if !model.takes(&job.role) {
            return Err(format!("does not take the role {}", job.role));
        }
        if self.taken.contains(&(job.prd_id, model.id)) {
            return Err("works on this PRD already".to_owned());
        }
        self.fleet.room_for(model).map_err(|no_room| no_room.to_string())
    }
}

/// Keeps only the preferred ones, when there are any.
fn prefer(models: &mut Vec<&Model>, preferred: impl Fn(&Model) -> bool) {
    if models.iter().any(|model| preferred(model)) {
        models.retain(|model| preferred(model));
    }
}

fn waiting_reason(ruled_out: &[serde_json::Value]) -> String {
    let each: Vec<_> = ruled_out
        .iter()
        .filter_map(|entry| Some(format!("{}: {}", entry.get("model")?.as_str()?, entry.get("why")?.as_str()?)))
        .collect();
    if each.is_empty() { "no model is employed".to_owned() } else { each.join("; ") }
}
