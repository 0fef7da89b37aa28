//! A model that does what a script says, and remembers how it was asked.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aura_core::{
    AdapterError, DeltaSink, Gate, GenerateRequest, Generation, Health, Language, ModelAdapter, ModelKind,
    ModelProfile, Price, Usage,
};
use tokio::time::Instant;

/// What a call does: it tells these pieces, each after a while, and ends.
pub(crate) struct Step {
    pieces: Vec<(Duration, &'static str)>,
    end: Result<Usage, AdapterError>,
}

impl Step {
    pub(crate) fn answers() -> Self {
        Self { pieces: vec![(Duration::ZERO, "ok")], end: Ok(Usage::default()) }
    }

    pub(crate) fn fails(error: AdapterError) -> Self {
        Self { pieces: Vec::new(), end: Err(error) }
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        self.pieces(vec![(wait, "ok")])
    }

    pub(crate) fn pieces(mut self, pieces: Vec<(Duration, &'static str)>) -> Self {
        self.pieces = pieces;
        self
    }

    pub(crate) fn using(mut self, input: u64, output: u64) -> Self {
        self.end = Ok(Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() });
        self
    }
}

type Script = Box<dyn Fn(usize) -> Step + Send + Sync>;

/// The model. Its script is given the number of the call, from 1.
#[derive(Clone)]
pub(crate) struct Scripted {
    profile: ModelProfile,
    script: Arc<Script>,
    /// When each call began, and the timeout it was given.
    calls: Arc<Mutex<Vec<(Instant, GenerateRequest)>>>,
    busy: Arc<AtomicUsize>,
    busiest: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        Self {
            profile: ModelProfile::new("employee_scripted", ModelKind::Cloud, "script", "scripted-1").expect("a name"),
            script: Arc::new(Box::new(script)),
            calls: Arc::default(),
            busy: Arc::default(),
            busiest: Arc::default(),
        }
    }

    pub(crate) fn concurrency(mut self, calls: u16) -> Self {
        self.profile = self.profile.concurrency(calls);
        self
    }

    pub(crate) fn price(mut self, price: Price) -> Self {
        self.profile = self.profile.price(price);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().expect("lock").len()
    }

    pub(crate) fn requests(&self) -> Vec<GenerateRequest> {
        self.calls.lock().expect("lock").iter().map(|(_, request)| request.clone()).collect()
    }

    /// How long after the first call each call began.
    pub(crate) fn starts(&self) -> Vec<Duration> {
        let calls = self.calls.lock().expect("lock");
        calls.iter().map(|(at, _)| at.duration_since(calls[0].0)).collect()
    }

    pub(crate) fn busiest(&self) -> usize {
        self.busiest.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ModelAdapter for Scripted {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        self.stream(request, Arc::new(|_: &str| {})).await
    }

    async fn stream(&self, request: &GenerateRequest, sink: Arc<dyn DeltaSink>) -> Result<Generation, AdapterError> {
        let number = {
            let mut calls = self.calls.lock().expect("lock");
            calls.push((Instant::now(), request.clone()));
            calls.len()
        };
        self.busiest.fetch_max(self.busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _busy = Busy(&self.busy);
        let step = (self.script)(number);
        let mut output = String::new();
        for (wait, piece) in step.pieces {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            sink.delta(piece);
            output.push_str(piece);
        }
        let usage = step.end?;
        Ok(Generation { usage, ..Generation::from_answer(&output, Language::Python) })
    }

    async fn health(&self) -> Health {
        Health::Unhealthy("the script says so".to_owned())
    }

    fn gates(&self) -> Vec<Gate> {
        vec![Gate { name: "script".to_owned(), passes: true, state: "runs".to_owned() }]
    }
}

/// A sink that keeps what it is told.
#[derive(Default)]
pub(crate) struct Text(Mutex<String>);

impl Text {
    pub(crate) fn read(&self) -> String {
        self.0.lock().expect("lock").clone()
    }
}

impl DeltaSink for Text {
    fn delta(&self, text: &str) {
        self.0.lock().expect("lock").push_str(text);
    }
}

pub(crate) fn ask() -> GenerateRequest {
    GenerateRequest::new("Write add(a, b)")
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn busy(retry_after: Option<Duration>) -> AdapterError {
    AdapterError::Busy { provider: "script".to_owned(), message: "later".to_owned(), retry_after }
}

pub(crate) fn failed() -> AdapterError {
    AdapterError::Failed { provider: "script".to_owned(), status: 500, message: "broken".to_owned() }
}

pub(crate) fn unauthorized() -> AdapterError {
    AdapterError::Unauthorized { provider: "script".to_owned(), status: 401, message: "no".to_owned() }
}

pub(crate) fn unknown() -> AdapterError {
    AdapterError::UnknownModel { provider: "script".to_owned(), model: "m".to_owned(), message: "no".to_owned() }
}

pub(crate) fn rejected() -> AdapterError {
    AdapterError::Rejected { provider: "script".to_owned(), status: 400, message: "no".to_owned() }
}

pub(crate) fn truncated() -> AdapterError {
    AdapterError::Truncated { provider: "script".to_owned(), message: "half".to_owned() }
}

pub(crate) fn unreachable() -> AdapterError {
    AdapterError::Unreachable { endpoint: "script:".to_owned(), source: "refused".into() }
}
