//! What stands in the log, and what never does.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use aura_adapters::AdapterExt;
use aura_core::{AdapterError, GenerateRequest, ModelAdapter, Price};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::script::{Scripted, Step, seconds};

/// Writes spans and events down as lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("lock").clone()
    }

    fn push(&self, line: Line) {
        self.0.lock().expect("lock").push(line.0);
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(format!("span {}", span.metadata().name()));
        span.record(&mut line);
        self.push(line);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{}", event.metadata().level()));
        event.record(&mut line);
        self.push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn request() -> GenerateRequest {
    GenerateRequest { attempt: 2, ..GenerateRequest::new("the secret plan") }
}

/// What the layer writes of one call.
async fn log_of(step: fn() -> Step, patience: u64) -> Vec<String> {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let model = Scripted::new(move |_| step()).price(Price::per_million(1.0, 2.0).expect("a price")).trace();
    let request = request();
    let _answer = tokio::time::timeout(seconds(patience), model.generate(&request)).await;
    drop(model);
    log.lines()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_one_span_and_one_line_with_time_tokens_and_cost() {
    let lines = log_of(|| Step::answers().after(seconds(2)).using(1000, 500), 60).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    for part in
        [r#"employee=employee_scripted"#, r#"provider="script""#, r#"model="scripted-1""#, " job=", " attempt=2"]
    {
        assert!(lines[0].contains(part), "{lines:?}");
    }
    assert_eq!(lines[1], r#"INFO outcome="generated" seconds=2.0 input_tokens=1000 output_tokens=500 cost=0.002"#);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_a_warning_without_the_words_of_the_vendor() {
    let step = || {
        let message = "sk-123 may not ask: the secret plan".to_owned();
        Step::fails(AdapterError::Rejected { provider: "script".to_owned(), status: 400, message })
    };
    let lines = log_of(step, 60).await;
    assert_eq!(lines[1], r#"WARN outcome="rejected" seconds=0.0 status=400"#);
    assert!(lines.iter().all(|line| !line.contains("secret") && !line.contains("sk-123")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_told_of_too() {
    let lines = log_of(|| Step::answers().after(seconds(9)), 3).await;
    assert_eq!(lines[1], r#"INFO outcome="dropped" seconds=3.0"#);
}
