//! Models: registered, listed, held and released.

use serde_json::{Value, json};

use crate::manager;

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
