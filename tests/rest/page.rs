//! What people look at: the page, the description of the calls, alerts and the trail.

use aura_orchestra::{http::HttpOptions, prelude::*};
use serde_json::{Value, json};

use crate::{assigned, raw_http::House, with_models};

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
