//! Promises about employed models and what HR decides about them.

use std::time::Duration;

use chrono::DateTime;
use futures::future::join_all;

use super::scene::{Scene, assert_conflict, only, profile};
use crate::{
    Actor, HrAction, ModelProfile, ModelScore, Score, Standing, StoreError, conformance::StoreHarness,
    contract::store::StandingChange,
};

/// A new model is active and on trial.
pub async fn a_name_is_registered_once(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.store.register(&profile("m"), &Actor::operator()).await.expect("registered");
    assert_eq!((model.is_active, model.standing, &model.hold), (true, Standing::Trial, &None));
    assert_conflict(scene.store.register(&profile("m"), &Actor::operator()).await, "m");
    assert_eq!(scene.store.models().await.expect("readable"), [model]);
}

/// A restart with other settings takes nothing away that was earned.
pub async fn employing_again_keeps_number_standing_and_hold(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    scene.store.set_hold(model.id, Some("moving".to_owned()), &Actor::operator()).await.expect("held");
    change(&scene, &model, HrAction::Promote).await.expect("promoted");
    let entries = scene.audit().await.len();
    let moved = ModelProfile { concurrency: 4, ..profile("m") }.endpoint("http://127.0.0.1:1");
    let again = scene.store.employ(&moved).await.expect("employed");
    assert_eq!((again.id, again.standing, again.hold.as_deref()), (model.id, Standing::Senior, Some("moving")));
    assert_eq!(again.profile, moved);
    let written = scene.audit().await.len();
    scene.store.employ(&moved).await.expect("employed");
    assert_eq!(scene.audit().await.len(), written, "nothing changed, so nothing is written");
    assert!(written >= entries);
}

/// Every node sees who is worked for; the note is no step of anybody, so the log stays as it is.
pub async fn asking_for_a_models_jobs_is_noted_by_the_stores_clock(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    assert_eq!((a.asked_at, b.asked_at), (None, None));
    let entries = scene.audit().await.len();
    let asked = async || -> Vec<_> {
        scene.store.models().await.expect("readable").into_iter().map(|model| model.asked_at).collect()
    };
    scene.store.attend(&[b.id, crate::ModelId(99)]).await.expect("noted, and the unknown one ignored");
    let [None, Some(first)] = asked().await[..] else { panic!("{:?}", asked().await) };
    scene.advance(Duration::from_secs(7)).await;
    scene.store.attend(&[a.id, b.id]).await.expect("noted");
    let [Some(of_a), Some(of_b)] = asked().await[..] else { panic!("{:?}", asked().await) };
    assert!(of_a == of_b && of_b - first >= chrono::TimeDelta::seconds(7), "{first} {of_a} {of_b}");
    if let Some(now) = scene.store.now().await.expect("told") {
        assert!(
            now >= of_b && now - of_b < chrono::TimeDelta::seconds(60),
            "it writes by another clock: {now}, {of_b}"
        );
    }
    scene.store.employ(&profile("b")).await.expect("employed again");
    assert_eq!(asked().await[1], Some(of_b), "employing keeps it");
    assert_eq!(scene.audit().await.len(), entries);
}

async fn change(scene: &Scene<'_>, model: &crate::Model, action: HrAction) -> Result<crate::Promotion, StoreError> {
    let reason = "mean 0.9 over 5 runs".to_owned();
    let change = StandingChange { model: model.id, from: model.standing, action, reason };
    only(scene.store.change_standings(&[change]).await.expect("a batch"))
}

/// Two HRs that saw the same figures decide once.
pub async fn a_standing_is_changed_by_one_of_twenty(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let answers = join_all((0..20).map(|_| change(&scene, &model, HrAction::Demote))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let demoted = scene.store.models().await.expect("readable").pop().expect("one model");
    assert_eq!((demoted.standing, demoted.is_active), (Standing::Suspended, false));
    assert_eq!(scene.store.promotions(None, 10).await.expect("readable").len(), 1);
    change(&scene, &demoted, HrAction::Restore).await.expect("restored");
    let restored = scene.store.models().await.expect("readable").pop().expect("one model");
    assert_eq!((restored.standing, restored.is_active), (Standing::Member, true));
}

/// The newest figures win.
pub async fn what_hr_saw_last_is_kept_for_each_model(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    let seen = |model: &crate::Model, runs, mean: f64| ModelScore {
        model_id: model.id,
        window_start: DateTime::UNIX_EPOCH,
        window_end: DateTime::UNIX_EPOCH + std::time::Duration::from_secs(runs),
        avg_score: Some(Score::new(mean).expect("in range")),
        tasks_completed: runs,
        promotions: 1,
        penalties: 2,
    };
    scene.store.record_scores(&[seen(&a, 1, 0.1), seen(&b, 1, 0.2)]).await.expect("stored");
    scene.store.record_scores(&[seen(&a, 2, 0.3)]).await.expect("stored");
    let mut latest = scene.store.latest_scores().await.expect("readable");
    latest.sort_by_key(|score| score.model_id);
    assert_eq!(latest, [seen(&a, 2, 0.3), seen(&b, 1, 0.2)]);
}

/// Pages put together are all decisions, once.
pub async fn promotions_are_paged_newest_first(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    for n in 0..5 {
        let model = scene.model(&format!("m{n}")).await;
        change(&scene, &model, HrAction::Promote).await.expect("promoted");
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = scene.store.promotions(before, 2).await.expect("readable");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|promotion| promotion.id));
    }
    assert!(seen.len() == 5 && seen.is_sorted_by(|a, b| a > b), "{seen:?}");
}
