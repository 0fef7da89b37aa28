//! PRDs and jobs: submitted once, listed, called off, and refused by the field that is wrong.

use serde_json::json;

use crate::{TESTS, with_models};

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
async fn what_is_right_for_cases_is_shown_with_the_prd_and_never_with_a_job() {
    let house = with_models(&["a"]).await;
    let call = json!({ "function": { "language": "python", "file": "solution.py", "name": "add" } });
    let tests = json!({ "call": call, "cases": [{ "args": [1, 2], "expected": "canary" }] });
    let prd = house.post("/prds", &json!({ "prompt": "Write add(a, b)", "tests": tests })).await.accepted(201);
    assert_eq!(prd["tests"]["cases"][0]["expected"], "canary");
    let id = prd["jobs"][0]["id"].as_str().expect("an id").to_owned();
    let claimed = loop {
        let answer = house.post(&format!("/jobs/{id}/claim"), &json!("w1")).await;
        if answer.status == 200 {
            break answer;
        }
    };
    for answer in [claimed, house.get(&format!("/jobs/{id}")).await, house.get("/jobs").await] {
        let text = answer.json().to_string();
        assert!(text.contains(&id) && !text.contains("canary"), "{text}");
    }
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
