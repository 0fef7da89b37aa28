//! A verb whose audit entry cannot be written changes nothing at all.

use aura_core::{
    Action, Actor, HrAction, NewAlert, NewArtifact, Outcome, Severity, Spent, Standing, StoreError, Verdict,
    audit::NewEntry,
    contract::{
        AuditStore, JobStore, ModelStore, Release, RunStore,
        store::{ArtifactBatch, Assignment, Claim, StandingChange, Wanted},
    },
    job::Door,
};
use chrono::DateTime;
use serde_json::json;

use crate::scene::{LEASE, Scene, accept, new_prd, profile, report, worker};

/// Runs a verb, which has to fail, and looks whether it left a trace.
macro_rules! leaves_nothing {
    ($scene:expr, $verb:expr) => {{
        let before = $scene.dump().await;
        let outcome = $verb.await;
        assert!(matches!(outcome, Err(StoreError::Backend { .. })), "{}: {outcome:?}", stringify!($verb));
        assert_eq!($scene.dump().await, before, "{} left something behind", stringify!($verb));
    }};
}

const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no'); END";

#[tokio::test]
async fn no_verb_leaves_anything_behind_when_the_audit_log_refuses() {
    let scene = Scene::new().await;
    let store = &scene.store;
    let (model, free) = (scene.model("m").await, scene.model("free").await);
    let ended = scene.in_progress(&model).await;
    scene.clock.advance(LEASE);
    let queued = scene.prd(1).await;
    let assigned = scene.prd(1).await.jobs[0];
    scene.assign(assigned, &model).await;
    let held = scene.in_progress(&model).await;
    let submitted = scene.submitted(&model).await;
    scene.sql(REFUSE).await.unwrap();

    let operator = Actor::operator();
    let assignments = [Assignment { job: queued.jobs[0], model: free.id, probe: false, reason: json!({}) }];
    let claim = |wanted| Claim { worker: worker("w2"), door: Door::Remote, wanted, lease: LEASE };
    let releases = [Release {
        proof: held.clone(),
        reason: "tired".to_owned(),
        retry_after: None,
        blameless: false,
        unbilled: false,
    }];
    let pieces = [ArtifactBatch {
        job: held.job,
        model: model.id,
        worker: Some(held.worker.clone()),
        token: held.token,
        items: vec![NewArtifact::docs("x")],
    }];
    let verdicts = [Verdict {
        spent: Spent::default(),
        prd: submitted.prd_id,
        outcome: Outcome::NobodyWon,
        entries: Vec::new(),
        why: String::new(),
        settled_at: DateTime::UNIX_EPOCH,
    }];
    let demotions = [StandingChange {
        model: model.id,
        from: Standing::Trial,
        action: HrAction::Demote,
        reason: "a test".to_owned(),
    }];
    let alert = |rule: Option<&str>| NewAlert {
        job_id: Some(ended.job),
        severity: Severity::Warning,
        rule: rule.map(str::to_owned),
        reason: "silent".to_owned(),
    };
    let entry = NewEntry { actor: Actor::hr(), action: Action::OrchestraStarted, details: json!({}) };

    leaves_nothing!(scene, store.submit(&[new_prd(2)]));
    leaves_nothing!(scene, store.assign(&assignments));
    leaves_nothing!(scene, store.unassign(&[assigned], "because"));
    leaves_nothing!(scene, store.claim(&claim(Wanted::Job(assigned))));
    leaves_nothing!(scene, store.claim(&claim(Wanted::Any { models: vec![model.id], max: 9 })));
    leaves_nothing!(scene, store.report(&[report(&held)]));
    leaves_nothing!(scene, store.release(&releases));
    leaves_nothing!(scene, store.expire(9));
    leaves_nothing!(scene, store.add_artifacts(&pieces, LEASE));
    leaves_nothing!(scene, store.judge(&[accept(&submitted, 0.5)]));
    leaves_nothing!(scene, store.settle(&verdicts));
    leaves_nothing!(scene, store.cancel(queued.id, &operator, "changed my mind"));
    leaves_nothing!(scene, store.register(&profile("new"), &operator));
    leaves_nothing!(scene, store.employ(&profile("new")));
    leaves_nothing!(scene, store.employ(&profile("m").endpoint("elsewhere")));
    leaves_nothing!(scene, store.set_hold(model.id, Some("stop".to_owned()), &operator));
    leaves_nothing!(scene, store.change_standings(&demotions));
    leaves_nothing!(scene, store.raise(&alert(None), &operator));
    leaves_nothing!(scene, store.raise(&alert(Some("silent")), &Actor::auditor()));
    leaves_nothing!(scene, store.append(&[entry]));

    // The same calls go through once the log takes entries again, so none failed for another reason.
    scene.sql("DROP TRIGGER refuse").await.unwrap();
    store.expire(9).await.unwrap();
    store.unassign(&[assigned], "because").await.unwrap().remove(0).unwrap();
    store.add_artifacts(&pieces, LEASE).await.unwrap().remove(0).unwrap();
    store.release(&releases).await.unwrap().remove(0).unwrap();
    store.judge(&[accept(&submitted, 0.5)]).await.unwrap().remove(0).unwrap();
    store.settle(&verdicts).await.unwrap().remove(0).unwrap();
    store.assign(&assignments).await.unwrap().remove(0).unwrap();
    store.change_standings(&demotions).await.unwrap().remove(0).unwrap();
    store.raise(&alert(Some("silent")), &Actor::auditor()).await.unwrap().unwrap();
    assert_eq!(scene.check_chain().await.first_bad, None);
}
