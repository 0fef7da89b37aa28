//! Two HR passes that decided by the same window write one decision.

use std::time::Duration;

use aura_core::{
    HrAction, ModelScore, Standing, StoreError,
    contract::{
        AuditStore, DutyStore, ModelStore, Store,
        store::{Duty, StandingChange},
    },
    ids::NodeId,
};
use aura_store::PgStore;
use chrono::Utc;
use std::sync::Arc;

use crate::scene::Scene;

/// The store as the node writes to it that has HR's duty for so long.
async fn on_duty(store: &PgStore, lease: Duration) -> Arc<dyn Store> {
    let terms = store.keep_duties(&NodeId::fresh(), lease).await.unwrap().unwrap();
    store.on_duty(terms.iter().find(|term| term.duty == Duty::Hr).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_passes_at_the_same_time_the_one_whose_term_is_over_writes_nothing() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let mut models = Vec::new();
    for n in 0..20 {
        models.push(scene.model(&format!("m{n}")).await);
    }
    let stale = on_duty(&scene.store, Duration::ZERO).await;
    let valid = on_duty(&other, Duration::from_secs(60)).await;
    let end = Utc::now();
    let mut decided = 0;
    for model in &models {
        let change = [StandingChange {
            model: model.id,
            from: Standing::Trial,
            action: HrAction::Promote,
            reason: "mean 0.900 over 4 runs in 30 days".to_owned(),
        }];
        let score = [ModelScore {
            model_id: model.id,
            window_start: end - Duration::from_secs(60),
            window_end: end,
            avg_score: None,
            tasks_completed: 4,
            promotions: 1,
            penalties: 0,
        }];
        let (refused, answers, no_row, row) = tokio::join!(
            stale.change_standings(&change),
            valid.change_standings(&change),
            stale.record_scores(&score),
            valid.record_scores(&score),
        );
        for refused in [refused.map(drop), no_row] {
            assert!(matches!(refused, Err(StoreError::Conflict { what: "duty", .. })), "{refused:?}");
        }
        answers.unwrap().remove(0).unwrap();
        row.unwrap();
        decided += 1;
        assert_eq!(scene.store.promotions(None, 99).await.unwrap().len(), decided);
        assert_eq!(scene.number("SELECT count(*) FROM model_scores").await, i64::try_from(decided).unwrap());
    }
    let audit = scene.store.audit(aura_core::AuditSeq(0), 999).await.unwrap();
    assert_eq!(audit.iter().filter(|entry| entry.action == "model.standing").count(), decided);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_passes_with_one_term_the_second_is_told_to_decide_again() {
    let scene = Scene::new().await;
    let (one, other) = (scene.store.clone(), scene.node().await);
    for n in 0..20 {
        let model = scene.model(&format!("m{n}")).await;
        let change = [StandingChange {
            model: model.id,
            from: Standing::Trial,
            action: HrAction::Demote,
            reason: "mean 0.100 over 4 runs in 30 days".to_owned(),
        }];
        let (a, b) = tokio::join!(one.change_standings(&change), other.change_standings(&change));
        let answers = [a.unwrap().remove(0), b.unwrap().remove(0)];
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        let late = answers.into_iter().find_map(Result::err).unwrap();
        assert!(matches!(&late, StoreError::Conflict { what: "model", .. }), "{late:?}");
        assert_eq!(scene.store.promotions(None, 99).await.unwrap().len(), n + 1);
    }
}
