//! Workers and validators: claim, keep alive, hand in, hand back, judge.

use serde_json::{Value, json};

use crate::{CODE, House, TESTS, assigned, with_models};

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
    let many = vec!["ollama"; 1001];
    for call in ["/jobs/claim", "/jobs/heartbeat"] {
        let refusal = house.post(call, &json!({ "worker_id": "w1", "models": many })).await.refused(422);
        assert!(refusal.contains("1001 are named, at most 1000"), "{refusal}");
    }
    house.close().await;
}

/// A job from its submission to its one run, with these details in its worker's report.
async fn run_of(house: &House, details: &Value) -> Value {
    let (id, model) = assigned(house, json!({ "prompt": "Write add(a, b)", "tests": TESTS })).await;
    house.post(&format!("/jobs/{id}/claim"), &json!("w1")).await.accepted(200);
    let piece =
        json!({ "job_id": id, "artifact_type": "result", "artifact": "```python\ndef add(a, b): return 0\n```" });
    house.post(&format!("/models/{model}/artifact"), &piece).await.accepted(201);
    let report = json!({ "worker_id": "w1", "success": true, "details": details });
    house.post(&format!("/jobs/{id}/report"), &report).await.accepted(200);
    let runs = format!("/jobs/{id}/runs");
    house.until(&runs, |runs| runs.as_array().is_some_and(|runs| !runs.is_empty())).await[0].clone()
}

#[tokio::test]
async fn figures_that_a_worker_sends_of_its_own_work_are_refused_or_change_nothing() {
    let house = with_models(&["employee_ollama"]).await;
    let figures = json!({ "score": 1.0, "attainable": 1.0, "success": true, "strength": "split_process", "penalties": 0,
                          "signals": { "test_score": 1.0, "cross_model_agreement": 1.0, "docs_quality": 1.0 },
                          "tests": { "passed": 9, "total": 9, "coverage": 1.0 }, "forgeries": [], "counts": true });
    let (plain, claimed) = (run_of(&house, &json!({})).await, run_of(&house, &figures).await);
    for figure in ["score", "attainable", "success", "strength", "counts"] {
        assert_eq!(plain[figure], claimed[figure], "{figure}: {claimed}");
    }
    for figure in ["signals", "penalties"] {
        assert_eq!(plain["details"][figure], claimed["details"][figure], "{figure}: {claimed}");
    }
    assert_eq!(claimed["details"]["signals"]["cross_model_agreement"], Value::Null, "nobody else worked on it");
    assert_eq!((&claimed["success"], &claimed["details"]["signals"]["test_score"]), (&json!(false), &json!(0.0)));
    let id = claimed["job_id"].as_str().expect("an id");
    house.post(&format!("/jobs/{id}/runs"), &figures).await.refused(405);
    for nowhere in ["/model_runs", "/runs", "/model_scores", "/promotions"] {
        let answer = house.post(nowhere, &figures).await;
        assert!(matches!(answer.status, 404 | 405), "{nowhere}: {}", answer.status);
    }
    let row = json!({ "job_id": id, "artifact_type": "run", "artifact": figures });
    house.post("/models/ollama/artifact", &row).await.refused(422);
    assert_eq!(house.get(&format!("/jobs/{id}/runs")).await.json().as_array().map(Vec::len), Some(1));
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
async fn what_a_worker_tells_of_its_machine_is_shown_and_has_a_bound() {
    let house = with_models(&[]).await;
    let machine =
        |name: &str| json!({ "worker_id": "w1", "resources": { "gpus": [{ "name": name, "total": 2, "free": 1 }] } });
    house.post("/jobs/heartbeat", &machine("a card")).await.accepted(200);
    let refusal = house.post("/jobs/heartbeat", &machine(&"x".repeat(100_000))).await.refused(422);
    assert!(refusal.contains("resources"), "{refusal}");
    let overview = house.get("/overview").await.accepted(200);
    assert_eq!(overview["remote_workers"][0]["resources"]["gpus"][0]["name"], "a card", "{overview}");
    house.close().await;
}
