//! The loop as a host application sees it: who wins and why, what becomes of rejected, hostile and untestable work.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aura_orchestra::{core::contract::store::RunFilter, prelude::*};
use serde_json::json;

/// A model that answers with what a closure says.
struct Scripted<F> {
    profile: ModelProfile,
    answer: F,
}

impl<F> std::fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.profile.fmt(f)
    }
}

#[async_trait]
impl<F> ModelAdapter for Scripted<F>
where
    F: Fn(&GenerateRequest) -> std::result::Result<String, AdapterError> + Send + Sync,
{
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        (self.answer)(request).map(|answer| Generation::from_answer(&answer, request.language))
    }
}

fn scripted<F>(name: &str, answer: F) -> Scripted<F>
where
    F: Fn(&GenerateRequest) -> std::result::Result<String, AdapterError> + Send + Sync,
{
    Scripted { profile: ModelProfile::new(name, ModelKind::Cloud, "test", name).expect("a name"), answer }
}

fn says(name: &str, text: &'static str) -> impl ModelAdapter + use<> {
    scripted(name, move |_| Ok(text.to_owned()))
}

const RIGHT: &str = "```python\ndef one():\n    \"\"\"Gives the number one.\"\"\"\n    return 1\n```";
const WRONG: &str = "```python\ndef one():\n    return 2\n```";
const TESTS: &str = "from solution import one\ndef test_one(): assert one() == 1\n";

fn house() -> OrchestraBuilder {
    aura_orchestra::builder().store(MemoryStore::new())
}

/// A sandbox as on a machine that offers none.
fn unconfined() -> LocalSandbox {
    LocalSandbox::builder().back_ends([BackEnd::Unconfined]).build().expect("a folder")
}

fn prd() -> NewPrd {
    NewPrd::new("write one()").tests(TestSuite::pytest(TESTS))
}

async fn verdict_of(orchestra: &Orchestra, new: NewPrd) -> Verdict {
    let prd = orchestra.submit(new).await.expect("accepted");
    let verdict = tokio::time::timeout(Duration::from_secs(60), orchestra.verdict(prd.id)).await;
    verdict.expect("a verdict in time").expect("a verdict")
}

async fn actions(orchestra: &Orchestra) -> Vec<String> {
    let entries = orchestra.audit(AuditSeq(0), 1000).await.expect("audit");
    entries.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn the_work_that_passes_its_tests_wins_and_the_score_adds_up() {
    let orchestra = house().employ(says("right", RIGHT)).employ(says("wrong", WRONG)).allow_unsandboxed();
    let orchestra = orchestra.start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd().plan(Plan::Panel(2))).await;
    let winner = verdict.winner().expect("somebody won");
    assert_eq!(winner.model.as_ref().expect("a model").as_str(), "right");
    assert_eq!(winner.tests.map(|tests| (tests.passed, tests.total)), Some((1, 1)));
    for entry in &verdict.entries {
        let assessment = entry.assessment.as_ref().expect("scored");
        let sum: f64 = assessment.components.iter().map(Component::contribution).sum();
        let recomputed = (sum - 0.25 * assessment.penalties.get()).clamp(0.0, 1.0);
        assert!((recomputed - assessment.score.get()).abs() < 1e-12, "{recomputed} is not {:?}", assessment.score);
    }
    assert_eq!(orchestra.verify_audit().await.expect("audit").first_bad, None);
    orchestra.stop().await;
}

#[tokio::test]
async fn works_of_a_panel_agree_by_what_they_answer_to_probes() {
    let house = house()
        .employ(says("sums", "```python\ndef add(a, b):\n    return a + b\n```"))
        .employ(says("loops", "```python\ndef add(a, b):\n    for _ in range(b):\n        a += 1\n    return a\n```"))
        .employ(says("guesses", "```python\ndef add(a, b):\n    return 3\n```"));
    let orchestra = house.start().await.expect("starts");
    let cases = Cases::python("add")
        .case([json!(1), json!(2)], json!(3))
        .probe([json!(5), json!(0)])
        .probe([json!(2), json!(-1)]);
    let verdict = verdict_of(&orchestra, NewPrd::new("add").tests(TestSuite::cases(cases)).plan(Plan::Panel(3))).await;
    let agreement = |model: &str| {
        let is_its = |entry: &&VerdictEntry| entry.model.as_ref().is_some_and(|name| name.as_str() == model);
        let entry = verdict.entries.iter().find(is_its).expect("it took part");
        entry.assessment.as_ref().expect("scored").signals.cross_model_agreement.expect("there are others").get()
    };
    // Of two probes, sums and loops answer one alike, and the guess agrees with nobody.
    assert_eq!(["sums", "loops", "guesses"].map(agreement), [0.25, 0.25, 0.0], "{verdict}");
    orchestra.stop().await;
}

#[tokio::test]
async fn a_solo_job_that_is_rejected_goes_to_another_model() {
    // The order is round robin, so that the wrong one is asked first.
    let orchestra = house().policy(aura_orchestra::core::engine::RoundRobin::default());
    let orchestra = orchestra.employ(says("a_wrong", WRONG)).employ(says("b_right", RIGHT)).allow_unsandboxed();
    let orchestra = orchestra.start().await.expect("starts");
    for _ in 0..2 {
        let verdict = verdict_of(&orchestra, prd()).await;
        assert_eq!(verdict.winner().expect("won").model.as_ref().expect("model").as_str(), "b_right", "{verdict}");
    }
    let words = actions(&orchestra).await;
    assert!(words.contains(&"job.requeued".to_owned()) && words.contains(&"test_failed".to_owned()), "{words:?}");
    orchestra.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn model_written_code_is_tested_in_the_strongest_sandbox() {
    let orchestra = house().employ(says("model", RIGHT)).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    let winner = verdict.winner().expect("won");
    assert_eq!(winner.assessment.as_ref().expect("scored").signals.test_score, Fraction::new(1.0).ok());
    assert_eq!(winner.isolation, Some(Isolation::Strong), "{verdict}");
    let entries = orchestra.audit(AuditSeq(0), 1000).await.expect("audit");
    let started = entries.iter().find(|entry| entry.action == "orchestra.started").expect("it was said");
    assert_eq!(started.details["sandbox"]["back_end"], "bubblewrap");
    orchestra.stop().await;
}

#[tokio::test]
async fn model_written_code_is_not_tested_without_the_operators_word() {
    let orchestra = house().sandbox(unconfined()).employ(says("model", RIGHT)).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    let winner = verdict.winner().expect("accepted unproven");
    assert_eq!(winner.assessment.as_ref().expect("scored").signals.test_score, None, "absent, never 0 or 1");
    assert!(winner.why.contains("AURA_ALLOW_UNSANDBOXED"), "{}", winner.why);
    assert!(verdict.why.contains("NOT run"), "{}", verdict.why);
    assert!(actions(&orchestra).await.contains(&"alert.raised".to_owned()));
    orchestra.stop().await;
}

#[tokio::test]
async fn in_house_code_is_tested_but_not_when_it_comes_through_the_remote_door() {
    let careful = OfflineAdapter::builder("employee_careful").skill(Skill::Careful).build().expect("builds");
    let orchestra = house().sandbox(unconfined()).employ(careful).workers(0).start().await.expect("starts");
    let new = NewPrd::new("Write add(a, b)").tests(TestSuite::pytest("def test_it(): pass\n"));
    let prd = orchestra.submit(new).await.expect("accepted");
    let model = ModelName::new("employee_careful").expect("a name");
    let worker = WorkerId::new("stranger").expect("a name");
    let request = aura_orchestra::core::contract::WorkRequest {
        worker_id: worker.clone(),
        models: vec![model.clone()],
        max: 1,
        wait: Duration::from_secs(30),
        door: aura_orchestra::core::job::Door::Remote,
    };
    let claimed = orchestra.claim(&request).await.expect("claims").pop().expect("a job");
    let proof = LeaseProof { job: claimed.job.id, worker: worker.clone(), token: None };
    let upload = aura_orchestra::core::contract::ArtifactUpload {
        job: claimed.job.id,
        model,
        worker: Some(worker),
        token: None,
        items: vec![NewArtifact::files(&[SourceFile::new("solution.py", "import os\n")])],
    };
    orchestra.upload_artifacts(&upload).await.expect("stored");
    let report = aura_orchestra::core::contract::Report { proof, success: true, details: serde_json::json!({}) };
    orchestra.report(&report).await.expect("reported");
    let verdict = orchestra.verdict(prd.id).await.expect("a verdict");
    let winner = verdict.winner().expect("accepted unproven");
    assert_eq!(winner.assessment.as_ref().expect("scored").signals.test_score, None);
    orchestra.stop().await;
}

#[tokio::test]
async fn work_that_leaves_its_workspace_is_punished_flagged_and_writes_nothing() {
    let outside = std::env::temp_dir().join("aura-escaped.py");
    let patch = "```diff\n--- /dev/null\n+++ b/../../../../../../tmp/aura-escaped.py\n@@ -0,0 +1 @@\n+owned = 1\n```";
    let orchestra = house().employ(says("hostile", patch)).allow_unsandboxed().start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    let [entry] = verdict.entries.as_slice() else { panic!("{verdict}") };
    let assessment = entry.assessment.as_ref().expect("scored");
    assert_eq!((assessment.score.get(), assessment.penalties.get()), (0.0, 1.0));
    assert!(!outside.exists());
    let alerts = orchestra.alerts(None, 10).await.expect("alerts");
    assert!(alerts.iter().any(|alert| alert.content.severity == Severity::Critical), "{alerts:?}");
    orchestra.stop().await;
}

#[tokio::test]
async fn a_faked_result_scores_nothing_is_punished_in_full_and_raises_an_alert_with_its_proof() {
    // The caller's mark is among its arguments: an answer of the work's own making can look like one.
    let forger = "```python\nimport os\nmark = open('/proc/self/cmdline').read().split('\\0')[3]\nos.write(2, b'')\n\
                  for fd in range(1, 9):\n    try: os.write(fd, f'\\n{mark} 0 {{\"returned\": 1}}\\n'.encode())\n    \
                  except OSError: pass\ndef one():\n    return 1\n```";
    let orchestra = house().employ(says("forger", forger)).allow_unsandboxed().start().await.expect("starts");
    let suite = TestSuite::cases(Cases::python("one").case([], 1.into()));
    let verdict = verdict_of(&orchestra, NewPrd::new("write one()").tests(suite)).await;
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    let [entry] = verdict.entries.as_slice() else { panic!("{verdict}") };
    let assessment = entry.assessment.as_ref().expect("scored");
    assert_eq!((assessment.score.get(), assessment.penalties.get()), (0.0, 1.0), "{verdict}");
    assert_eq!(assessment.signals.test_score.map(Fraction::get), Some(0.0));
    let alerts = orchestra.alerts(None, 10).await.expect("alerts");
    let flag = alerts.iter().find(|alert| alert.content.rule.as_deref() == Some("hostile_work")).expect("a flag");
    assert_eq!(flag.content.severity, Severity::Critical);
    assert!(flag.content.reason.contains("a second answer to call 0"), "{}", flag.content.reason);
    orchestra.stop().await;
}

#[tokio::test]
async fn tests_that_never_end_and_tests_that_print_garbage_reject_the_work_and_nothing_hangs() {
    let orchestra = house().employ(says("model", RIGHT)).allow_unsandboxed().start().await.expect("starts");
    let endless = TestSuite::pytest("def test_it():\n    while True: pass\n").timeout(Duration::from_secs(2));
    let verdict = verdict_of(&orchestra, NewPrd::new("write one()").tests(endless)).await;
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    assert!(verdict.why.contains("ended after"), "{}", verdict.why);
    let garbage = TestSuite::project(
        Vec::new(),
        ["sh", "-c", "head -c 200000 /dev/urandom; head -c 5000 /dev/urandom > {report}"],
        ReportFormat::Junit,
    );
    let verdict = verdict_of(&orchestra, NewPrd::new("write one()").tests(garbage)).await;
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    assert!(verdict.why.contains("no report that could be read"), "{}", verdict.why);
    orchestra.stop().await;
}

#[tokio::test]
async fn an_adapter_that_fails_panics_or_is_busy_loses_no_job() {
    let calls = Arc::new(AtomicU32::new(0));
    let flaky = scripted("flaky", {
        let calls = Arc::clone(&calls);
        move |_| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err(AdapterError::Busy {
                provider: "test".into(),
                message: "slow down".into(),
                retry_after: Some(Duration::from_millis(10)),
            }),
            _ => Ok(RIGHT.to_owned()),
        }
    });
    let orchestra = house().employ(flaky).allow_unsandboxed().start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!(verdict.winner().expect("won at the second attempt").attempts, 2);
    orchestra.stop().await;

    let panics = scripted("panics", |_| panic!("a bug in somebody's adapter"));
    let orchestra = house().employ(panics).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    assert!(verdict.why.contains("panicked"), "{}", verdict.why);
    orchestra.stop().await;
}

#[tokio::test]
async fn a_stubs_runs_never_count_for_its_standing() {
    let mut stub = scripted("stub", |_| Ok(RIGHT.to_owned()));
    stub.profile = stub.profile.stub("no key");
    let orchestra = house().employ(stub).allow_unsandboxed().start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!(verdict.winner().expect("won").stub.as_deref(), Some("no key"));
    let model = orchestra.find_model("stub").await.expect("known");
    let filter = RunFilter { job: None, model: Some(model.id), before: None, limit: 10 };
    assert!(orchestra.runs(&filter).await.expect("runs").iter().all(|run| !run.run.counts));
    orchestra.stop().await;
}

#[tokio::test]
async fn giving_up_scores_no_better_than_failing_and_untested_work_counts_for_nobody() {
    let gives_up = scripted("gives_up", |_| Err(AdapterError::Refused("I would rather not".to_owned())));
    let orchestra = house().employ(gives_up).employ(says("wrong", WRONG)).allow_unsandboxed();
    let orchestra = orchestra.start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd().plan(Plan::Panel(2))).await;
    assert_eq!(verdict.outcome, Outcome::NobodyWon);
    verdict_of(&orchestra, NewPrd::new("without tests").plan(Plan::Panel(2))).await;
    let stats = orchestra.stats().await.expect("statistics");
    let share = async |name: &str| {
        let id = orchestra.find_model(name).await.expect("known").id;
        let stats = stats.iter().find(|stats| stats.model_id == id).expect("a run that counts");
        assert_eq!((stats.runs, stats.successes), (1, 0), "{name}: the run with tests, and no other");
        stats.sum_share
    };
    assert!(share("gives_up").await <= share("wrong").await);
    orchestra.stop().await;
}

/// The usual scorer, but for a bug that some work brings to light.
#[derive(Debug)]
struct PanicsAtPoison;

impl Scorer for PanicsAtPoison {
    fn assess(&self, evidence: &Evidence) -> Assessment {
        assert!(!evidence.work.code().contains("poison"), "a bug in somebody's scorer");
        FormulaScorer::default().assess(evidence)
    }
}

#[tokio::test]
async fn a_prd_that_cannot_be_assessed_is_told_of_tested_once_and_holds_up_nobody() {
    let clock = VirtualClock::default();
    let echo = scripted("echo", |request| Ok(format!("```python\nx = '{}'\n```", request.prompt)));
    let orchestra = aura_orchestra::builder()
        .store(MemoryStore::with_clock(Arc::new(clock.clone())))
        .clock(clock.clone())
        .scorer(PanicsAtPoison)
        // The command leaves its mark outside.
        .sandbox(unconfined())
        .employ(echo)
        .allow_unsandboxed();
    let orchestra = orchestra.start().await.expect("starts");
    let ran = tempfile::NamedTempFile::new().expect("a file");
    let command = format!("echo ran >> {}", ran.path().display());
    let suite = TestSuite::project(Vec::new(), ["sh", "-c", command.as_str()], ReportFormat::ExitCode);
    let poison = orchestra.submit(NewPrd::new("poison").tests(suite)).await.expect("accepted");
    let alerted = async || {
        let alerts = orchestra.alerts(None, 10).await.expect("alerts");
        alerts.into_iter().find(|alert| alert.content.rule.as_deref() == Some("cannot_assess"))
    };
    let alert = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(alert) = alerted().await {
                return alert;
            }
            clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    });
    let alert = alert.await.expect("an alert in time");
    assert_eq!(alert.content.job_id, poison.jobs.first().copied());
    assert!(alert.content.reason.contains("5 times"), "{}", alert.content.reason);
    let harmless = orchestra.submit(NewPrd::new("harmless")).await.expect("accepted");
    let before = clock.now();
    while orchestra.prd(harmless.id).await.expect("known").verdict.is_none() {
        clock.advance(Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
    assert!(clock.now() - before < chrono::TimeDelta::seconds(60), "it does not wait until the other one is mended");
    let runs = std::fs::read_to_string(ran.path()).expect("readable");
    assert_eq!(runs, "ran\n", "what was tested need not be tested again");
    orchestra.stop().await;
}

/// An alerter that panics whenever it is told anything.
#[derive(Debug)]
struct Startled(Arc<AtomicU32>);

#[async_trait]
impl Alerter for Startled {
    async fn alert(&self, alert: &Alert) -> std::result::Result<(), AlertError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a bug in somebody's alerter: {alert:?}")
    }
}

/// A probe that panics the first time.
#[derive(Debug)]
struct BadStart(AtomicU32);

#[async_trait]
impl ResourceProbe for BadStart {
    async fn snapshot(&self) -> std::result::Result<Resources, aura_orchestra::core::contract::ProbeError> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "a bug in somebody's probe");
        Ok(Resources::default())
    }
}

#[tokio::test]
async fn a_plug_in_that_panics_ends_no_loop() {
    let told = Arc::new(AtomicU32::new(0));
    let orchestra = house().probe(BadStart(AtomicU32::new(0))).alerter(Startled(Arc::clone(&told)));
    let orchestra = orchestra.employ(says("one", RIGHT)).start().await.expect("starts");
    assert!(verdict_of(&orchestra, NewPrd::new("x")).await.winner().is_some());
    for n in 1..=2 {
        let alert = NewAlert { job_id: None, severity: Severity::Info, rule: None, reason: n.to_string() };
        orchestra.raise(&alert).await.expect("stored");
        while told.load(Ordering::Relaxed) < n {
            tokio::task::yield_now().await;
        }
    }
    orchestra.stop().await;
}

/// Scores for the accountant once an outside validator is there, and for the validator once it is let.
#[derive(Debug)]
struct Turns {
    both_there: Barrier,
    let_on: Arc<Barrier>,
}

impl Scorer for Turns {
    fn assess(&self, evidence: &Evidence) -> Assessment {
        self.both_there.wait();
        if evidence.tests.report().is_some() {
            self.let_on.wait();
        }
        FormulaScorer::default().assess(evidence)
    }
}

#[tokio::test]
async fn a_validator_that_comes_too_late_is_told_so() {
    let let_on = Arc::new(Barrier::new(2));
    let scorer = Turns { both_there: Barrier::new(2), let_on: Arc::clone(&let_on) };
    let orchestra = aura_orchestra::builder().store(MemoryStore::new()).scorer(scorer).employ(says("one", RIGHT));
    let orchestra = orchestra.start().await.expect("starts");
    let prd = orchestra.submit(NewPrd::new("x")).await.expect("accepted");
    let job = *prd.jobs.first().expect("a job");
    let reaches = async |status: JobStatus| {
        while orchestra.job(job).await.expect("known").state.status() != status {
            tokio::task::yield_now().await;
        }
    };
    reaches(JobStatus::Submitted).await;
    let ticks = [Tick { name: "it works".to_owned(), ok: false }];
    let (answer, ()) = tokio::join!(orchestra.validate(job, &ticks, None), async {
        reaches(JobStatus::Validated).await;
        tokio::task::spawn_blocking(move || let_on.wait()).await.expect("let on");
    });
    let refused = matches!(&answer, Err(Error::Store(StoreError::Conflict { .. })));
    assert!(refused, "its checklist was not taken: {answer:?}");
    orchestra.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_by_the_field_that_is_wrong() {
    let orchestra = house().employ(says("one", RIGHT)).start().await.expect("starts");
    let field = async |new: NewPrd| match orchestra.submit(new).await {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(NewPrd::new("x".repeat(10 << 20))).await, "prompt");
    assert_eq!(field(prd().plan(Plan::Panel(2))).await, "plan", "only one model is employed");
    let unknown = prd().model(ModelName::new("nobody").expect("a name"));
    assert!(matches!(orchestra.submit(unknown).await, Err(Error::UnknownModel { .. })));
    let twice = ModelProfile::new("one", ModelKind::Local, "x", "y").expect("a profile");
    assert!(matches!(orchestra.register(&twice).await, Err(Error::ModelExists(_))));
    orchestra.stop().await;
    assert!(matches!(orchestra.submit(prd()).await, Err(Error::Stopping)));
}

#[tokio::test]
async fn a_cancelled_prd_has_a_verdict_that_says_so() {
    let orchestra = house().start().await.expect("starts");
    let prd = orchestra.submit(prd()).await.expect("accepted");
    orchestra.cancel(prd.id, "changed my mind").await.expect("cancelled");
    assert_eq!(orchestra.verdict(prd.id).await.expect("a verdict").outcome, Outcome::Cancelled);
    orchestra.stop().await;
}

#[tokio::test]
async fn a_repeated_submission_gets_its_prd_although_its_panel_could_not_be_filled_any_more() {
    let profile = |name| ModelProfile::new(name, ModelKind::Cloud, "test", name).expect("a profile");
    let orchestra = aura_orchestra::builder().store(MemoryStore::new()).start().await.expect("starts");
    for name in ["one", "two"] {
        orchestra.register(&profile(name)).await.expect("registered");
    }
    let new = || NewPrd::new("x").plan(Plan::Panel(2)).idempotency_key("k");
    let first = orchestra.submit_once(new()).await.expect("accepted");
    orchestra.hold("two", "enough").await.expect("held");
    let again = orchestra.submit_once(new()).await.expect("answered as before");
    assert_eq!((again.prd.id, again.created), (first.prd.id, false));
    assert!(orchestra.submit_once(NewPrd::new("x").plan(Plan::Panel(2))).await.is_err(), "a new one is refused");
    orchestra.stop().await;
}
