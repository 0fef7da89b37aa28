//! Puts an orchestra together; everything is checked in `start`.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    Facts, Inner, Orchestra,
    accountant::{Accountant, Setbacks},
    alerts::AlertDesk,
    auditor::Auditor,
    bell::Bells,
    duty::Duties,
    hr::Hr,
    manager::{
        JobManager,
        attendance::{self, Notes},
        horizon::Horizon,
        idle,
        lookout::Lookout,
        remote::RemoteWorkers,
        schedule::{Scheduler, Waiting},
        select::Uniform,
    },
    roster::Roster,
    settings::Settings,
    shutdown::Shutdown,
    store_clock::StoreClock,
    worker::{Adapters, Worker, WorkerPace, by_name},
};
use crate::{
    audit::{Action, NewEntry},
    clock::{Clock, SystemClock},
    contract::{Alerter, ModelAdapter, ResourceProbe, Sandbox, SandboxError, Scorer, SelectionPolicy, Store},
    error::{Error, Result},
    ids::{Actor, NodeId, WorkerId},
    job::Door,
    model::Origin,
};

/// Puts an orchestra together. A store and a scorer are required; everything else has a default.
#[derive(Debug, Default)]
#[must_use = "nothing happens before `start`"]
pub struct OrchestraBuilder {
    store: Option<Arc<dyn Store>>,
    scorer: Option<Arc<dyn Scorer>>,
    sandbox: Option<std::result::Result<Arc<dyn Sandbox>, SandboxError>>,
    policy: Option<Arc<dyn SelectionPolicy>>,
    probe: Option<Arc<dyn ResourceProbe>>,
    clock: Option<Arc<dyn Clock>>,
    adapters: Vec<Arc<dyn ModelAdapter>>,
    alerters: Vec<Arc<dyn Alerter>>,
    workers: Option<usize>,
    settings: Settings,
}

impl OrchestraBuilder {
    /// Workers in this process unless told otherwise.
    pub const DEFAULT_WORKERS: usize = 2;

    /// Where everything is kept (required).
    pub fn store(self, store: impl Store + 'static) -> Self {
        self.store_shared(Arc::new(store))
    }

    /// As [`store`](Self::store), for one that the caller keeps a hand on.
    pub fn store_shared(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Who turns evidence into a score (required).
    pub fn scorer(mut self, scorer: impl Scorer + 'static) -> Self {
        self.scorer = Some(Arc::new(scorer));
        self
    }

    /// Where tests are run (default: nowhere, and verdicts say so).
    pub fn sandbox(self, sandbox: impl Sandbox + 'static) -> Self {
        self.try_sandbox(Ok(sandbox))
    }

    /// As [`sandbox`](Self::sandbox), for one whose making may have failed: [`start`](Self::start) then says why.
    pub fn try_sandbox(mut self, made: std::result::Result<impl Sandbox + 'static, SandboxError>) -> Self {
        self.sandbox = Some(made.map(|sandbox| Arc::new(sandbox) as Arc<dyn Sandbox>));
        self
    }

    /// Who chooses the model for a job (default [`Uniform`]).
    pub fn policy(mut self, policy: impl SelectionPolicy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// What the machine has left and which models are loaded (default: not looked at). It is asked at most once a second, and waited
    /// for at most 2 s; what is unknown rules nothing out.
    pub fn probe(mut self, probe: impl ResourceProbe + 'static) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    /// Where time comes from (default: the system).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Hires a model.
    pub fn employ(self, adapter: impl ModelAdapter + 'static) -> Self {
        self.employ_shared(Arc::new(adapter))
    }

    /// Hires a model whose adapter is shared already.
    pub fn employ_shared(mut self, adapter: Arc<dyn ModelAdapter>) -> Self {
        self.adapters.push(adapter);
        self
    }

    /// Who is told about alerts (default: nobody; they are stored all the same). May be called several times.
    pub fn alerter(mut self, alerter: impl Alerter + 'static) -> Self {
        self.alerters.push(Arc::new(alerter));
        self
    }

    /// Workers in this process (default 2; 0 leaves the work to others).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Pace and rules.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Runs tests of model-written code although the sandbox isolates nothing. Only an operator may decide that; it is
    /// written into the audit log.
    pub fn allow_unsandboxed(mut self) -> Self {
        self.settings.allow_unsandboxed = true;
        self
    }

    /// Checks everything, registers the models and starts the engines.
    ///
    /// # Errors
    /// [`Error::Setup`] says what is missing or contradicts itself; else what the store says.
    pub async fn start(self) -> Result<Orchestra> {
        let store = self.store.ok_or_else(|| setup("no store: give the builder one with .store(...)"))?;
        let scorer = self.scorer.ok_or_else(|| setup("no scorer: give the builder one with .scorer(...)"))?;
        let sandbox = self.sandbox.transpose()?;
        self.settings.check().map_err(Error::Setup)?;
        let adapters = Arc::new(by_name(self.adapters)?);
        let store_clock = Arc::new(StoreClock::new(self.clock.unwrap_or_else(|| Arc::new(SystemClock))));
        let clock: Arc<dyn Clock> = Arc::clone(&store_clock) as _;
        let policy = self.policy.unwrap_or_else(|| Arc::new(Uniform));
        let workers = self.workers.unwrap_or(Self::DEFAULT_WORKERS);
        let settings = self.settings;

        let facts = Facts {
            workers,
            employed: adapters.keys().cloned().collect(),
            sandbox: sandbox.as_ref().map(|sandbox| sandbox.capabilities()),
            allow_unsandboxed: settings.allow_unsandboxed,
        };
        let mut staffed = Vec::new();
        let mut in_house = HashSet::new();
        for adapter in adapters.values() {
            let model = store.employ(adapter.profile()).await?;
            if workers > 0 {
                staffed.push(model.id);
            }
            if adapter.profile().origin == Origin::InHouse {
                in_house.insert(model.id);
            }
        }
        store.append(&[started(&facts)]).await?;

        let roster = Arc::new(Roster::new(Arc::clone(&store) as _));
        roster.refresh().await?;
        let news = store.news();
        let bells = Arc::new(Bells::new(news.is_some()));
        let shutdown = Arc::new(Shutdown::default());
        let (shared, node) = (Arc::clone(&store), NodeId::fresh());
        let duties = Duties::take(shared, store_clock, node, settings.duty_lease).await?;
        duties.start(&bells, news);
        let waiting = Waiting::default();
        let alerts = Arc::new(AlertDesk::start(Arc::clone(&store) as _, self.alerters, &shutdown));
        let manager = Arc::new(JobManager {
            store: Arc::clone(&store),
            roster: Arc::clone(&roster),
            bells: Arc::clone(&bells),
            clock: Arc::clone(&clock),
            shutdown: Arc::clone(&shutdown),
            settings: settings.clone(),
            notes: Notes::default(),
            remote: RemoteWorkers::default(),
            idle: Arc::default(),
        });
        let accountant = Arc::new(Accountant {
            store: Arc::clone(&store),
            scorer,
            sandbox,
            policy: Arc::clone(&policy),
            roster: Arc::clone(&roster),
            bells: Arc::clone(&bells),
            alerts: Arc::clone(&alerts),
            clock: Arc::clone(&clock),
            settings: settings.clone(),
            duties: Arc::clone(&duties),
            in_house,
            examined: Mutex::default(),
            setbacks: Setbacks::default(),
            test_runs: Semaphore::new(settings.accountants),
        });

        if !staffed.is_empty() {
            shutdown.spawn(attendance::keep(Arc::clone(&manager), staffed));
        }
        let scheduler = Scheduler {
            manager: Arc::clone(&manager),
            duties: Arc::clone(&duties),
            policy,
            lookout: Lookout::new(self.probe, Arc::clone(&clock)),
            adapters: Arc::clone(&adapters),
            waiting: waiting.clone(),
            horizon: Horizon::default(),
        };
        shutdown.spawn(scheduler.run());
        shutdown.spawn(idle::hand_back(Arc::clone(&manager)));
        shutdown.spawn(Arc::clone(&accountant).run(Arc::clone(&shutdown)));
        let hr = Hr {
            duties: Arc::clone(&duties),
            bells: Arc::clone(&bells),
            clock: Arc::clone(&clock),
            settings: settings.clone(),
        };
        shutdown.spawn(hr.run(Arc::clone(&shutdown)));
        let auditor = Auditor {
            duties: Arc::clone(&duties),
            alerts: Arc::clone(&alerts),
            waiting: waiting.clone(),
            clock: Arc::clone(&clock),
            settings: settings.clone(),
        };
        shutdown.spawn(auditor.run(Arc::clone(&shutdown)));
        spawn_workers(workers, &adapters, &manager, &shutdown)?;

        Ok(Orchestra {
            inner: Arc::new(Inner {
                store,
                manager,
                accountant,
                alerts,
                roster,
                bells,
                shutdown,
                duties,
                clock,
                settings,
                waiting,
                adapters,
                facts,
            }),
        })
    }
}

fn setup(message: impl Into<String>) -> Error {
    Error::Setup(message.into())
}

fn started(facts: &Facts) -> NewEntry {
    let details = json!({
        "workers": facts.workers,
        "employed": facts.employed,
        "sandbox": facts.sandbox,
        "allow_unsandboxed": facts.allow_unsandboxed,
    });
    NewEntry { actor: Actor::operator(), action: Action::OrchestraStarted, details }
}

fn spawn_workers(
    count: usize,
    adapters: &Arc<Adapters>,
    manager: &Arc<JobManager>,
    shutdown: &Arc<Shutdown>,
) -> Result<()> {
    if adapters.is_empty() {
        return Ok(());
    }
    // Two processes on one store must not take each other's worker for their own.
    let process = uuid::Uuid::new_v4().simple().to_string();
    let process: String = process.chars().take(8).collect();
    for n in 1..=count {
        let pace = WorkerPace {
            heartbeat: manager.settings.heartbeat,
            poll: manager.settings.poll,
            claim_wait: Duration::from_secs(30),
            grace: manager.settings.grace,
        };
        let id = WorkerId::new(format!("{process}-{n}"))?;
        let (manager, clock) = (Arc::clone(manager) as _, Arc::clone(&manager.clock));
        let worker = Worker::new(id, Door::InProcess, manager, Arc::clone(adapters), clock, pace);
        shutdown.spawn(worker.run(Arc::clone(shutdown)));
    }
    Ok(())
}
