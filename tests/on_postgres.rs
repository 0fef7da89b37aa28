//! Engines on PostgreSQL: nothing is found by looking again after a while, so every job is begun and judged because somebody was told of it.

use std::time::Duration;

use async_trait::async_trait;
use aura_orchestra::{
    core::{
        audit::Action,
        contract::{AdapterError, AuditStore as _},
        ids::AuditSeq,
    },
    prelude::*,
};
use aura_testbed::PrivatePostgres;
use futures::future::join_all;

/// All must be over before anybody looks again.
const POLL: Duration = Duration::from_secs(60);

/// Answers at once.
#[derive(Debug)]
struct Quick(ModelProfile);

#[async_trait]
impl ModelAdapter for Quick {
    fn profile(&self) -> &ModelProfile {
        &self.0
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        Ok(Generation::from_answer("done", request.language))
    }
}

/// Some of them are given away before anybody has looked for them, and some are not stored yet when others are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_come_together_are_all_begun_once_and_judged_without_waiting() {
    let url = PrivatePostgres::shared().create_database().expect("a database");
    let store = PgStore::open(&url).await.expect("the store opens");
    let profile = ModelProfile::new("quick", ModelKind::Cloud, "test", "quick").expect("a name").concurrency(3);
    let settings = Settings { poll: POLL, attendance: POLL * 3, ..Settings::default() };
    let builder = Orchestra::builder().store(store.clone()).settings(settings).scorer(FormulaScorer::default());
    let orchestra = builder.workers(4).employ(Quick(profile)).start().await.expect("starts");
    let mut prds = 0;
    let rounds = async {
        for round in 0..60 {
            let together = 1 + round % 5;
            join_all((0..together).map(|_| async {
                let prd = orchestra.submit(NewPrd::new("be quick")).await.expect("accepted");
                orchestra.verdict(prd.id).await.expect("a verdict")
            }))
            .await;
            prds += together;
        }
    };
    tokio::time::timeout(POLL - Duration::from_secs(2), rounds).await.expect("nobody waits for the next look");
    orchestra.stop().await;
    let entries = store.audit(AuditSeq(0), 10_000).await.expect("the log");
    let count = |action: Action| entries.iter().filter(|entry| entry.action == action.as_str()).count();
    for action in [Action::PrdSubmitted, Action::JobAssigned, Action::JobClaimed, Action::PrdSettled] {
        assert_eq!(count(action), prds, "{action}");
    }
    store.close().await;
}
