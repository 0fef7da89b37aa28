//! The door itself: which bodies, hosts and paths it takes, and what it says when it does not.

use std::time::Duration;

use aura_orchestra::{http::HttpOptions, prelude::*};
use serde_json::json;

use crate::{manager, raw_http::House, with_models};

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
