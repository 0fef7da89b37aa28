//! From one attempt to the next: what a model is told of the attempt before, what is no fault of a model's, and what all of it cost.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aura_orchestra::{core::contract::store::RunFilter, prelude::*};

type Answer = std::result::Result<Generation, AdapterError>;
type Failing = fn() -> AdapterError;

/// A model whose answers, price and gate a test decides.
struct Scripted {
    profile: ModelProfile,
    answer: Box<dyn Fn(&GenerateRequest) -> Answer + Send + Sync>,
    open: Arc<AtomicBool>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.profile.fmt(f)
    }
}

#[async_trait]
impl ModelAdapter for Scripted {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> Answer {
        (self.answer)(request)
    }

    fn gates(&self) -> Vec<Gate> {
        let passes = self.open.load(Ordering::Relaxed);
        vec![Gate { name: "circuit breaker".to_owned(), passes, state: "open after 5 failures in a row".to_owned() }]
    }
}

fn scripted(name: &str, answer: impl Fn(&GenerateRequest) -> Answer + Send + Sync + 'static) -> Scripted {
    let profile = ModelProfile::new(name, ModelKind::Cloud, "test", name).expect("a name");
    Scripted { profile, answer: Box::new(answer), open: Arc::new(AtomicBool::new(true)) }
}

fn says(code: &str) -> Generation {
    Generation::from_answer(&format!("```python\n{code}\n```"), Language::Python)
}

fn house() -> OrchestraBuilder {
    let settings = Settings { poll: Duration::from_millis(20), ..Settings::default() };
    aura_orchestra::builder().store(MemoryStore::new()).settings(settings).allow_unsandboxed()
}

fn prd() -> NewPrd {
    NewPrd::new("write one()").tests(TestSuite::pytest("from solution import one\ndef test_one(): assert one() == 1\n"))
}

async fn verdict_of(orchestra: &Orchestra, new: NewPrd) -> Verdict {
    let prd = orchestra.submit(new).await.expect("accepted");
    let verdict = tokio::time::timeout(Duration::from_secs(60), orchestra.verdict(prd.id)).await;
    verdict.expect("a verdict in time").expect("a verdict")
}

#[tokio::test]
async fn whoever_tries_a_rejected_job_again_is_told_which_tests_failed_and_on_what() {
    let told: Arc<Mutex<Vec<Option<Feedback>>>> = Arc::default();
    // Whoever comes first is wrong.
    let model = |name| {
        let told = Arc::clone(&told);
        scripted(name, move |request| {
            told.lock().expect("not poisoned").push(request.feedback.clone());
            Ok(says(if request.attempt == 1 { "def one(): return 2" } else { "def one(): return 1" }))
        })
    };
    let orchestra = house().employ(model("a")).employ(model("b")).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!(verdict.winner().expect("the second attempt wins").attempts, 2, "{verdict}");
    orchestra.stop().await;
    let told = told.lock().expect("not poisoned").clone();
    let [None, Some(feedback)] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!((feedback.attempt, feedback.why.as_str()), (1, "0 of 1 tests passed"));
    assert_eq!(feedback.failed.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["test_solution::test_one"]);
    assert!(feedback.output.contains("assert 2 == 1"), "{}", feedback.output);
    assert_eq!(feedback.work, [SourceFile::new("solution.py", "def one(): return 2\n")]);
}

#[tokio::test]
async fn a_wrong_key_is_no_evidence_about_a_model_and_the_job_goes_to_another_one() {
    let keyless = scripted("keyless", |_| {
        Err(AdapterError::Unauthorized { provider: "test".to_owned(), status: 401, message: "no such key".to_owned() })
    });
    let works = scripted("works", |_| Ok(says("def one(): return 1")));
    let orchestra = house().employ(keyless).employ(works).start().await.expect("starts");
    for _ in 0..4 {
        let verdict = verdict_of(&orchestra, prd()).await;
        assert_eq!(verdict.winner().and_then(|entry| entry.model.as_ref()).map(ModelName::as_str), Some("works"));
    }
    let model = orchestra.find_model("keyless").await.expect("known").id;
    let filter = RunFilter { model: Some(model), ..RunFilter::default() };
    assert!(orchestra.runs(&filter).await.expect("readable").is_empty(), "nothing was scored");
    orchestra.stop().await;
}

#[tokio::test]
async fn a_model_behind_a_shut_gate_gets_no_work_until_it_opens() {
    let behind = scripted("behind", |_| Ok(says("def one(): return 1")));
    let open = Arc::clone(&behind.open);
    open.store(false, Ordering::Relaxed);
    let orchestra = house().employ(behind).start().await.expect("starts");
    let waits = orchestra.submit(prd()).await.expect("accepted");
    let reason = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(reason) = orchestra.waiting_reason(waits.jobs[0]) {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    });
    let reason = reason.await.expect("a reason in time");
    assert_eq!(reason, "behind: circuit breaker: open after 5 failures in a row");
    assert_eq!(orchestra.job(waits.jobs[0]).await.expect("known").state, JobState::Queued);
    open.store(true, Ordering::Relaxed);
    let verdict = tokio::time::timeout(Duration::from_secs(60), orchestra.verdict(waits.id)).await;
    assert!(verdict.expect("in time").expect("a verdict").winner().is_some());
    orchestra.stop().await;
}

#[tokio::test]
async fn a_gate_that_shuts_between_claim_and_call_uses_no_attempt_up() {
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    // More often than a job has attempts.
    let model = scripted("model", move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0..5 => Err(AdapterError::Shut {
            gate: "budget",
            reason: "it is spent".to_owned(),
            retry_after: Some(Duration::from_millis(1)),
        }),
        _ => Ok(says("def one(): return 1")),
    });
    let orchestra = house().employ(model).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!(verdict.winner().expect("it is done in the end").attempts, 6, "{verdict}");
    orchestra.stop().await;
}

#[tokio::test]
async fn a_verdict_a_run_and_a_model_say_what_was_used_up_and_what_is_not_known_is_absent() {
    let used = |tokens| Usage { input_tokens: Some(1000), output_tokens: tokens, ..Usage::default() };
    let model = |name: &str, tokens| {
        let mut model = scripted(name, move |_| Ok(Generation { usage: used(tokens), ..says("def one(): return 1") }));
        model.profile.price = Some(Price::per_million(1.0, 10.0).expect("a price"));
        model
    };
    let orchestra = house().employ(model("tells", Some(200))).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    // 1000 x $1 and 200 x $10, for a million.
    let cost = Usd::dollars(0.003).expect("an amount");
    assert_eq!((verdict.spent.cost, verdict.spent.usage), (Some(cost), used(Some(200))));
    assert!(verdict.to_string().contains("cost $0.003"), "{verdict}");
    let runs = orchestra.runs(&RunFilter::default()).await.expect("readable");
    assert_eq!(runs.iter().map(|run| run.run.cost).collect::<Vec<_>>(), [Some(cost)]);
    let spending = orchestra.spending().await.expect("readable");
    assert_eq!(
        spending.iter().map(|spent| (spent.runs, spent.output_tokens, spent.cost)).collect::<Vec<_>>(),
        [(1, 200, cost)]
    );
    orchestra.stop().await;

    let orchestra = house().employ(model("silent", None)).start().await.expect("starts");
    let verdict = verdict_of(&orchestra, prd()).await;
    assert_eq!((verdict.spent.cost, verdict.spent.usage.output_tokens), (None, None));
    let spending = orchestra.spending().await.expect("readable");
    assert_eq!(
        spending.iter().map(|spent| (spent.unpriced, spent.uncounted, spent.cost)).collect::<Vec<_>>(),
        [(1, 1, Usd::ZERO)]
    );
    orchestra.stop().await;
}

#[tokio::test]
async fn an_attempt_that_was_handed_back_makes_the_sum_unknown_unless_it_cost_nothing() {
    let used = Usage { input_tokens: Some(1000), output_tokens: Some(200), ..Usage::default() };
    let cost = Usd::dollars(0.003).expect("an amount");
    let away = || AdapterError::Busy {
        provider: "test".to_owned(),
        message: "later".to_owned(),
        retry_after: Some(Duration::ZERO),
    };
    let cut = || AdapterError::Truncated { provider: "test".to_owned(), message: "it ends".to_owned() };
    let paid = Price::per_million(1.0, 10.0).expect("a price");
    let errors: [(Failing, Price, _, _); 3] =
        [(away, paid, Some(cost), Some(200)), (cut, paid, None, None), (cut, Price::FREE, Some(Usd::ZERO), None)];
    for (error, price, known_cost, known_tokens) in errors {
        let first = AtomicBool::new(true);
        let mut model = scripted("model", move |_| match first.swap(false, Ordering::Relaxed) {
            true => Err(error()),
            false => Ok(Generation { usage: used, ..says("def one(): return 1") }),
        });
        model.profile.price = Some(price);
        let orchestra = house().employ(model).start().await.expect("starts");
        let verdict = verdict_of(&orchestra, prd()).await;
        let entry = verdict.winner().expect("it is done in the end");
        assert_eq!(entry.attempts, 2, "{verdict}");
        for spent in [verdict.spent, entry.spent] {
            assert_eq!((spent.cost, spent.usage.output_tokens), (known_cost, known_tokens), "{}", error());
        }
        orchestra.stop().await;
    }
}
