//! The accountant's loop: submitted work -> evidence -> assessment -> run, and the verdict when all jobs have ended.

mod details;
mod examine;
mod judge;
mod setback;
mod settle;
mod spent;
mod under_way;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;

pub(crate) use details::RunDetails;
pub(crate) use examine::Examination;
pub(crate) use setback::Setbacks;

use crate::{
    artifact::Submission,
    audit::{NewAlert, Severity},
    clock::Clock,
    contract::{
        Sandbox, Scorer, SelectionPolicy, Store, StoreError,
        store::{JobFilter, Judgement, Next, RunFilter},
    },
    engine::{alerts::AlertDesk, bell::Bells, duty::Duties, pace::Chain, roster::Roster, settings::Settings},
    error::{Error, Result},
    evidence::{Assessment, Evidence, Sibling},
    generation::Usage,
    ids::{Actor, JobId, ModelId, PrdId},
    job::{Delivery, Job, JobEvent, JobState, JobStatus},
    model::Model,
    plan::Plan,
    prd::Prd,
    run::{ModelRun, NewRun},
};

/// Tests, scores and settles.
#[derive(Debug)]
pub(crate) struct Accountant {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scorer: Arc<dyn Scorer>,
    pub(crate) sandbox: Option<Arc<dyn Sandbox>>,
    pub(crate) policy: Arc<dyn SelectionPolicy>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) alerts: Arc<AlertDesk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    /// Which node this is, where several assess.
    pub(crate) duties: Arc<Duties>,
    /// Models whose adapter in this process says that their answers are this program's own code.
    pub(crate) in_house: HashSet<ModelId>,
    /// What was examined, but not judged yet, so that a pass that failed half-way does not run the same tests again.
    pub(crate) examined: Mutex<HashMap<(JobId, u32), (PrdId, Examination)>>,
    pub(crate) setbacks: Setbacks,
    /// Test runs that may go on at the same time.
    pub(crate) test_runs: Semaphore,
}

/// A submitted job with what its worker said and what it handed in.
struct Handed {
    job: Job,
    model: Model,
    delivery: Delivery,
    work: Submission,
}

/// What others may be compared with.
fn sibling(one: &Handed, examined: &Result<Examination>) -> Sibling {
    let report = examined.as_ref().ok().and_then(|examination| examination.tests.report());
    Sibling {
        job: one.job.id,
        identity: one.model.profile.identity.clone(),
        work: one.work.clone(),
        behaviour: report.map(|report| report.behaviour.clone()).unwrap_or_default(),
    }
}

/// Whether a judgement was taken.
enum Taken {
    Yes,
    /// Somebody else was faster; the store says where the job stands.
    TooLate(String),
}

impl Accountant {
    /// Lets a PRD wait that could not be assessed, and tells people when it is not the first time.
    async fn set_back(&self, prd: PrdId, error: &Error) {
        let why = Chain(error).to_string();
        tracing::warn!(%prd, error = why, "a PRD could not be assessed and will be looked at again");
        let Some(failures) = self.setbacks.failed(prd, self.clock.now()) else { return };
        // The flag hangs on a job that waits for it; where none can be read, it is raised all the same.
        let jobs = self.jobs_of(prd).await.unwrap_or_default();
        let job = jobs.iter().find(|job| matches!(job.state, JobState::Submitted { .. })).or(jobs.first());
        let alert = NewAlert {
            job_id: job.map(|job| job.id),
            severity: Severity::Critical,
            rule: Some("cannot_assess".to_owned()),
            reason: format!("PRD {prd} could not be assessed {failures} times: {why}"),
        };
        match self.alerts.raise(&alert, &Actor::accountant()).await {
            Ok(_) => self.setbacks.told(prd),
            Err(error) => tracing::error!(%prd, error = %Chain(&error), "an alert could not be raised"),
        }
    }

    /// Forgets what is known of PRDs that wait for the accountant no longer.
    fn forget_all_but(&self, waiting: &HashSet<PrdId>) {
        self.setbacks.keep(waiting);
        self.examined.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (prd, _)| waiting.contains(prd));
    }

    /// Judges all that was handed in for one PRD, then settles it when everything has ended.
    async fn assess_prd(&self, id: PrdId, models: &[Model]) -> Result<()> {
        let Some(prd) = self.store.prds(&[id]).await?.pop() else { return Err(Error::UnknownPrd(id)) };
        let jobs = self.jobs_of(id).await?;
        let is_submitted = |(job, attempt): &(JobId, u32)| {
            let mut jobs = jobs.iter().filter(|known| known.id == *job && known.attempt == *attempt);
            jobs.any(|job| matches!(job.state, JobState::Submitted { .. }))
        };
        self.examined
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, (prd, _)| *prd != id || is_submitted(key));
        let handed = self.handed_in(&jobs, models, &prd).await?;
        let mut examined = Vec::with_capacity(handed.len());
        for one in &handed {
            examined.push(self.examine_once(&prd, one).await);
        }
        let siblings: Vec<Sibling> =
            handed.iter().zip(&examined).map(|(one, examined)| sibling(one, examined)).collect();
        // What cannot be examined now keeps no other from its judgement.
        let mut failed = None;
        for (one, examination) in handed.iter().zip(examined) {
            let others = siblings.iter().filter(|sibling| sibling.job != one.job.id).cloned().collect();
            let judged = match examination {
                Ok(examination) => self.judge(&prd, one, others, examination, models).await,
                Err(error) => Err(error),
            };
            match judged {
                Ok(_) => self.forget(&one.job),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)?;
        self.settle_if_ended(&prd, models).await
    }

    async fn jobs_of(&self, prd: PrdId) -> Result<Vec<Job>> {
        Ok(self.store.jobs(&JobFilter { prd: Some(prd), ..JobFilter::default() }).await?)
    }

    async fn handed_in(&self, jobs: &[Job], models: &[Model], prd: &Prd) -> Result<Vec<Handed>> {
        let mut handed = Vec::new();
        for job in jobs {
            let JobState::Submitted { model, delivery } = &job.state else { continue };
            let known = models.iter().find(|known| known.id == *model);
            let model = known.ok_or_else(|| StoreError::not_found("model", model))?.clone();
            let artifacts = self.store.artifacts(job.id).await?;
            let pieces = artifacts.iter().filter(|piece| piece.attempt == job.attempt).map(|piece| &piece.content);
            let work = Submission::from_artifacts(pieces, prd.request.language);
            handed.push(Handed { job: job.clone(), model, delivery: delivery.clone(), work });
        }
        Ok(handed)
    }

    /// The job is judged: what its examination showed is needed no more.
    fn forget(&self, job: &Job) {
        self.examined.lock().unwrap_or_else(PoisonError::into_inner).remove(&(job.id, job.attempt));
    }

    /// Whatever fails behind the tests, they need not run again.
    async fn examine_once(&self, prd: &Prd, one: &Handed) -> Result<Examination> {
        let key = (one.job.id, one.job.attempt);
        let known = self.examined.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, known)) = known {
            return Ok(known);
        }
        let permit = self.test_runs.acquire().await;
        let fresh = self.examine(prd, one).await?;
        drop(permit);
        let mut examined = self.examined.lock().unwrap_or_else(PoisonError::into_inner);
        examined.insert(key, (prd.id, fresh.clone()));
        Ok(fresh)
    }

    async fn judge(
        &self,
        prd: &Prd,
        one: &Handed,
        siblings: Vec<Sibling>,
        examination: Examination,
        models: &[Model],
    ) -> Result<Taken> {
        let evidence = Evidence {
            job: one.job.id,
            model: one.model.id,
            identity: one.model.profile.identity.clone(),
            language: prd.request.language,
            work: one.work.clone(),
            siblings,
            tests: examination.tests.clone(),
            penalties: examination.penalties.clone(),
        };
        let assessment = self.assess(evidence).await?;
        let decision = judge::decide(&judge::Case {
            asked_for_tests: prd.request.tests.is_some(),
            delivery: &one.delivery,
            work: &one.work,
            examination: &examination,
            other_model_left: prd.request.plan == Plan::Solo && another_model(&one.job, &one.model, models),
            attempts_left: one.job.has_attempts_left(),
        });
        let judgement = Judgement {
            run: new_run(prd, one, &examination, assessment, &decision),
            next: decision.next,
            tests_failed: !examination.tests.is_acceptable(),
        };
        self.raise_alerts(one, &examination).await;
        self.write(judgement).await
    }

    /// Scoring may be slow on large work: it gets a thread on which it blocks nobody.
    async fn assess(&self, evidence: Evidence) -> Result<Assessment> {
        let scorer = Arc::clone(&self.scorer);
        let scored = tokio::task::spawn_blocking(move || scorer.assess(&evidence)).await;
        scored.map_err(|error| Error::Setup(format!("the scorer panicked: {error}")))
    }

    async fn write(&self, judgement: Judgement) -> Result<Taken> {
        let answers = self.store.judge(std::slice::from_ref(&judgement)).await?;
        let to: &[_] = match &judgement.next {
            Next::Validate => &[JobStatus::Validated],
            Next::Retry { .. } => &[JobStatus::Queued, JobStatus::Failed],
            Next::Fail { .. } => &[JobStatus::Failed],
        };
        match answers.into_iter().next() {
            Some(Ok(_)) => {
                self.policy.feedback(&judgement.run);
                self.bells.moved(to);
                Ok(Taken::Yes)
            }
            // Another node, an outside validator or a cancellation was faster: what stands, stands.
            Some(Err(StoreError::Conflict { reason, .. })) => {
                tracing::info!(job = %judgement.run.job_id, reason, "the job was judged by somebody else");
                Ok(Taken::TooLate(reason))
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(StoreError::Backend { action: "judge a job", source: "it answered nothing".into() }.into()),
        }
    }

    /// Tells about hostile work and about tests that cannot be run; never stops the verdict.
    async fn raise_alerts(&self, one: &Handed, examination: &Examination) {
        let mut alerts = Vec::new();
        for mark in &examination.penalties {
            let (severity, rule) = match mark.weight >= examine::full_penalty() {
                true => (Severity::Critical, "hostile_work"),
                false => (Severity::Warning, "tests_changed"),
            };
            alerts.push((severity, rule, format!("{}: {}", one.model.profile.name, mark.reason)));
        }
        if let Some(reason) = &examination.not_run {
            alerts.push((Severity::Warning, "tests_not_run", reason.clone()));
        }
        for (severity, rule, reason) in alerts {
            let alert = NewAlert { job_id: Some(one.job.id), severity, rule: Some(rule.to_owned()), reason };
            if let Err(error) = self.alerts.raise(&alert, &Actor::accountant()).await {
                tracing::warn!(job = %one.job.id, error = %Chain(&error), "an alert could not be raised");
            }
        }
    }

    async fn settle_if_ended(&self, prd: &Prd, models: &[Model]) -> Result<()> {
        let jobs = self.jobs_of(prd.id).await?;
        if jobs.is_empty() || !jobs.iter().all(|job| job.state.status().is_final()) {
            return Ok(());
        }
        let mut known: Vec<(Vec<ModelRun>, Vec<JobEvent>)> = Vec::new();
        for job in &jobs {
            let filter = RunFilter { job: Some(job.id), limit: job.max_attempts, ..RunFilter::default() };
            let runs = self.store.runs(&filter).await?;
            let all_ran = runs.len() == job.attempt as usize;
            let history = if all_ran { Vec::new() } else { self.store.job_events(job.id).await? };
            known.push((runs, history));
        }
        let finished = jobs.iter().zip(&known).map(|(job, (runs, history))| settle::Finished { job, runs, history });
        let finished: Vec<_> = finished.collect();
        let verdict = settle::settle(prd, &finished, models, self.clock.now());
        for answer in self.store.settle(std::slice::from_ref(&verdict)).await? {
            answer?;
        }
        self.bells.verdict.ring();
        Ok(())
    }

    /// Judges a submitted job by what an outside validator saw.
    pub(crate) async fn validate(&self, id: JobId, examination: Examination) -> Result<()> {
        let job = self.store.job(id).await?.ok_or(Error::UnknownJob(id))?;
        if !matches!(job.state, JobState::Submitted { .. }) {
            let reason = format!("is {}: only SUBMITTED work can be validated", job.state.status());
            return Err(StoreError::conflict("job", id, reason).into());
        }
        let Some(prd) = self.store.prds(&[job.prd_id]).await?.pop() else { return Err(Error::UnknownPrd(job.prd_id)) };
        let models = self.roster.refresh().await?;
        let Some(one) = self.handed_in(std::slice::from_ref(&job), &models, &prd).await?.pop() else {
            return Err(Error::UnknownJob(id));
        };
        if let Taken::TooLate(reason) = self.judge(&prd, &one, Vec::new(), examination, &models).await? {
            return Err(
                StoreError::conflict("job", id, format!("was judged before this checklist came: it {reason}")).into()
            );
        }
        self.settle_if_ended(&prd, &models).await
    }
}

fn new_run(
    prd: &Prd,
    one: &Handed,
    examination: &Examination,
    assessment: Assessment,
    decision: &judge::Decision,
) -> NewRun {
    let tests = details::TestSummary::of(&examination.tests);
    let said = |key| one.delivery.details.get(key).cloned();
    let usage: Usage = said("usage").and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let details = details::RunDetails {
        signals: assessment.signals,
        penalties: assessment.penalties,
        penalty_marks: examination.penalties.clone(),
        components: assessment.components,
        tests: tests.clone(),
        tests_not_run: examination.not_run.clone(),
        snapshot: examination.snapshot.clone(),
        stub: one.model.profile.stub.clone(),
        why: decision.why.clone(),
    };
    NewRun {
        model_id: one.model.id,
        job_id: one.job.id,
        attempt: one.job.attempt,
        prd_id: prd.id,
        project_id: one.job.project_id,
        role: one.job.role.clone(),
        success: decision.accepted,
        // What a worker says of its confidence is data: out of range or not a number, it is as good as not said.
        confidence: examination
            .confidence
            .or_else(|| said("self_confidence").and_then(|value| serde_json::from_value(value).ok())),
        score: assessment.score,
        attainable: assessment.attainable,
        strength: tests.as_ref().map(|tests| tests.strength),
        counts: judge::counts(
            one.model.profile.stub.is_some(),
            prd.request.tests.is_some(),
            &examination.tests,
            decision.accepted,
        ),
        usage,
        // The price is ours: a worker tells of tokens only.
        cost: one.model.profile.price.and_then(|price| price.cost(&usage)),
        details: serde_json::to_value(details).unwrap_or_default(),
    }
}

/// Whether a rejected job could go to a model that has not had it.
fn another_model(job: &Job, this: &Model, models: &[Model]) -> bool {
    job.pinned.is_none()
        && models.iter().any(|model| {
            model.id != this.id
                && !job.tried.contains(&model.id)
                && model.is_active
                && model.hold.is_none()
                && model.takes(&job.role)
        })
}
