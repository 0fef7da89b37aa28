//! llmock breaks answers on demand, and judges from its journal whether the client waited, retried and gave up as it should.

use std::{sync::Arc, time::Duration};

use aura_orchestra::{
    adapters::{
        GeminiAdapter, OpenAiAdapter,
        layer::{Retry, Timeout},
    },
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Report;

/// A fault, and what must come of the call in the end.
struct Fault {
    name: &'static str,
    behaviour: Value,
    stream: bool,
    ends_well: bool,
}

fn faults() -> Vec<Fault> {
    let fail = |status: u16| json!({ "type": "fail", "status": status });
    let stream = |kind: &str| json!({ "type": "stream_fault", "kind": kind, "after_chunks": 2, "stall_seconds": 8 });
    let mut faults = Vec::new();
    let mut add = |name, behaviour, stream, ends_well| faults.push(Fault { name, behaviour, stream, ends_well });
    add("no fault", json!({ "type": "delay", "seconds": 0 }), false, true);
    add("no fault, streamed", json!({ "type": "delay", "seconds": 0 }), true, true);
    add("429 with Retry-After", json!({ "type": "fail", "status": 429, "retry_after": 1.2 }), false, true);
    add("429 twice without", json!({ "type": "fail", "status": 429, "times": 2 }), false, true);
    for (name, status) in [("500", 500), ("502", 502), ("503", 503), ("504", 504), ("408", 408)] {
        add(name, fail(status), false, true);
    }
    for (name, status) in [("400", 400), ("401", 401), ("403", 403), ("404", 404), ("422", 422)] {
        add(name, fail(status), false, false);
    }
    add("500 for ever", json!({ "type": "fail", "status": 500, "times": null }), false, false);
    add("stream disconnected", stream("disconnect"), true, true);
    add("stream truncated", stream("truncate"), true, true);
    add("stream malformed", stream("malformed"), true, true);
    add("stream stalled", stream("stall"), true, true);
    add("slow answer", json!({ "type": "delay", "seconds": 6, "match": { "stream": false } }), false, true);
    faults
}

/// A sink that can begin anew, so that a stream that breaks in the middle may be asked for again.
struct Forgets;

impl DeltaSink for Forgets {
    fn delta(&self, _: &str) {}

    fn restart(&self) -> bool {
        true
    }
}

fn employees(url: &str) -> Vec<(&'static str, Arc<dyn ModelAdapter>)> {
    let layered = |adapter: Arc<dyn ModelAdapter>| -> Arc<dyn ModelAdapter> {
        let patient = Timeout::new(adapter).whole(Duration::from_secs(4));
        Arc::new(Retry::new(patient).base(Duration::from_millis(200)))
    };
    let openai = OpenAiAdapter::builder("gpt-4o-mini").base_url(format!("{url}/v1")).api_key("mock-key");
    let gemini = GeminiAdapter::builder("gemini-2.5-flash").base_url(format!("{url}/gemini")).api_key("mock-key");
    let mut employees: Vec<(&'static str, Arc<dyn ModelAdapter>)> = Vec::new();
    match openai.build() {
        Ok(adapter) => employees.push(("OpenAI", layered(Arc::new(adapter)))),
        Err(error) => println!("{error}"),
    }
    match gemini.build() {
        Ok(adapter) => employees.push(("Gemini", layered(Arc::new(adapter)))),
        Err(error) => println!("{error}"),
    }
    employees
}

pub(crate) async fn check(url: &str, report: &mut Report) {
    let client = match http_client() {
        Ok(client) => client,
        Err(error) => return report.check("a client for llmock's own calls", Err(error)),
    };
    for fault in faults() {
        // New ones for each fault: what they may spend on retries in a minute is not for so many faults.
        for (vendor, employee) in employees(url) {
            let what = format!("{vendor}, {}", fault.name);
            report.check(&what, one(&client, url, employee.as_ref(), &fault).await);
        }
    }
}

/// What llmock says of the client that called it.
#[derive(Deserialize)]
struct Verdict {
    passed: bool,
    warnings: u64,
    attempts: u64,
    #[serde(default)]
    findings: Value,
}

async fn one(
    client: &reqwest::Client,
    url: &str,
    employee: &dyn ModelAdapter,
    fault: &Fault,
) -> Result<String, String> {
    let text = |error: reqwest::Error| error.to_string();
    let send = |path: &str, body: Value| client.post(format!("{url}/_llmock/{path}")).json(&body).send();
    send("reset", json!({})).await.map_err(text)?.error_for_status().map_err(text)?;
    let scenario = json!({ "behaviors": [fault.behaviour] });
    let answer = send("scenario", scenario).await.map_err(text)?;
    if !answer.status().is_success() {
        return Err(format!("the scenario was refused: {}", answer.text().await.unwrap_or_default()));
    }
    let request = GenerateRequest::new(format!("Write add(a, b), and mind {}", fault.name));
    let outcome = match fault.stream {
        true => employee.stream(&request, Arc::new(Forgets)).await,
        false => employee.generate(&request).await,
    };
    let verdict: Verdict =
        client.get(format!("{url}/_llmock/verdict")).send().await.map_err(text)?.json().await.map_err(text)?;
    let said = match &outcome {
        Ok(generation) => format!("an answer of {} bytes", generation.output.len()),
        Err(error) => error.to_string(),
    };
    let figures = format!("{} attempts, {said}", verdict.attempts);
    if outcome.is_ok() != fault.ends_well {
        return Err(figures);
    }
    if verdict.passed && verdict.warnings == 0 {
        Ok(format!("verdict PASS, {figures}"))
    } else {
        Err(format!("{figures}; {}", verdict.findings))
    }
}

/// A plain client, for the control calls alone.
fn http_client() -> Result<reqwest::Client, String> {
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build();
    client.map_err(|error| error.to_string())
}
