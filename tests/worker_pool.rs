//! A pool of workers behind a manager's door: how it asks, what it keeps alive, and how it stops.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use aura_orchestra::{
    core::contract::{ArtifactUpload, Claimed, Release, Report, Reported, Sighting, WorkRequest},
    prelude::*,
};
use chrono::{DateTime, Utc};
use tokio::sync::{Notify, Semaphore};

const PATIENCE: Duration = Duration::from_secs(30);

/// An orchestra's door that writes down what it is asked.
#[derive(Debug)]
struct Doorman {
    orchestra: Orchestra,
    asked: Mutex<Vec<WorkRequest>>,
    beats: Mutex<Vec<usize>>,
    sightings: Mutex<Vec<Sighting>>,
    news: Notify,
}

impl Doorman {
    fn note(&self, write: impl FnOnce(&Self)) {
        write(self);
        self.news.notify_waiters();
    }

    /// Waits until what was written down fits.
    async fn until(&self, what: &str, fits: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if fits(self) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: {self:?}"));
    }
}

#[async_trait]
impl Manager for Doorman {
    async fn claim(&self, request: &WorkRequest) -> Result<Vec<Claimed>> {
        self.note(|door| door.asked.lock().expect("asked").push(request.clone()));
        self.orchestra.claim(request).await
    }
    async fn heartbeat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>> {
        self.note(|door| door.beats.lock().expect("beats").push(leases.len()));
        self.orchestra.heartbeat(leases).await
    }
    async fn observe(&self, sighting: &Sighting) -> Result<()> {
        self.note(|door| door.sightings.lock().expect("sightings").push(sighting.clone()));
        self.orchestra.observe(sighting).await
    }
    async fn upload_artifacts(&self, upload: &ArtifactUpload) -> Result<Vec<Artifact>> {
        self.orchestra.upload_artifacts(upload).await
    }
    async fn report(&self, report: &Report) -> Result<Reported> {
        self.orchestra.report(report).await
    }
    async fn release(&self, release: &Release) -> Result<()> {
        self.orchestra.release(release).await
    }
}

/// A model that answers as often as it is let, behind a gate.
#[derive(Debug)]
struct Gated {
    profile: ModelProfile,
    passes: bool,
    answers: Arc<Semaphore>,
}

#[async_trait]
impl ModelAdapter for Gated {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }
    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        self.answers.acquire().await.expect("open").forget();
        Ok(Generation::from_answer("x = 1", request.language))
    }
    fn gates(&self) -> Vec<Gate> {
        vec![Gate { name: "breaker".to_owned(), passes: self.passes, state: String::new() }]
    }
}

struct Stage {
    orchestra: Orchestra,
    door: Arc<Doorman>,
    answers: Arc<Semaphore>,
}

impl Stage {
    async fn new() -> Self {
        let builder = aura_orchestra::builder().store(MemoryStore::new()).workers(0);
        let orchestra = builder.start().await.expect("starts");
        for name in ["open", "shut"] {
            orchestra.register(&profile(name)).await.expect("registered");
        }
        let door = Arc::new(Doorman {
            orchestra: orchestra.clone(),
            asked: Mutex::default(),
            beats: Mutex::default(),
            sightings: Mutex::default(),
            news: Notify::new(),
        });
        Self { orchestra, door, answers: Arc::new(Semaphore::new(0)) }
    }

    fn pool(&self) -> WorkerPoolBuilder {
        let employee = |name, passes| Gated { profile: profile(name), passes, answers: Arc::clone(&self.answers) };
        WorkerPool::builder(Arc::clone(&self.door) as _, WorkerId::new("pool").expect("a name"))
            .employ(employee("open", true))
            .employ(employee("shut", false))
            .concurrency(3)
    }

    async fn submit(&self, jobs: usize) -> Vec<JobId> {
        let mut ids = Vec::new();
        for n in 0..jobs {
            let new = NewPrd::new(format!("task {n}")).model(ModelName::new("open").expect("a name"));
            ids.extend(self.orchestra.submit(new).await.expect("accepted").jobs);
        }
        ids
    }

    fn holds(&self) -> usize {
        self.orchestra.remote_workers().first().map_or(0, |worker| worker.jobs.len())
    }

    /// Waits for the log's next entries until something holds.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            let mut seen = AuditSeq(0);
            while !holds().await {
                self.orchestra.changed(seen, Duration::from_millis(200)).await;
                seen = self.orchestra.audit_range().await.expect("range").map_or(seen, |(_, newest)| newest);
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
    }

    async fn statuses(&self, jobs: &[JobId]) -> Vec<JobStatus> {
        let mut statuses = Vec::new();
        for job in jobs {
            statuses.push(self.orchestra.job(*job).await.expect("the job").state.status());
        }
        statuses
    }
}

fn profile(name: &str) -> ModelProfile {
    ModelProfile::new(name, ModelKind::Cloud, "test", name).expect("a profile").concurrency(8)
}

#[tokio::test]
async fn it_asks_for_every_free_place_and_only_for_models_whose_gates_pass() {
    let stage = Stage::new().await;
    let pool = stage.pool().start().expect("starts");
    let jobs = stage.submit(4).await;
    stage.until("three places", async || stage.holds() == 3).await;
    let asked = stage.door.asked.lock().expect("asked").clone();
    assert_eq!(asked[0].max, 3);
    for request in &asked {
        let names: Vec<_> = request.models.iter().map(ModelName::as_str).collect();
        assert_eq!(names, ["open"]);
        assert!((1..=3).contains(&request.max) && request.worker_id.as_str() == "pool");
    }
    stage.answers.add_permits(4);
    let done = async || stage.statuses(&jobs).await.iter().all(|status| *status > JobStatus::InProgress);
    stage.until("all four", done).await;
    pool.stop().await;
    pool.stop().await;
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn one_call_keeps_all_leases_alive_and_another_shows_the_machine() {
    let stage = Stage::new().await;
    stage.submit(3).await;
    let machine = Resources { cores: Some(7), ..Resources::default() };
    let pool = stage.pool().heartbeat(Duration::from_millis(50)).probe(FixedProbe::new(machine.clone()));
    let pool = pool.start().expect("starts");
    stage.until("three places", async || stage.holds() == 3).await;
    let all_at_once = |door: &Doorman| door.beats.lock().expect("beats").iter().filter(|beat| **beat == 3).count() >= 3;
    stage.door.until("three leases in a call", all_at_once).await;
    let seen = stage.orchestra.remote_workers();
    assert_eq!(seen[0].resources.as_ref(), Some(&machine));
    let sightings = stage.door.sightings.lock().expect("sightings").len();
    assert!(sightings >= 1);
    stage.answers.add_permits(3);
    pool.stop().await;
    assert_eq!(stage.holds(), 0);
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_time_is_handed_back() {
    let stage = Stage::new().await;
    let jobs = stage.submit(2).await;
    let pool = stage.pool().grace(Duration::from_millis(50)).start().expect("starts");
    stage.until("two jobs", async || stage.holds() == 2).await;
    pool.stop().await;
    let statuses = stage.statuses(&jobs).await;
    assert!(statuses.iter().all(|status| *status < JobStatus::InProgress), "{statuses:?}");
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn an_idle_pool_stops_at_once_although_its_manager_would_wait() {
    let stage = Stage::new().await;
    let pool = stage.pool().start().expect("starts");
    stage.door.until("it asks", |door| !door.asked.lock().expect("asked").is_empty()).await;
    tokio::time::timeout(Duration::from_secs(5), pool.stop()).await.expect("it does not wait for an answer");
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn a_pool_that_cannot_work_says_why() {
    let stage = Stage::new().await;
    let employee = || Gated { profile: profile("open"), passes: true, answers: Arc::clone(&stage.answers) };
    let refused = |pool: WorkerPoolBuilder| pool.start().expect_err("refused").to_string();
    let empty = || WorkerPool::builder(Arc::clone(&stage.door) as _, WorkerId::new("pool").expect("a name"));
    assert!(refused(empty()).contains("employ"));
    assert!(refused(empty().employ(employee()).employ(employee())).contains("open"));
    assert!(refused(empty().employ(employee()).concurrency(0)).contains("concurrency"));
    assert!(refused(empty().employ(employee()).poll(Duration::ZERO)).contains("poll"));
    stage.orchestra.stop().await;
}
