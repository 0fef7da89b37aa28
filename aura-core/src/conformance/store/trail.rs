//! Promises about the audit log, the events of a job, and the alerts.

use std::time::Duration;

use serde_json::json;

use super::scene::{LEASE, Scene, only, proof, report};
use crate::{
    Action, Actor, JobId, NewAlert, Severity,
    audit::{ChainCheck, NewEntry},
    conformance::StoreHarness,
    contract::{Release, store::Next},
    ids::AuditSeq,
};

fn flag(job: JobId, rule: &str) -> NewAlert {
    NewAlert { job_id: Some(job), severity: Severity::Warning, rule: Some(rule.to_owned()), reason: "why".to_owned() }
}

/// Nothing happens to a job that its history and the log do not tell.
pub async fn each_change_of_state_has_one_event_and_one_audit_entry(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.claimed(&model).await;
    scene.upload(&job, &model, "w", None).await.expect("stored");
    let release = Release {
        proof: proof(&job, "w"),
        reason: "busy".to_owned(),
        retry_after: None,
        blameless: false,
        unbilled: false,
    };
    only(scene.store.release(&[release]).await.expect("a batch")).expect("released");
    scene.assign(job.id, &model).await.expect("assigned");
    only(scene.store.unassign(&[job.id], "held").await.expect("a batch")).expect("unassigned");
    scene.assign(job.id, &model).await.expect("assigned");
    let second = scene.claim(job.id, "w").await.expect("claimed");
    scene.report(&report(proof(&second, "w"), json!({}))).await.expect("reported");
    let submitted = scene.job(job.id).await;
    scene.judge(&submitted, 0.1, Next::Fail { reason: "tests".to_owned() }).await.expect("judged");
    // The submission is one entry, which names the jobs; each of their histories begins with it.
    assert_eq!(scene.count(job.id, Action::JobQueued).await, (0, 1));
    assert_eq!(scene.count(job.id, Action::PrdSubmitted).await, (1, 0));
    for (action, times) in [
        (Action::JobAssigned, 3),
        (Action::JobUnassigned, 1),
        (Action::JobClaimed, 2),
        (Action::ArtifactStored, 1),
        (Action::JobRequeued, 1),
        (Action::JobSubmitted, 1),
        (Action::RunScored, 1),
        (Action::TestFailed, 1),
        (Action::JobFailed, 1),
        (Action::JobValidated, 0),
    ] {
        assert_eq!(scene.count(job.id, action).await, (times, times), "{action}");
    }
    let events = scene.store.job_events(job.id).await.expect("readable");
    assert!(events.is_sorted_by_key(|event| event.id), "oldest first");
}

/// What a worker does with several jobs in one call is one entry that names them all, and a line in the history of each.
pub async fn a_claim_of_several_jobs_has_one_entry_and_an_event_in_each_history(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    for _ in 0..3 {
        scene.assigned(&model).await;
    }
    let jobs: Vec<_> = scene.claim_any(&[&model], "w", 5).await.into_iter().map(|claimed| claimed.job).collect();
    assert_eq!(jobs.len(), 3);
    let reports: Vec<_> = jobs.iter().take(2).map(|job| report(proof(job, "w"), json!({}))).collect();
    for answer in scene.store.report(&reports).await.expect("a batch") {
        answer.expect("reported");
    }
    let named = |entries: &[crate::AuditEntry], action: Action| -> Vec<usize> {
        let of_action = entries.iter().filter(|entry| entry.action == action.as_str());
        of_action.map(|entry| entry.job_ids().count()).collect()
    };
    let entries = scene.audit().await;
    assert_eq!(named(&entries, Action::JobClaimed), [3]);
    assert_eq!(named(&entries, Action::JobSubmitted), [2]);
    for job in &jobs {
        assert_eq!(scene.count(job.id, Action::JobClaimed).await, (1, 1));
    }

    // A job that comes back keeps the lines of the claim before.
    let third = jobs.last().expect("three");
    let release = Release {
        proof: proof(third, "w"),
        reason: "busy".to_owned(),
        retry_after: None,
        blameless: false,
        unbilled: false,
    };
    only(scene.store.release(&[release]).await.expect("a batch")).expect("released");
    assert_eq!(scene.count(third.id, Action::JobClaimed).await, (1, 1));
    scene.assign(third.id, &model).await.expect("assigned");
    scene.claim(third.id, "w").await.expect("claimed");
    assert_eq!(scene.count(third.id, Action::JobClaimed).await, (2, 2));
    for job in jobs.iter().take(2) {
        assert_eq!(scene.count(job.id, Action::JobClaimed).await, (1, 1));
        assert_eq!(scene.count(job.id, Action::JobSubmitted).await, (1, 1));
    }
}

/// The places have no gap, and pages of any size are the whole chain.
pub async fn the_chain_has_no_gap_and_verifies(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    assert_eq!(scene.store.audit_range().await.expect("readable"), None);
    let model = scene.model("m").await;
    let job = scene.submitted(&model).await;
    scene.judge(&job, 1.0 / 3.0, Next::Validate).await.expect("judged");
    scene.store.raise(&flag(job.id, "rule"), &Actor::auditor()).await.expect("raised");
    let details = json!({ "float": 0.1 + 0.2, "big": 1e300, "text": "\u{1f980}\n", "b": 1, "a": [true, null] });
    let entry = NewEntry { actor: Actor::operator(), action: Action::OrchestraStarted, details: details.clone() };
    scene.store.append(&[entry]).await.expect("written");
    let mut check = ChainCheck::default();
    loop {
        let page = scene.store.audit(check.last(), 3).await.expect("readable");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3 && check.extend(&page), "{page:?}");
    }
    let report = check.finish();
    assert_eq!(report.first_bad, None);
    let last = scene.audit().await.pop().expect("an entry");
    assert_eq!(last.details, details);
    assert_eq!(report.checked, u64::try_from(last.seq.0).expect("positive"));
    assert_eq!(scene.store.audit_range().await.expect("readable"), Some((AuditSeq(1), last.seq)));
}

/// One open flag a job and rule; moving on closes it.
pub async fn a_flag_is_raised_once_until_the_state_changes(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.assigned(&model).await;
    let raise = async |rule| scene.store.raise(&flag(job, rule), &Actor::auditor()).await.expect("readable").is_some();
    assert!(raise("silent").await);
    assert!(!raise("silent").await);
    assert!(raise("failing").await, "another rule is another flag");
    assert_eq!(scene.count(job, Action::AuditFlag).await, (2, 2));
    scene.claim(job, "w").await.expect("claimed");
    assert!(raise("silent").await);
    let free = NewAlert { job_id: None, severity: Severity::Info, rule: None, reason: "by hand".to_owned() };
    for _ in 0..2 {
        assert!(scene.store.raise(&free, &Actor::operator()).await.expect("stored").is_some(), "no rule, no flag");
    }
    assert!(scene.store.raise(&flag(JobId::new(), "r"), &Actor::auditor()).await.is_err(), "an unknown job");
    assert_eq!(scene.store.alerts(None, 100).await.expect("readable").len(), 5);
}

/// Pages put together are all alerts, once.
pub async fn alerts_are_paged_newest_first(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    for n in 0..5 {
        let alert = NewAlert { job_id: None, severity: Severity::Critical, rule: None, reason: format!("alert {n}") };
        scene.store.raise(&alert, &Actor::operator()).await.expect("stored").expect("new");
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = scene.store.alerts(before, 2).await.expect("readable");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.into_iter().map(|alert| alert.content.reason));
    }
    assert_eq!(seen, ["alert 4", "alert 3", "alert 2", "alert 1", "alert 0"]);
}

/// Silence is measured from the last sign of life and ends with the job.
pub async fn a_job_without_a_sign_of_life_is_silent(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let (quiet, beating) = (scene.prd(1).await.jobs[0], scene.claimed(&model).await);
    let ended = scene.submitted(&model).await;
    scene.judge(&ended, 0.9, Next::Validate).await.expect("judged");
    let began = scene.job(quiet).await.updated_at;
    scene.advance(LEASE / 2).await;
    only(scene.store.heartbeat(&[proof(&beating, "w")], LEASE).await.expect("a batch")).expect("extended");
    let silent = scene.store.silent_jobs(began, 10).await.expect("readable");
    assert_eq!(silent.iter().map(|job| job.id).collect::<Vec<_>>(), [quiet]);
    let earlier = began - Duration::from_secs(1);
    assert_eq!(scene.store.silent_jobs(earlier, 10).await.expect("readable"), []);
}

/// Failures count from the last artifact on; an older one does not.
pub async fn test_failures_without_new_writes_are_counted(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let id = scene.assigned(&model).await;
    let since = scene.job(id).await.created_at;
    let fail = async |write: bool| {
        let claimed = scene.claim(id, "w").await.expect("claimed");
        scene.advance(Duration::from_secs(1)).await;
        if write {
            scene.upload(&claimed, &model, "w", None).await.expect("stored");
        }
        scene.advance(Duration::from_secs(1)).await;
        scene.report(&report(proof(&claimed, "w"), json!({}))).await.expect("reported");
        let job = scene.job(id).await;
        scene.judge(&job, 0.1, Next::Retry { reason: "tests".to_owned() }).await.expect("judged");
    };
    let failing = async |more_than| scene.store.failing_jobs(since, more_than).await.expect("readable");
    fail(false).await;
    scene.assign(id, &model).await.expect("assigned");
    fail(false).await;
    assert_eq!(failing(1).await, [(id, 2)]);
    assert_eq!(failing(2).await, []);
    scene.assign(id, &model).await.expect("assigned");
    fail(true).await;
    assert_eq!(failing(0).await, [(id, 1)], "those before the new write are forgiven");
}

/// A hint: it comes when something was written, and at the latest when its time is over.
pub async fn waiting_for_a_change_ends_with_it_or_with_its_time(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    scene.model("m").await;
    let head = scene.audit().await.pop().expect("an entry").seq;
    let long = Duration::from_secs(600);
    tokio::time::timeout(long, scene.store.changed(AuditSeq(0), long * 2)).await.expect("it is there already");
    tokio::time::timeout(long, scene.store.changed(head, Duration::from_millis(20))).await.expect("its time is over");
    let wait = scene.store.changed(head, long * 2);
    let write = scene.model("another");
    tokio::time::timeout(long, async { tokio::join!(wait, write) }).await.expect("it wakes");
}
