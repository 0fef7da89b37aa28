//! Bad settings end the worker with exit code 2 and one line that says what is wrong and how to mend it.

use std::process::Command;

use crate::worker::{Worker, manager, program};

fn refusal(settings: &[(&str, &str)]) -> String {
    let output = Command::new(program()).env_clear().envs(settings.iter().copied()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{settings:?}: {said}");
    said
}

#[test]
fn each_bad_setting_is_named_and_no_secret_is() {
    for (settings, named) in [
        (("MODEL_BACKEND", "nonsense"), "MODEL_BACKEND"),
        (("AURA_PROMPTS", "no/such/folder"), "AURA_PROMPTS"),
        (("AURA_PRICES", "no/such/file"), "AURA_PRICES"),
        (("AURA_BUDGET_USD_PER_DAY", "-1"), "AURA_BUDGET_USD_PER_DAY=2.50"),
        (("AURA_BUDGET_TOKENS_PER_DAY", "many"), "AURA_BUDGET_TOKENS_PER_DAY"),
        (("MODEL_BACKEND", ""), "ollama, openai, gemini or offline"),
        (("MANAGER_URL", "nowhere"), "MANAGER_URL"),
        (("MANAGER_URL", "http://user:canary@host"), "MANAGER_URL"),
        (("MANAGER_URL", "ftp://host"), "http://127.0.0.1:8000"),
        (("AURA_TOKEN", "canary\ncanary"), "AURA_TOKEN"),
        (("WORKER_ID", "two words"), "WORKER_ID"),
        (("WORKER_CONCURRENCY", "0"), "WORKER_CONCURRENCY"),
        (("WORKER_CONCURRENCY", "70000"), "1 to 1000"),
        (("WORKER_CONCURRENCY", "many"), "WORKER_CONCURRENCY=1"),
        (("WORKER_GRACE", "-1"), "WORKER_GRACE"),
        (("WORKER_MODEL_NAME", "two words"), "two words"),
        (("OFFLINE_SKILL", "lazy"), "careful, hasty or sloppy"),
        (("OFFLINE_LATENCY", "NaN"), "OFFLINE_LATENCY"),
    ] {
        let said = refusal(&[("MODEL_BACKEND", "offline"), settings]);
        assert!(said.contains(named), "{settings:?}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn an_address_where_no_manager_answers_but_something_else_does_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    // Every path below this one is unknown to the manager, as it would be to any other server.
    let said = refusal(&[("MODEL_BACKEND", "offline"), ("MANAGER_URL", &format!("{}/elsewhere", server.url))]);
    assert!(said.contains("MANAGER_URL"), "{said}");
}

#[tokio::test]
async fn a_name_that_is_another_models_is_refused_so_that_no_scores_are_mixed() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let hasty = serde_json::json!({ "provider": "offline", "model": "hasty" });
    assert_eq!(server.post("/models/employee_offline/register", &hasty).await.0, 201);
    let careful =
        [("MODEL_BACKEND", "offline"), ("OFFLINE_SKILL", "careful"), ("WORKER_MODEL_NAME", "employee_offline")];
    let said = refusal(&[careful.as_slice(), &[("MANAGER_URL", &server.url)]].concat());
    assert!(said.contains("WORKER_MODEL_NAME") && said.contains("careful of offline"), "{said}");
}

#[tokio::test]
async fn a_host_of_ollamas_without_a_port_is_asked_at_ollamas_own() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let settings = [("MODEL_BACKEND", "ollama"), ("OLLAMA_HOST", "127.0.0.1")];
    let worker = Worker::start(folder.path(), &server.url, "asks", &settings);
    worker.says("employee_ollama is registered");
    let (_, models) = server.get("/models").await;
    assert_eq!(models[0]["endpoint"], "http://127.0.0.1:11434", "{models}");
}

#[test]
fn help_names_every_variable() {
    let output = Command::new(program()).arg("--help").env_clear().output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in ["MANAGER_URL", "MODEL_BACKEND", "WORKER_ID", "WORKER_CONCURRENCY", "OLLAMA_HOST", "OPENAI_API_KEY"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(output.status.success());
}
