//! The REST contract over a real connection: what is answered, what is refused, and with which words.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod door;
mod models;
mod page;
#[path = "../raw_http/mod.rs"]
mod raw_http;
mod submission;
mod work;

use std::time::Duration;

use aura_orchestra::{http::HttpOptions, prelude::*};
use raw_http::{Answer, House, PATIENCE};
use serde_json::{Value, json};

const TESTS: &str = "from solution import add\n\ndef test_add():\n    assert add(1, 2) == 3\n";
const CODE: &str = "```python\ndef add(a, b):\n    \"\"\"Return the sum of a and b.\"\"\"\n    return a + b\n```";

/// A manager only: whoever works comes over the wire.
async fn manager() -> House {
    let builder = aura_orchestra::builder().store(MemoryStore::new()).workers(0).allow_unsandboxed();
    House::open(builder, HttpOptions::default()).await
}

async fn with_models(names: &[&str]) -> House {
    let house = manager().await;
    for name in names {
        let endpoint = json!({ "kind": "local", "endpoint": "http://127.0.0.1:11434" });
        house.post(&format!("/models/{name}/register"), &endpoint).await.accepted(201);
    }
    house
}

impl House {
    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    async fn post_text(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("Content-Type", "application/json")], body.as_bytes()).await
    }

    /// Asks again until `done` says so.
    async fn until(&self, path: &str, done: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            // Every step of a job's life writes an entry: wait for the next one rather than for a time.
            let mut seen = AuditSeq(0);
            loop {
                let value = self.get(path).await.json();
                if done(&value) {
                    return value;
                }
                self.orchestra.changed(seen, Duration::from_millis(200)).await;
                seen = self.orchestra.audit_range().await.expect("range").map_or(seen, |(_, newest)| newest);
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(value) => value,
            Err(_) => panic!("{path} did not get there: {:?}", self.get(path).await.json()),
        }
    }
}

/// Submits one job and waits until it has a model; answers with its id and the model's name.
async fn assigned(house: &House, body: Value) -> (String, String) {
    let job = house.post("/jobs", &body).await.accepted(201);
    let id = job["id"].as_str().expect("an id").to_owned();
    let job = house.until(&format!("/jobs/{id}"), |job| job["status"] == "ASSIGNED").await;
    (id, job["assigned_model"].as_str().expect("a model").to_owned())
}
