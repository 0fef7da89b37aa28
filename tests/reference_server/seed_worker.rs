//! A worker written against the user's document alone: it polls, claims with a bare string, uploads, reports; no heartbeat,
//! no token.

use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Server;

const TESTS: &str = "from solution import add\ndef test_add(): assert add(1, 2) == 3\n";

async fn manager(folder: &std::path::Path) -> (Server, String) {
    let server = Server::start(folder, &[("AURA_WORKERS", "0"), ("AURA_ALLOW_UNSANDBOXED", "1")]);
    for name in ["employee_ollama", "employee_openai"] {
        let (status, answer) =
            server.post(&format!("/models/{name}/register"), &json!({ "kind": "local", "endpoint": "" })).await;
        assert_eq!(status, 201, "{answer}");
    }
    let submission = json!({ "title": "add", "prompt": "Write add(a, b)", "tests": TESTS, "language": "python" });
    let (status, job) = server.post("/jobs", &submission).await;
    assert_eq!(status, 201, "{job}");
    (server, job["id"].as_str().expect("an id").to_owned())
}

#[tokio::test]
async fn it_drives_a_job_from_submit_to_validated() {
    let folder = tempfile::tempdir().expect("folder");
    let (server, id) = manager(folder.path()).await;
    let assigned = |jobs: &Value| jobs.as_array().is_some_and(|jobs| jobs.iter().any(|job| job["id"] == id.as_str()));
    let jobs = server.until("/jobs?status=ASSIGNED", Duration::from_secs(10), assigned).await;
    let job = jobs.as_array().expect("a bare array").iter().find(|job| job["id"] == id.as_str()).expect("ours").clone();
    let name = job["assigned_model"].as_str().expect("a model").to_owned();
    assert_eq!(job["prompt"], "Write add(a, b)");

    let (status, claimed) = server.post(&format!("/jobs/{id}/claim"), &json!("worker-1")).await;
    assert_eq!(status, 200, "{claimed}");
    let (status, problem) = server.post(&format!("/jobs/{id}/claim"), &json!("worker-2")).await;
    assert_eq!(status, 409, "{problem}");

    let piece = json!({ "job_id": id, "artifact_type": "result",
                        "artifact": { "output": "```python\ndef add(a, b):\n    return a + b\n```" } });
    let other = if name == "employee_ollama" { "openai" } else { "ollama" };
    let (status, problem) = server.post(&format!("/models/{other}/artifact"), &piece).await;
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains(&name)),
        "it says whose job it is: {problem}"
    );

    let short = name.strip_prefix("employee_").expect("a short name");
    let (status, answer) = server.post(&format!("/models/{short}/artifact"), &piece).await;
    assert_eq!(status, 201, "{answer}");
    let report = json!({ "worker_id": "worker-1", "success": true, "details": { "self_confidence": 0.8 } });
    let (status, answer) = server.post(&format!("/jobs/{id}/report"), &report).await;
    assert_eq!(status, 200, "{answer}");

    let ended = |job: &Value| job["status"] == "VALIDATED";
    server.until(&format!("/jobs/{id}"), Duration::from_secs(30), ended).await;
    let (_, runs) = server.get(&format!("/jobs/{id}/runs")).await;
    assert_eq!(runs[0]["details"]["signals"]["test_score"], 1.0, "{runs}");
    assert_eq!(runs[0]["confidence"], 0.8, "{runs}");
}

#[tokio::test]
async fn what_it_may_not_do_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("folder");
    let (server, id) = manager(folder.path()).await;
    for (path, body, expected) in [
        (
            "/models/nobody/artifact".to_owned(),
            json!({ "job_id": id, "artifact_type": "result", "artifact": "x" }),
            404,
        ),
        ("/models/employee_ollama/register".to_owned(), json!({ "kind": "local", "endpoint": "" }), 409),
        (format!("/jobs/{id}/report"), json!({ "worker_id": "stranger", "success": true, "details": {} }), 409),
        (format!("/jobs/{id}/claim"), json!({ "nothing": 1 }), 422),
        (format!("/jobs/{}/claim", uuid::Uuid::new_v4()), json!("worker-1"), 404),
        ("/jobs".to_owned(), json!({ "prompt": "x".repeat(10 << 20) }), 422),
        ("/prds".to_owned(), json!({ "prompt": "x", "plan": { "panel": 9 } }), 422),
    ] {
        let (status, problem) = server.post(&path, &body).await;
        assert_eq!(status, expected, "{path}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}: {problem}");
    }
    let (_, job) = server.get(&format!("/jobs/{id}")).await;
    assert!(["QUEUED", "ASSIGNED"].contains(&job["status"].as_str().unwrap_or_default()), "nothing changed: {job}");
}
