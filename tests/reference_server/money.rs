//! What was spent before a restart is spent after it, also where nobody knows how much it was.

use std::time::Duration;

use serde_json::json;

use crate::process::Server;

#[tokio::test]
async fn an_attempt_that_may_have_been_billed_counts_against_the_budget_of_the_day_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start(folder.path(), &[("AURA_WORKERS", "0")]);
    let model = json!({ "kind": "cloud", "endpoint": "" });
    server.post("/models/employee_openai/register", &model).await;
    for unbilled in [true, false] {
        let (status, job) = server.post("/jobs", &json!({ "prompt": "Write add(a, b)" })).await;
        assert_eq!(status, 201, "{job}");
        let path = format!("/jobs/{}", job["id"].as_str().expect("an id"));
        server.until(&path, Duration::from_secs(10), |job| job["status"] == "ASSIGNED").await;
        let (status, claimed) = server.post(&format!("{path}/claim"), &json!("worker-1")).await;
        assert_eq!(status, 200, "{claimed}");
        let release = json!({ "worker_id": "worker-1", "retry_after_ms": 600_000, "unbilled": unbilled });
        let (status, released) = server.post(&format!("{path}/release"), &release).await;
        assert_eq!(status, 200, "{released}");
    }
    server.kill();

    let nobody = "http://127.0.0.1:9/v1";
    let limits = [("OPENAI_BASE_URL", nobody), ("AURA_WORKERS", "1"), ("AURA_BUDGET_TOKENS_PER_DAY", "20000")];
    let server = Server::start(folder.path(), &limits);
    let (_, models) = server.get("/models").await;
    let model = models.as_array().expect("models").iter().find(|model| model["name"] == "employee_openai");
    let model = model.expect("it is hired");
    let budget =
        model["gates"].as_array().expect("gates").iter().find(|gate| gate["name"] == "budget").expect("a budget");
    let state = "16384 of 20000 tokens spent today, 0 of them held for calls under way";
    assert_eq!(budget["state"], state, "one of the two attempts: {model}");
}
