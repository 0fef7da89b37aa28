//! The engines under a virtual clock: leases, heartbeats, HR, the auditor's flags, and stopping.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use aura_orchestra::{
    core::{
        contract::{WorkRequest, store::JobFilter},
        engine::HrSettings,
        job::Door,
    },
    prelude::*,
};
use futures::StreamExt;
use tokio::sync::Notify;

/// A model that answers when it is told to.
#[derive(Debug)]
struct OnCue {
    profile: ModelProfile,
    asked: Arc<Notify>,
    cue: Arc<Notify>,
}

#[async_trait]
impl ModelAdapter for OnCue {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        self.asked.notify_one();
        self.cue.notified().await;
        Ok(Generation::from_answer("x = 1", request.language))
    }
}

struct Stage {
    clock: VirtualClock,
    orchestra: Orchestra,
    asked: Arc<Notify>,
    cue: Arc<Notify>,
}

impl Stage {
    async fn with(settings: Settings, workers: usize) -> Self {
        Self::of(settings, workers, 8).await
    }

    /// The model does so many jobs at once.
    async fn of(settings: Settings, workers: usize, at_once: u16) -> Self {
        let clock = VirtualClock::default();
        let (asked, cue) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let profile =
            ModelProfile::new("model", ModelKind::Cloud, "test", "model").expect("a profile").concurrency(at_once);
        let orchestra = aura_orchestra::builder()
            .store(MemoryStore::with_clock(Arc::new(clock.clone())))
            .clock(clock.clone())
            .settings(settings)
            .workers(workers)
            .employ(OnCue { profile, asked: Arc::clone(&asked), cue: Arc::clone(&cue) })
            .start()
            .await
            .expect("starts");
        Self { clock, orchestra, asked, cue }
    }

    async fn submit(&self) -> Prd {
        self.orchestra.submit(NewPrd::new("x")).await.expect("accepted")
    }

    /// Moves the clock in small steps until an entry of this kind stands in the log `times` times.
    async fn until(&self, action: Action, times: usize, step: Duration) {
        let mut entries = pin!(self.orchestra.subscribe(AuditSeq(0)));
        let mut seen = 0;
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while seen < times {
                tokio::select! {
                    entry = entries.next() => {
                        let entry = entry.expect("the stream goes on").expect("an entry");
                        seen += usize::from(entry.action == action.as_str());
                    }
                    () = tokio::task::yield_now(), if !step.is_zero() => self.clock.advance(step),
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{action} came {seen} times, not {times}"));
    }

    async fn claim(&self, worker: &str) -> Vec<aura_orchestra::core::contract::Claimed> {
        self.claim_of("model", worker).await
    }

    async fn claim_of(&self, model: &str, worker: &str) -> Vec<aura_orchestra::core::contract::Claimed> {
        let request = WorkRequest {
            worker_id: WorkerId::new(worker).expect("a name"),
            models: vec![ModelName::new(model).expect("a name")],
            max: 1,
            wait: Duration::ZERO,
            door: Door::Remote,
        };
        self.orchestra.claim(&request).await.expect("claims")
    }

    /// Registers a local model that a remote worker may work for.
    async fn register(&self, name: &str) {
        let profile = ModelProfile::new(name, ModelKind::Local, "test", name).expect("a profile");
        self.orchestra.register(&profile).await.expect("registered");
    }

    /// Moves the clock, and lets everybody see it.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn count(&self, action: Action) -> usize {
        let entries = self.orchestra.audit(AuditSeq(0), 10_000).await.expect("audit");
        entries.iter().filter(|entry| entry.action == action.as_str()).count()
    }
}

#[tokio::test]
async fn a_job_of_a_worker_that_died_is_given_back_when_its_lease_ends_and_fails_after_the_last_attempt() {
    let stage = Stage::with(Settings::default(), 0).await;
    let prd = stage.submit().await;
    for attempt in 1..=3 {
        stage.until(Action::JobAssigned, attempt, Duration::ZERO).await;
        assert_eq!(stage.claim("dies").await.len(), 1, "attempt {attempt}");
        stage.clock.advance(Duration::from_secs(29));
        tokio::task::yield_now().await;
        assert_eq!(stage.claim("other").await.len(), 0, "the lease still holds");
        stage
            .until(
                if attempt < 3 { Action::JobRequeued } else { Action::JobFailed },
                if attempt < 3 { attempt } else { 1 },
                Duration::from_millis(500),
            )
            .await;
    }
    let verdict = stage.orchestra.verdict(prd.id).await.expect("a verdict");
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    assert!(verdict.why.contains("lease"), "the last error is kept: {}", verdict.why);
}

#[tokio::test]
async fn a_worker_that_beats_keeps_its_job_for_as_long_as_the_model_takes() {
    let stage = Stage::with(Settings::default(), 1).await;
    let prd = stage.submit().await;
    stage.asked.notified().await;
    for _ in 0..100 {
        // Ten lease times and more; each step leaves room for a heartbeat.
        stage.clock.advance(Duration::from_secs(5));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    stage.cue.notify_one();
    let verdict = stage.orchestra.verdict(prd.id).await.expect("a verdict");
    assert_eq!(verdict.winner().expect("won").attempts, 1, "it was never taken away");
    assert_eq!(stage.count(Action::JobRequeued).await, 0);
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn a_silent_job_is_flagged_once_and_again_only_after_it_moved() {
    let stage = Stage::with(Settings { direct_lease: Duration::from_secs(100_000), ..Settings::default() }, 0).await;
    let prd = stage.submit().await;
    stage.until(Action::JobAssigned, 1, Duration::ZERO).await;
    stage.until(Action::AuditFlag, 1, Duration::from_secs(5)).await;
    for _ in 0..50 {
        stage.clock.advance(Duration::from_secs(31));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(stage.count(Action::AuditFlag).await, 1, "one open flag a job and rule");
    let job = *prd.jobs.first().expect("one job");
    stage.orchestra.claim_job(job, WorkerId::new("w").expect("a name")).await.expect("claimed");
    stage.until(Action::AuditFlag, 2, Duration::from_secs(5)).await;
    let alerts = stage.orchestra.alerts(None, 10).await.expect("alerts");
    assert!(alerts.iter().all(|alert| alert.content.reason.contains("silent")), "{alerts:?}");
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn stopping_lets_running_work_finish_within_the_grace_and_claims_nothing_new() {
    let stage = Stage::with(Settings::default(), 1).await;
    let (first, second) = (stage.submit().await, stage.submit().await);
    stage.asked.notified().await;
    let stopping = tokio::spawn({
        let orchestra = stage.orchestra.clone();
        async move { orchestra.stop().await }
    });
    stage.orchestra.stopping().await;
    stage.cue.notify_one();
    stopping.await.expect("stopped");
    let state =
        async |prd: &Prd| stage.orchestra.job(*prd.jobs.first().expect("a job")).await.expect("known").state.status();
    let mut states = [state(&first).await, state(&second).await];
    states.sort();
    assert_eq!(states[1], JobStatus::Submitted, "handed in: {states:?}");
    assert!(matches!(states[0], JobStatus::Queued | JobStatus::Assigned), "never claimed: {states:?}");
}

#[tokio::test]
async fn stopping_hands_back_what_does_not_finish_within_the_grace() {
    let stage = Stage::with(Settings::default(), 1).await;
    let prd = stage.submit().await;
    stage.asked.notified().await;
    let stopping = tokio::spawn({
        let orchestra = stage.orchestra.clone();
        async move { orchestra.stop().await }
    });
    stage.orchestra.stopping().await;
    while !stopping.is_finished() {
        stage.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    stopping.await.expect("stopped");
    let job = stage.orchestra.job(*prd.jobs.first().expect("a job")).await.expect("known");
    assert_eq!(job.state, JobState::Queued);
    assert_eq!(job.last_error.as_deref(), Some("the worker stops"));
    assert_eq!((job.attempt, job.max_attempts), (1, 4), "the attempt is given back");
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn hr_decides_once_by_the_documents_rule_and_keeps_the_two_best() {
    let clock = VirtualClock::default();
    let mut builder = aura_orchestra::builder()
        .store(MemoryStore::with_clock(Arc::new(clock.clone())))
        .clock(clock.clone())
        .settings(Settings { hr: HrSettings { min_runs: 3, ..HrSettings::default() }, ..Settings::default() })
        .workers(4);
    for (name, skill) in [("good", Skill::Careful), ("poor_1", Skill::Sloppy), ("poor_2", Skill::Sloppy)] {
        builder = builder.employ(OfflineAdapter::builder(name).skill(skill).build().expect("builds"));
    }
    let orchestra = builder.start().await.expect("starts");
    for n in 0..3 {
        // The exit code decides, so that the test needs no interpreter: only the careful one documents its work.
        let suite = TestSuite::project(Vec::new(), ["grep", "-q", "\"\"\"", "solution.py"], ReportFormat::ExitCode);
        let prd = NewPrd::new(format!("Write add(a, b), take {n}")).tests(suite).plan(Plan::Panel(3));
        let prd = orchestra.submit(prd).await.expect("accepted");
        let verdict = orchestra.verdict(prd.id).await.expect("a verdict");
        assert_eq!(verdict.winner().expect("won").model.as_ref().expect("a model").as_str(), "good", "{verdict}");
    }
    let standings = async || -> Vec<_> {
        let models = orchestra.models().await.expect("models");
        models.iter().map(|model| (model.profile.name.to_string(), model.standing, model.is_active)).collect()
    };
    let mut entries = pin!(orchestra.subscribe(AuditSeq(0)));
    while orchestra.promotions(None, 10).await.expect("promotions").len() < 2 {
        clock.advance(Duration::from_secs(60));
        tokio::task::yield_now().await;
        let _entry = entries.next().await;
    }
    let after = standings().await;
    assert!(after.iter().any(|(_, standing, active)| *standing == Standing::Suspended && !active), "{after:?}");
    assert!(after.iter().any(|(_, standing, active)| *standing == Standing::Restricted && *active), "{after:?}");
    assert!(
        after.iter().all(|(_, standing, _)| *standing != Standing::Senior),
        "an exit code proves too little: {after:?}"
    );
    let decided = orchestra.promotions(None, 100).await.expect("promotions").len();
    for _ in 0..10 {
        clock.advance(Duration::from_secs(3600));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        orchestra.promotions(None, 100).await.expect("promotions").len(),
        decided,
        "decided once, not every hour"
    );
    orchestra.stop().await;
}

#[tokio::test]
async fn a_held_model_gets_nothing_and_its_waiting_jobs_go_back() {
    let stage = Stage::with(Settings::default(), 0).await;
    let prd = stage.submit().await;
    stage.until(Action::JobAssigned, 1, Duration::ZERO).await;
    stage.orchestra.hold("model", "it is being moved").await.expect("held");
    stage.until(Action::JobUnassigned, 1, Duration::ZERO).await;
    let queued = JobFilter { status: Some(JobStatus::Queued), ..JobFilter::default() };
    assert_eq!(stage.orchestra.jobs(&queued).await.expect("jobs").len(), 1);
    let job = *prd.jobs.first().expect("one job");
    while stage.orchestra.waiting_reason(job).is_none() {
        tokio::task::yield_now().await;
    }
    assert!(stage.orchestra.waiting_reason(job).expect("a reason").contains("it is being moved"));
    stage.orchestra.release_hold("model").await.expect("released");
    stage.until(Action::JobAssigned, 2, Duration::ZERO).await;
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn a_job_that_nobody_comes_for_goes_to_a_model_that_somebody_works_for() {
    let stage = Stage::with(Settings::default(), 0).await;
    let prd = stage.submit().await;
    stage.until(Action::JobAssigned, 1, Duration::ZERO).await;
    stage.register("attended").await;
    let (mut claimed, mut seconds) = (Vec::new(), 0);
    while claimed.is_empty() && seconds < 300 {
        seconds += 5;
        stage.pass(Duration::from_secs(5)).await;
        claimed = stage.claim_of("attended", "w").await;
        if seconds == 30 {
            let why = stage.orchestra.waiting_reason(prd.jobs[0]).expect("it waits");
            assert_eq!(why, "model has it, but no worker asks for its jobs");
        }
    }
    assert_eq!(claimed.len(), 1, "after {seconds} s");
    assert!((60..=70).contains(&seconds), "after {seconds} s");
    assert_eq!(stage.count(Action::JobUnassigned).await, 1);
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn a_job_waits_for_a_model_that_is_worked_for_rather_than_go_where_nobody_comes() {
    let stage = Stage::with(Settings::default(), 0).await;
    stage.register("attended").await;
    assert!(stage.claim_of("attended", "w").await.is_empty());
    let (_first, second) = (stage.submit().await, stage.submit().await);
    stage.pass(Duration::from_secs(1)).await;
    let why = stage.orchestra.waiting_reason(second.jobs[0]).expect("it waits");
    assert_eq!(
        why,
        "model: no worker asks for its jobs, another model goes first; attended: works on 1 job(s) already"
    );
    assert_eq!(stage.claim_of("attended", "w").await.len(), 1);
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn a_model_stays_attended_while_the_workers_of_its_process_are_busy() {
    let stage = Stage::with(Settings::default(), 1).await;
    stage.submit().await;
    stage.asked.notified().await;
    for _ in 0..30 {
        stage.pass(Duration::from_secs(5)).await;
    }
    let asked = stage.orchestra.find_model("model").await.expect("known").asked_at.expect("noted");
    assert!(stage.clock.now() - asked <= chrono::TimeDelta::seconds(10), "{asked}");
    stage.cue.notify_one();
    stage.orchestra.stop().await;
}

#[tokio::test]
async fn a_verdict_shows_no_score_of_an_attempt_before_the_last() {
    let stage = Stage::with(Settings::default(), 0).await;
    stage.register("second").await;
    let prd = stage.submit().await;
    let job = prd.jobs[0];
    stage.until(Action::JobAssigned, 1, Duration::ZERO).await;
    // The first attempt is judged and rejected; the last one's worker dies.
    let claimed = stage.orchestra.claim_job(job, WorkerId::new("w").expect("a name")).await.expect("claimed");
    let proof = LeaseProof { job, worker: WorkerId::new("w").expect("a name"), token: None };
    let details = serde_json::json!({ "error": "the first went wrong" });
    let report = aura_orchestra::core::contract::Report { proof, success: false, details };
    stage.orchestra.report(&report).await.expect("reported");
    stage.until(Action::JobRequeued, 1, Duration::ZERO).await;
    for attempt in 2..=claimed.job.max_attempts {
        stage.until(Action::JobAssigned, attempt as usize, Duration::ZERO).await;
        stage.orchestra.claim_job(job, WorkerId::new("dies").expect("a name")).await.expect("claimed");
        let (action, times) =
            if attempt < 3 { (Action::JobRequeued, attempt as usize) } else { (Action::JobFailed, 1) };
        stage.until(action, times, Duration::from_secs(1)).await;
    }
    let verdict = stage.orchestra.verdict(prd.id).await.expect("a verdict");
    let [entry] = verdict.entries.as_slice() else { panic!("{verdict}") };
    assert_eq!((entry.attempts, &entry.assessment), (3, &None), "{verdict}");
    assert!(entry.why.contains("lease"), "{}", entry.why);
    stage.orchestra.stop().await;
}

/// The clock stands still, so that nothing is found by looking again after a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_comes_while_its_model_becomes_free_is_begun_without_waiting() {
    let stage = Stage::of(Settings::default(), 2, 1).await;
    stage.submit().await;
    let begun = || tokio::time::timeout(Duration::from_secs(20), stage.asked.notified());
    begun().await.expect("the first one is begun");
    for _ in 0..300 {
        tokio::join!(stage.submit(), async { stage.cue.notify_one() });
        begun().await.expect("the next one is begun");
    }
    stage.cue.notify_one();
    stage.orchestra.stop().await;
}
