//! The REST contract over a real connection: what is answered, what is refused, and with which words.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod raw_http;

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

#[tokio::test]
async fn a_worker_of_the_users_document_drives_a_job_from_submission_to_validated() {
    let house = with_models(&["employee_ollama", "employee_gemini"]).await;
    let asked = json!({ "title": "add", "prompt": "Write add(a, b)", "tests": TESTS, "language": "python" });
    let submitted = house.post("/jobs", &asked).await;
    let job = submitted.accepted(201);
    let id = job["id"].as_str().expect("an id").to_owned();
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
    assert_eq!(submitted.header("location"), Some(format!("/jobs/{id}").as_str()));

    // The worker polls for what is assigned.
    let found = house.until("/jobs?status=ASSIGNED", |jobs| jobs.as_array().is_some_and(|jobs| !jobs.is_empty())).await;
    let job = &found[0];
    assert_eq!(
        (&job["id"], &job["status"], &job["prompt"]),
        (&json!(id), &json!("ASSIGNED"), &json!("Write add(a, b)"))
    );
    let name = job["assigned_model"].as_str().expect("a model").to_owned();
    let short = name.strip_prefix("employee_").expect("a backend name").to_owned();
    let other = if short == "ollama" { "gemini" } else { "ollama" };
    house.get(&format!("/jobs?status=ASSIGNED&model={short}")).await;
    let asked = async |name: &str| house.orchestra.find_model(name).await.expect("known").asked_at.is_some();
    assert_eq!((asked(&short).await, asked(other).await), (true, false), "looking for assigned work is asking for it");

    // It claims with its id as a bare JSON string; the second one comes too late.
    let claimed = house.post(&format!("/jobs/{id}/claim"), &json!("worker-1")).await.accepted(200);
    assert_eq!(claimed["job"]["status"], "IN_PROGRESS");
    assert_eq!((&claimed["lease"]["worker"], &claimed["model"]), (&json!("worker-1"), &json!(name)));
    assert!(claimed["lease"]["token"].is_i64() && claimed["lease"]["until"].is_string(), "{claimed}");
    let late = house.post(&format!("/jobs/{id}/claim"), &json!("worker-2")).await.refused(409);
    assert!(late.contains("worker-1"), "the refusal says who has it: {late}");

    // It hands in under the short backend name; under another model's name it may not.
    let piece = json!({ "job_id": id, "artifact_type": "result", "artifact": { "text": CODE } });
    let refusal = house.post(&format!("/models/{other}/artifact"), &piece).await.refused(409);
    assert!(refusal.contains(&name) || refusal.contains("another model"), "{refusal}");
    let stored = house.post(&format!("/models/{short}/artifact"), &piece).await.accepted(201);
    assert!(stored["id"].is_i64(), "{stored}");

    // It reports without a token, twice with the same words, and once with others.
    let report = json!({ "worker_id": "worker-1", "success": true, "details": { "duration_ms": 12 } });
    let reported = house.post(&format!("/jobs/{id}/report"), &report).await.accepted(200);
    assert_eq!((&reported["id"], &reported["status"]), (&json!(id), &json!("SUBMITTED")));
    let again = house.post(&format!("/jobs/{id}/report"), &report).await;
    assert_eq!(again.accepted(200)["status"], "SUBMITTED");
    let other_words = json!({ "worker_id": "worker-1", "success": false, "details": {} });
    house.post(&format!("/jobs/{id}/report"), &other_words).await.refused(409);

    let job =
        house.until(&format!("/jobs/{id}"), |job| job["status"] == "VALIDATED" || job["status"] == "FAILED").await;
    assert_eq!(job["status"], "VALIDATED", "{job}");
    assert!(job["score"].as_f64().is_some_and(|score| score > 0.4), "{job}");

    let runs = house.get(&format!("/jobs/{id}/runs")).await.accepted(200);
    assert_eq!(runs.as_array().map(Vec::len), Some(1));
    assert_eq!(runs[0]["details"]["signals"]["test_score"], 1.0);
    let events = house.get(&format!("/jobs/{id}/events")).await.accepted(200);
    let words: Vec<_> = events.as_array().expect("events").iter().map(|event| event["event_type"].clone()).collect();
    for word in ["job.queued", "job.assigned", "job.claimed", "artifact.stored", "job.submitted", "job.validated"] {
        assert!(words.contains(&json!(word)), "{word} is missing: {words:?}");
    }
    let artifacts = house.get(&format!("/jobs/{id}/artifacts")).await.accepted(200);
    assert_eq!((&artifacts[0]["artifact_type"], &artifacts[0]["artifact"]["text"]), (&json!("result"), &json!(CODE)));
    house.post(&format!("/jobs/{id}/validate"), &json!({ "ticks": [{ "name": "a", "ok": true }] })).await.refused(409);
    house.close().await;
}

#[tokio::test]
async fn a_batch_claim_brings_jobs_with_their_tokens_and_every_write_is_fenced_by_them() {
    let house = with_models(&["employee_ollama"]).await;
    let (id, _) = assigned(&house, json!({ "prompt": "anything" })).await;
    let wish = json!({ "worker_id": "w1", "models": ["ollama"], "max": 10, "wait_ms": 1000 });
    let claimed = house.post("/jobs/claim", &wish).await.accepted(200);
    assert_eq!(claimed["jobs"][0]["job"]["id"], json!(id));
    let token = claimed["jobs"][0]["lease"]["token"].as_i64().expect("a token");

    let beat = json!({ "worker_id": "w1", "token": token });
    let until = house.post(&format!("/jobs/{id}/heartbeat"), &beat).await.accepted(200);
    assert!(until["until"].is_string(), "{until}");
    for stale in [json!({ "worker_id": "w1", "token": token - 1 }), json!({ "worker_id": "w2", "token": token })] {
        house.post(&format!("/jobs/{id}/heartbeat"), &stale).await.refused(409);
        let report = json!({ "worker_id": stale["worker_id"], "token": stale["token"], "success": true });
        house.post(&format!("/jobs/{id}/report"), &report).await.refused(409);
        house.post(&format!("/jobs/{id}/release"), &stale).await.refused(409);
        let piece = json!({ "job_id": id, "artifact_type": "docs", "artifact": "x",
                            "worker_id": stale["worker_id"], "token": stale["token"] });
        house.post("/models/ollama/artifact", &piece).await.refused(409);
    }
    assert_eq!(house.get(&format!("/jobs/{id}")).await.json()["status"], "IN_PROGRESS");

    let back = json!({ "worker_id": "w1", "token": token, "reason": "no more disk" });
    let released = house.post(&format!("/jobs/{id}/release"), &back).await.accepted(200);
    assert_eq!(released["last_error"], "no more disk");
    let none = json!({ "worker_id": "w1", "models": ["employee_ollama"] });
    house.post("/jobs/claim", &none).await.accepted(200);
    house.post("/jobs/claim", &json!({ "worker_id": "w1", "models": ["nobody"] })).await.refused(404);
    house.post("/jobs/claim", &json!({ "worker_id": "w1", "models": [] })).await.refused(422);
    house.post("/jobs/claim", &json!({ "worker_id": "w1", "models": ["ollama"], "max": 1001 })).await.refused(422);
    house.close().await;
}

#[tokio::test]
async fn a_prd_is_submitted_listed_shown_and_called_off() {
    let house = with_models(&["a", "b"]).await;
    let asked = json!({ "prompt": "Write add(a, b)\nin Python", "tests": TESTS, "plan": { "panel": 2 } });
    let submitted = house.post("/prds", &asked).await;
    let prd = submitted.accepted(201);
    let id = prd["id"].as_str().expect("an id").to_owned();
    assert_eq!(submitted.header("location"), Some(format!("/prds/{id}").as_str()));
    assert_eq!((&prd["state"], &prd["title"]), (&json!("working"), &json!("Write add(a, b)")));
    assert_eq!(prd["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(prd["tests"]["report"], "junit");

    let pending = house.get(&format!("/prds/{id}/verdict?wait=10ms")).await;
    assert_eq!(pending.accepted(202), json!({ "status": "pending" }));
    assert_eq!(pending.header("retry-after"), Some("1"));
    assert_eq!(house.get("/prds?limit=5").await.accepted(200)[0]["id"], json!(id));
    let jobs = house.get(&format!("/jobs?prd={id}")).await.accepted(200);
    assert!(jobs.as_array().is_some_and(|jobs| jobs.iter().all(|job| job["tests"]["files"][0]["text"] == TESTS)));

    let cancelled =
        house.post(&format!("/prds/{id}/cancel"), &json!({ "reason": "changed my mind" })).await.accepted(200);
    assert_eq!(cancelled["state"], "cancelled");
    let verdict = house.get(&format!("/prds/{id}/verdict?wait=30s")).await.accepted(200);
    assert_eq!(verdict["outcome"], "cancelled");
    house.send("POST", &format!("/prds/{id}/cancel"), &[], b"").await.refused(409);
    let first = house.get(&format!("/jobs?prd={id}")).await.json()[0].clone();
    let claim = format!("/jobs/{}/claim", first["id"].as_str().expect("an id"));
    house.post(&claim, &json!("w1")).await.refused(409);
    house.close().await;
}

#[tokio::test]
async fn an_idempotency_key_gives_the_prd_there_is_and_refuses_another_request() {
    let house = with_models(&["a"]).await;
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "key-1")];
    let body = json!({ "prompt": "one" }).to_string();
    for path in ["/prds", "/jobs"] {
        let headers = if path == "/prds" { headers } else { [headers[0], ("Idempotency-Key", "key-2")] };
        let first = house.send("POST", path, &headers, body.as_bytes()).await.accepted(201);
        let second = house.send("POST", path, &headers, body.as_bytes()).await.accepted(200);
        assert_eq!(first["id"], second["id"]);
        house.send("POST", path, &headers, br#"{"prompt": "two"}"#).await.refused(409);
    }
    assert_eq!(house.get("/prds").await.json().as_array().map(Vec::len), Some(2));
    house.close().await;
}

#[tokio::test]
async fn an_outside_validator_judges_a_submitted_job_once() {
    let house = with_models(&["a", "b"]).await;
    let prd = house.post("/prds", &json!({ "prompt": "x", "plan": { "panel": 2 } })).await.accepted(201);
    let path = format!("/jobs?status=ASSIGNED&prd={}", prd["id"].as_str().expect("an id"));
    let jobs = house.until(&path, |jobs| jobs.as_array().is_some_and(|jobs| jobs.len() == 2)).await;
    // The other job of the panel is never done, so the accountant waits and the validator comes first.
    let (id, model) = (jobs[0]["id"].as_str().expect("id"), jobs[0]["assigned_model"].as_str().expect("model"));
    let validate = format!("/jobs/{id}/validate");
    let ticks = json!([{ "name": "it runs", "ok": true }, { "name": "it is right", "ok": true }]);
    house.post(&validate, &json!({ "ticks": ticks, "confidence_score": 0.9 })).await.refused(409);
    house.post(&format!("/jobs/{id}/claim"), &json!({ "worker_id": "w1" })).await.accepted(200);
    let piece = json!({ "job_id": id, "artifact_type": "result", "artifact": CODE });
    house.post(&format!("/models/{model}/artifact"), &piece).await.accepted(201);
    house.post(&format!("/jobs/{id}/report"), &json!({ "worker_id": "w1", "success": true })).await.accepted(200);

    for bad in ["NaN", "Infinity", "-0.0", "1e999", "-1", "1.5", "\"0.9\"", "[]"] {
        let body = format!("{{\"ticks\": {ticks}, \"confidence_score\": {bad}}}");
        house.post_text(&validate, &body).await.refused(422);
    }
    house.post(&validate, &json!({ "ticks": [] })).await.refused(422);
    assert_eq!(house.get(&format!("/jobs/{id}")).await.json()["status"], "SUBMITTED", "nothing was stored");
    let judged = house.post(&validate, &json!({ "ticks": ticks, "confidence_score": 0.9 })).await.accepted(200);
    assert_eq!(judged["status"], "VALIDATED");
    house.post(&validate, &json!({ "ticks": ticks, "confidence_score": 0.9 })).await.refused(409);
    house.close().await;
}

#[tokio::test]
async fn models_are_registered_listed_held_and_released() {
    let house = manager().await;
    assert_eq!(house.get("/models").await.accepted(200), json!([]));
    // The body may be left out.
    let model = house.send("POST", "/models/employee_ollama/register", &[], b"").await.accepted(201);
    assert_eq!(
        (&model["name"], &model["kind"], &model["standing"], &model["is_active"], &model["runs"], &model["avg_score"]),
        (&json!("employee_ollama"), &json!("local"), &json!("trial"), &json!(true), &json!(0), &Value::Null)
    );
    house.post("/models/employee_ollama/register", &json!({})).await.refused(409);

    // The same one again, by a worker that starts anew: without its key it was a stub.
    let body = |model: &str, stub: Option<&str>| {
        json!({ "kind": "cloud", "provider": "openai", "model": model, "stub": stub, "update": true,
                "price": { "input": 1.0, "output": 2.0 } })
    };
    let path = "/models/employee_keyed/register";
    house.post(path, &body("small", Some("no key"))).await.accepted(201);
    let model = house.post(path, &body("small", None)).await.accepted(201);
    assert_eq!((&model["stub"], &model["price"]["output"]), (&Value::Null, &json!(2.0)));
    house.post(path, &body("large", None)).await.refused(409);
    house.send("GET", "/models", &[], b"").await.accepted(200);
    for (name, body) in [
        ("a%20b", json!({})),
        ("a%0Ab", json!({})),
        ("%1B%5B31m", json!({})),
        ("g%D1%80t", json!({})),
        ("x", json!({ "kind": "cluster" })),
        ("x", json!({ "concurrency": 0 })),
        ("x", json!({ "endpoint": "http://user:secret@host" })),
        ("x", json!({ "endpoint": "file:///etc/passwd" })),
        ("x", json!({ "roles": ["a b"] })),
    ] {
        house.post(&format!("/models/{name}/register"), &body).await.refused(422);
    }
    house.post(&format!("/models/{}/register", "x".repeat(10_000)), &json!({})).await.refused(422);

    let held = house.post("/models/ollama/hold", &json!({ "reason": "too hot" })).await.accepted(200);
    assert_eq!((&held["hold"], &held["is_active"]), (&json!("too hot"), &json!(true)));
    let free = house.send("POST", "/models/ollama/release", &[], b"").await.accepted(200);
    assert_eq!(free["hold"], Value::Null);
    let unknown = house.post("/models/nobody/hold", &json!({ "reason": "x" })).await.refused(404);
    assert!(unknown.contains("employee_ollama"), "the refusal names those there are: {unknown}");
    house
        .post(
            "/models/nobody/artifact",
            &json!({ "job_id": uuid::Uuid::new_v4(), "artifact_type": "docs", "artifact": "x" }),
        )
        .await
        .refused(404);
    house.close().await;
}

#[tokio::test]
async fn jobs_are_listed_page_by_page_and_by_what_is_asked() {
    let house = with_models(&["a"]).await;
    let mut made = Vec::new();
    for i in 0..5 {
        made.push(house.post("/jobs", &json!({ "prompt": format!("p{i}") })).await.accepted(201)["id"].clone());
    }
    let mut seen = Vec::new();
    let mut path = "/jobs?limit=2".to_owned();
    loop {
        let page = house.get(&path).await;
        seen.extend(page.accepted(200).as_array().expect("an array").iter().map(|job| job["id"].clone()));
        let Some(link) = page.header("link") else { break };
        path = link
            .strip_prefix('<')
            .and_then(|link| link.split_once(">; rel=\"next\""))
            .expect("a next link")
            .0
            .to_owned();
    }
    assert_eq!(seen, made);

    let all = |path: &str| {
        let path = path.to_owned();
        let house = &house;
        async move { house.get(&path).await.accepted(200).as_array().expect("an array").len() }
    };
    assert_eq!(all("/jobs?model=a&status=VALIDATED").await, 0);
    assert_eq!(all(&format!("/jobs?after={}", made[4].as_str().expect("id"))).await, 0);
    let bad = house.get("/jobs?status=DONE").await.refused(400);
    for word in ["QUEUED", "ASSIGNED", "IN_PROGRESS", "SUBMITTED", "VALIDATED", "FAILED", "CANCELLED"] {
        assert!(bad.contains(word), "{bad}");
    }
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "prd=x",
        "after=x",
        "status=",
        "colour=red",
        "limit=1&limit=2",
        "status=%FF",
    ] {
        house.get(&format!("/jobs?{query}")).await.refused(400);
    }
    for hostile in ["model=nobody", "model=a'%20OR%201=1--"] {
        house.get(&format!("/jobs?{hostile}")).await.refused(404);
    }
    house.get("/jobs?status=QUEUED'%20OR%20'1'='1").await.refused(400);
    assert_eq!(all("/jobs").await, 5);
    house.close().await;
}

#[tokio::test]
async fn a_bad_submission_is_refused_by_the_field_that_is_wrong() {
    let house = with_models(&["a"]).await;
    for (path, body, field) in [
        ("/prds", json!({}), "prompt"),
        ("/prds", json!({ "prompt": "" }), "prompt"),
        ("/prds", json!({ "prompt": 7 }), "prompt"),
        ("/prds", json!({ "prompt": "a\u{0}b" }), "prompt"),
        ("/prds", json!({ "prompt": "x".repeat(10 << 20) }), "prompt"),
        ("/prds", json!({ "prompt": "x", "plan": { "panel": 9 } }), "plan"),
        ("/prds", json!({ "prompt": "x", "plan": { "panel": 1 } }), "plan"),
        ("/prds", json!({ "prompt": "x", "plan": "cascade" }), "plan"),
        ("/prds", json!({ "prompt": "x", "plan": "duel" }), "plan"),
        ("/prds", json!({ "prompt": "x", "model": "nobody" }), "model"),
        ("/prds", json!({ "prompt": "x", "tests": 7 }), "tests"),
        ("/prds", json!({ "prompt": "x", "tests": { "files": [], "report": "junit" } }), "tests.command"),
        ("/prds", json!({ "prompt": "x", "language": "cobol" }), "language"),
        ("/prds", json!({ "prompt": "x", "role": "a b" }), "role"),
        ("/prds", json!({ "prompt": "x", "title": "a\nb" }), "title"),
        ("/prds", json!({ "prompt": "x", "limits": { "max_attempts": 0 } }), "limits.max_attempts"),
        ("/prds", json!({ "prompt": "x", "context": [{ "path": "a" }] }), "context[0].text"),
        ("/prds", json!({ "prompt": "x", "promt": "y" }), "promt"),
        ("/jobs", json!({ "title": "x" }), "prompt"),
        ("/jobs", json!({ "prompt": "x", "model": "nobody" }), "model"),
        ("/alerts", json!({ "severity": "info", "reason": "" }), "reason"),
        ("/alerts", json!({ "severity": "loud", "reason": "x" }), "severity"),
        ("/alerts", json!({ "severity": "info", "reason": "x", "job_id": "7" }), "job_id"),
    ] {
        let answer = house.post(path, &body).await;
        answer.refused(422);
        assert_eq!(answer.json()["field"], field, "{}", answer.json());
    }
    assert_eq!(house.get("/prds").await.json(), json!([]), "nothing was stored");
    house.close().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_too_large_or_of_another_type_is_refused() {
    let options = HttpOptions { max_body: 1000, ..HttpOptions::default() };
    let house = House::open(aura_orchestra::builder().store(MemoryStore::new()).workers(0), options).await;
    let json = ("Content-Type", "application/json");
    for bad in ["", "{", "prompt=x", "{\"prompt\": \"x\",}", "{\"prompt\": \"x\", \"prompt\": \"y\"}"] {
        house.post_text("/prds", bad).await.refused(400);
    }
    house.post_text("/prds", &"[".repeat(900)).await.refused(400);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        house.send("POST", "/prds", &[("Content-Type", kind)], br#"{"prompt": "x"}"#).await.refused(415);
    }
    house.send("POST", "/prds", &[json, ("Content-Encoding", "gzip")], b"\x1f\x8b").await.refused(415);
    let large = json!({ "prompt": "x".repeat(2000) }).to_string();
    house.post_text("/prds", &large).await.refused(413);
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    house.send("POST", "/prds", &[json, ("Transfer-Encoding", "chunked")], chunked.as_bytes()).await.refused(413);
    let announced = [json, ("Content-Length", "99999999999")];
    house.send("POST", "/prds", &announced, b"{").await.refused(413);
    house.close().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_off() {
    let options = HttpOptions { body_timeout: Duration::from_millis(20), ..HttpOptions::default() };
    let house = House::open(aura_orchestra::builder().store(MemoryStore::new()).workers(0), options).await;
    let announced = [("Content-Type", "application/json"), ("Content-Length", "100")];
    house.send("POST", "/prds", &announced, b"{\"prompt\":").await.refused(408);
    house.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_as_a_problem() {
    let house = manager().await;
    let id = uuid::Uuid::new_v4();
    for path in ["/nothing", "/jobs/x/y/z", "/metrics", "/mcp", "/v1/models"] {
        house.get(path).await.refused(404);
    }
    for path in ["", "/events", "/artifacts", "/runs"] {
        house.get(&format!("/jobs/{id}{path}")).await.refused(404);
        house.get(&format!("/jobs/7{path}")).await.refused(400);
    }
    house.get(&format!("/prds/{id}")).await.refused(404);
    house.get(&format!("/prds/{id}/verdict")).await.refused(404);
    house.get(&format!("/prds/{id}/verdict?wait=soon")).await.refused(400);
    house.get("/prds/%00").await.refused(400);
    house.get("/prds/%FF").await.refused(400);
    house.send("POST", &format!("/prds/{id}/cancel"), &[], b"").await.refused(404);
    let proof = json!({ "worker_id": "w1", "success": true, "reason": "x", "ticks": [{ "name": "a", "ok": true }] });
    house.post(&format!("/jobs/{id}/claim"), &json!("w1")).await.refused(404);
    for call in ["heartbeat", "report", "release", "validate"] {
        house.post(&format!("/jobs/{id}/{call}"), &proof).await.refused(404);
        house.post(&format!("/jobs/{id}/{call}"), &json!({})).await.refused(422);
    }
    for bad in [json!(""), json!("a b"), json!("a\nb"), json!(7), json!({}), json!(null), json!("x".repeat(200))] {
        house.post(&format!("/jobs/{id}/claim"), &bad).await.refused(422);
    }
    house.post("/alerts", &json!({ "severity": "info", "reason": "x", "job_id": id })).await.refused(404);
    let wrong = house.send("DELETE", "/jobs", &[], b"").await;
    wrong.refused(405);
    assert!(wrong.header("allow").is_some_and(|allow| allow.contains("GET") && allow.contains("POST")), "{wrong:?}");
    house.close().await;
}

#[tokio::test]
async fn alerts_and_the_trail_can_be_read() {
    let house = with_models(&["a"]).await;
    let (id, _) = assigned(&house, json!({ "prompt": "x" })).await;
    let alert = json!({ "job_id": id, "severity": "critical", "reason": "it smells\r\nid: 1" });
    assert_eq!(house.post("/alerts", &alert).await.accepted(200), json!({ "ok": true }));
    let alerts = house.get("/alerts").await.accepted(200);
    assert_eq!((&alerts[0]["reason"], &alerts[0]["severity"]), (&json!("it smells\r\nid: 1"), &json!("critical")));
    assert_eq!(house.get("/promotions").await.accepted(200), json!([]));

    let audit = house.get("/audit?limit=1000").await.accepted(200);
    let places: Vec<_> = audit.as_array().expect("entries").iter().map(|entry| entry["seq"].as_i64()).collect();
    assert_eq!(places, (1..=places.len()).map(|n| i64::try_from(n).ok()).collect::<Vec<_>>());
    let page = house.get("/audit?after=1&limit=2").await;
    assert_eq!(page.accepted(200).as_array().map(Vec::len), Some(2));
    assert_eq!(page.header("link"), Some("</audit?limit=2&after=3>; rel=\"next\""));
    house.get("/audit?after=-1").await.refused(400);
    let proof = house.get("/audit/verify").await.accepted(200);
    assert_eq!(proof["first_bad"], Value::Null);
    assert!(proof["checked"].as_u64().is_some_and(|checked| checked >= places.len() as u64), "{proof}");
    house.close().await;
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_turned_away_from_every_call() {
    let options = HttpOptions { allowed_hosts: vec!["aura.example".to_owned()], ..HttpOptions::default() };
    let house = House::open(aura_orchestra::builder().store(MemoryStore::new()).workers(0), options).await;
    let host = house.address.to_string();
    for path in ["/", "/jobs", "/events", "/healthz", "/nothing", "/assets/app.js"] {
        house.send("GET", path, &[("Host", "evil.example")], b"").await.refused(403);
        let foreign = house.send("GET", path, &[("Host", &host), ("Origin", "http://evil.example")], b"").await;
        foreign.refused(403);
        assert_eq!(foreign.header("access-control-allow-origin"), None);
    }
    let own = format!("http://{host}");
    house.send("GET", "/jobs", &[("Host", &host), ("Origin", &own)], b"").await.accepted(200);
    house.send("GET", "/jobs", &[("Host", "aura.example")], b"").await.accepted(200);
    let preflight =
        [("Host", host.as_str()), ("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")];
    house.send("OPTIONS", "/prds", &preflight, b"").await.refused(403);
    let register = [("Host", host.as_str()), ("Origin", "null")];
    house.send("POST", "/models/x/register", &register, b"").await.refused(403);
    assert_eq!(house.get("/models").await.json(), json!([]));
    house.close().await;
}

#[tokio::test]
async fn the_page_and_the_description_are_served_with_strict_headers() {
    let options = HttpOptions { notices: vec!["three offline employees".to_owned()], ..HttpOptions::default() };
    let employee = OfflineAdapter::builder("employee_careful").build().expect("an employee");
    let sandbox = LocalSandbox::builder().back_ends([BackEnd::Unconfined]).build().expect("a folder");
    let builder =
        aura_orchestra::builder().store(MemoryStore::new()).sandbox(sandbox).employ(employee).allow_unsandboxed();
    let house = House::open(builder, options).await;
    let page = house.get("/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self'") && !policy.contains("unsafe")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    for (path, kind) in [("/assets/app.js", "text/javascript"), ("/assets/style.css", "text/css")] {
        let asset = house.get(path).await;
        assert!(
            asset.status == 200 && asset.header("content-type").is_some_and(|given| given.starts_with(kind)),
            "{path}"
        );
    }
    let overview = house.get("/overview").await.accepted(200);
    let notices: Vec<_> = overview["notices"].as_array().expect("notices").iter().filter_map(Value::as_str).collect();
    assert!(
        notices.contains(&"three offline employees") && notices.iter().any(|text| text.contains("without a sandbox"))
    );
    assert_eq!(house.get("/models").await.json()[0]["has_adapter"], true);

    let description = house.get("/openapi.json").await.accepted(200);
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for path in [
        "/prds",
        "/prds/{id}",
        "/prds/{id}/verdict",
        "/prds/{id}/cancel",
        "/jobs",
        "/jobs/{id}",
        "/jobs/{id}/events",
        "/jobs/{id}/artifacts",
        "/jobs/{id}/runs",
        "/jobs/{id}/claim",
        "/jobs/claim",
        "/jobs/heartbeat",
        "/jobs/{id}/heartbeat",
        "/jobs/{id}/report",
        "/jobs/{id}/release",
        "/jobs/{id}/validate",
        "/models",
        "/models/{name}/register",
        "/models/{name}/artifact",
        "/models/{name}/artifacts",
        "/models/{name}/hold",
        "/models/{name}/release",
        "/promotions",
        "/audit",
        "/audit/verify",
        "/alerts",
        "/events",
        "/healthz",
        "/readyz",
    ] {
        assert!(description["paths"][path].is_object(), "{path} is not described");
    }
    assert_eq!(house.get("/healthz").await.accepted(200)["status"], "ok");
    assert_eq!(house.get("/readyz").await.accepted(200)["status"], "ready");
    house.close().await;
}

#[tokio::test]
async fn a_stopping_orchestra_is_alive_but_not_ready_and_takes_no_work() {
    let house = with_models(&["a"]).await;
    house.orchestra.stop().await;
    assert_eq!(house.get("/healthz").await.status, 200);
    let refusal = house.get("/readyz").await;
    refusal.refused(503);
    assert_eq!(refusal.header("retry-after"), Some("5"));
    house.post("/prds", &json!({ "prompt": "x" })).await.refused(503);
    house.get("/events").await.refused(503);
    house.close().await;
}
