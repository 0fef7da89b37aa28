//! Several nodes on one database: nothing is done twice, duties change hands, and news travel.

use std::{collections::HashSet, time::Duration};

use aura_core::{
    Actor, AuditSeq, HrAction, JobStatus, Standing, StoreError,
    contract::{
        AuditStore, DutyStore, JobStore, ModelStore,
        store::{Assignment, Claim, Duty, News, StandingChange, Wanted},
    },
    ids::NodeId,
    job::Door,
};
use aura_store::PgStore;
use futures::{StreamExt as _, future::join_all};
use serde_json::json;

use crate::scene::{LEASE, Scene, worker};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_workers_on_two_nodes_claim_each_job_once_and_the_log_has_no_gap() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let model = scene.model("m").await;
    let jobs = scene.prd(1).await.jobs.into_iter().chain(scene.many(299).await).collect::<Vec<_>>();
    let assignment = |job: &_| Assignment { job: *job, model: model.id, probe: false, reason: json!({}) };
    let assigned = scene.store.assign(&jobs.iter().map(assignment).collect::<Vec<_>>()).await.unwrap();
    assert!(assigned.iter().all(Result::is_ok));
    let claimed = join_all((0..6_usize).map(|n| {
        let store = if n % 2 == 0 { scene.store.clone() } else { other.clone() };
        let wanted = Wanted::Any { models: vec![model.id], max: 1 + u32::try_from(n).unwrap() };
        let claim = Claim { worker: worker(&format!("w{n}")), door: Door::Remote, wanted, lease: LEASE };
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = store.claim(&claim).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|claimed| claimed.job.id));
            }
        })
    }))
    .await;
    let all: Vec<_> = claimed.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (300, 300));
    let report = scene.check_chain().await;
    assert_eq!(report.first_bad, None);
    // A claim of several jobs leaves one entry that names them.
    let entries = scene.store.audit(AuditSeq(0), 9999).await.unwrap();
    let claimed = entries.iter().filter(|entry| entry.action == "job.claimed");
    let told: Vec<_> = claimed.flat_map(|entry| entry.job_ids().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!((told.len(), told.iter().collect::<HashSet<_>>().len()), (300, 300));
    for job in [&jobs[0], &jobs[299]] {
        let history = scene.store.job_events(*job).await.unwrap();
        assert_eq!(history.iter().filter(|event| event.event_type == "job.claimed").count(), 1, "{history:?}");
    }
}

#[tokio::test]
async fn a_duty_has_one_node_and_goes_to_another_when_it_is_left_or_silent() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let (a, b) = (NodeId::fresh(), NodeId::fresh());
    let held = scene.store.keep_duties(&a, MINUTE).await.unwrap().unwrap();
    assert_eq!(held.len(), Duty::ALL.len());
    assert!(other.keep_duties(&b, MINUTE).await.unwrap().unwrap().is_empty());
    assert_eq!(scene.store.keep_duties(&a, MINUTE).await.unwrap().unwrap(), held, "keeping changes no epoch");
    scene.store.leave_duties(&a).await.unwrap();
    let taken = other.keep_duties(&b, Duration::ZERO).await.unwrap().unwrap();
    assert!(taken.iter().all(|term| term.epoch == 2), "{taken:?}");
    let back = scene.store.keep_duties(&a, MINUTE).await.unwrap().unwrap();
    assert!(
        back.len() == Duty::ALL.len() && back.iter().all(|term| term.epoch == 3),
        "silent for its whole lease: {back:?}"
    );
}

#[tokio::test]
async fn what_is_written_on_a_duty_that_is_over_is_refused_and_changes_nothing() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let model = scene.model("m").await;
    let (a, b) = (NodeId::fresh(), NodeId::fresh());
    let change = |from, action| StandingChange { model: model.id, from, action, reason: "figures".to_owned() };
    let of = |store: &PgStore, terms: Vec<_>| {
        let term: aura_core::contract::store::Term =
            terms.into_iter().find(|term: &aura_core::contract::store::Term| term.duty == Duty::Hr).unwrap();
        store.on_duty(&term).unwrap()
    };
    let first = of(&scene.store, scene.store.keep_duties(&a, Duration::ZERO).await.unwrap().unwrap());
    let second = of(&other, other.keep_duties(&b, MINUTE).await.unwrap().unwrap());
    let refused = first.change_standings(&[change(Standing::Trial, HrAction::Promote)]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "duty", .. })), "{refused:?}");
    assert!(first.raise(&alert(), &Actor::auditor()).await.is_err());
    assert_eq!(scene.store.models().await.unwrap()[0].standing, Standing::Trial);
    assert!(scene.store.promotions(None, 9).await.unwrap().is_empty());
    second.change_standings(&[change(Standing::Trial, HrAction::Promote)]).await.unwrap().remove(0).unwrap();
    assert_eq!(scene.store.promotions(None, 9).await.unwrap().len(), 1);
}

fn alert() -> aura_core::NewAlert {
    aura_core::NewAlert { job_id: None, severity: aura_core::Severity::Info, rule: None, reason: "on duty".to_owned() }
}

#[tokio::test]
async fn a_prd_is_assessed_by_one_node_until_it_is_silent() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let model = scene.model("m").await;
    let prd = scene.submitted(&model).await.prd_id;
    let (a, b) = (NodeId::fresh(), NodeId::fresh());
    assert_eq!(scene.store.take_assessable(&a, 9, MINUTE).await.unwrap().unwrap(), [prd]);
    assert!(other.take_assessable(&b, 9, MINUTE).await.unwrap().unwrap().is_empty());
    assert_eq!(scene.store.take_assessable(&a, 9, MINUTE).await.unwrap().unwrap(), [prd], "its own again");
    scene.sql("UPDATE prds_to_assess SET until = now()").await.unwrap();
    assert_eq!(other.take_assessable(&b, 9, MINUTE).await.unwrap().unwrap(), [prd]);
    other.leave_duties(&b).await.unwrap();
    assert_eq!(scene.store.take_assessable(&a, 9, MINUTE).await.unwrap().unwrap(), [prd]);
}

#[tokio::test]
async fn what_one_node_writes_wakes_the_other() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let before = other.audit_range().await.unwrap().map_or(aura_core::AuditSeq(0), |(_, newest)| newest);
    let mut news = other.news().unwrap();
    let woken = async { tokio::join!(other.changed(before, MINUTE), news.next()).1 };
    let write = async {
        // A notification that nobody hears yet is gone: write until it is heard.
        for n in 0.. {
            scene.model(&format!("m{n}")).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        news = woken => assert_eq!(news, Some(News::Others)),
        () = write => {}
        () = tokio::time::sleep(MINUTE) => panic!("nobody was woken"),
    }
    assert!(!other.audit(before, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_this_process_moves_is_told_by_its_store() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let news = scene.store.news().unwrap();
    scene.submitted(&model).await;
    let moved = |news: News| match news {
        News::Moved(to) => Some(to),
        News::Others => None,
    };
    let moves = news.filter_map(|news| std::future::ready(moved(news)));
    let moves = tokio::time::timeout(MINUTE, moves.take(4).collect::<Vec<_>>()).await.unwrap();
    let [queued, assigned, claimed, handed_in] = moves.as_slice() else { panic!("{moves:?}") };
    assert_eq!((&queued[..], &assigned[..]), (&[JobStatus::Queued][..], &[JobStatus::Assigned][..]));
    assert_eq!((&claimed[..], &handed_in[..]), (&[JobStatus::InProgress][..], &[JobStatus::Submitted][..]));
}

#[tokio::test]
async fn without_notifications_a_change_is_found_by_looking() {
    let scene = Scene::new().await;
    let deaf = PgStore::builder(&scene.url).connections(2).without_listen().open().await.unwrap();
    let before = aura_core::AuditSeq(0);
    let (woken, _) = tokio::join!(tokio::time::timeout(MINUTE, deaf.changed(before, MINUTE * 2)), scene.model("m"));
    woken.unwrap();
    assert_eq!(deaf.audit(before, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_claim_that_also_takes_a_job_from_behind_the_frontier_is_in_the_history_of_each_of_its_jobs() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let jobs = scene.many(4).await;
    for job in &jobs[1..] {
        scene.assign(*job, &model).await;
    }
    let wanted = Wanted::Any { models: vec![model.id], max: 2 };
    let claim = Claim { worker: worker("w"), door: Door::Remote, wanted, lease: LEASE };
    assert_eq!(scene.store.claim(&claim).await.unwrap().len(), 2, "the frontier is behind them now");
    scene.assign(jobs[0], &model).await;
    let claimed = scene.store.claim(&claim).await.unwrap();
    assert_eq!(claimed.len(), 2, "one before the frontier, one behind it");
    for claimed in claimed {
        let history = scene.store.job_events(claimed.job.id).await.unwrap();
        let told: Vec<_> = history.iter().filter(|event| event.event_type == "job.claimed").collect();
        assert_eq!(told.len(), 1, "{history:?}");
        assert_eq!(told[0].details["token"], serde_json::json!(crate::scene::token(&claimed.job)));
    }
}

#[tokio::test]
async fn a_single_item_that_is_written_on_a_duty_that_is_over_is_refused_too() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let job = scene.submitted(&model).await;
    let (a, b) = (NodeId::fresh(), NodeId::fresh());
    let terms = scene.store.keep_duties(&a, Duration::ZERO).await.unwrap().unwrap();
    scene.store.keep_duties(&b, MINUTE).await.unwrap();
    let over = scene.store.on_duty(&terms[0]).unwrap();
    let judgement = crate::scene::accept(&job, 0.5);
    let many = over.judge(&[judgement.clone(), judgement.clone()]).await;
    assert!(matches!(many, Err(StoreError::Conflict { what: "duty", .. })), "{many:?}");
    let one = over.judge(&[judgement]).await.and_then(|mut answers| answers.remove(0));
    assert!(matches!(one, Err(StoreError::Conflict { what: "duty", .. })), "{one:?}");
}

#[tokio::test]
async fn what_is_begun_on_a_duty_that_is_over_is_refused_and_changes_nothing() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let job = scene.prd(1).await.jobs[0];
    let (a, b) = (NodeId::fresh(), NodeId::fresh());
    let over = scene.store.keep_duties(&a, Duration::ZERO).await.unwrap().unwrap();
    let holds = scene.store.keep_duties(&b, MINUTE).await.unwrap().unwrap();
    let scheduler = |terms: Vec<aura_core::contract::store::Term>| {
        let term = terms.into_iter().find(|term| term.duty == Duty::Scheduler).unwrap();
        scene.store.on_duty(&term).unwrap()
    };
    let assignments = [Assignment { job, model: model.id, probe: false, reason: serde_json::json!({}) }];
    let wanted = Wanted::Any { models: vec![model.id], max: 1 };
    let claims = [Claim { worker: worker("w"), door: Door::InProcess, wanted, lease: LEASE }];
    let refused = scheduler(over).dispatch(&assignments, &claims).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "duty", .. })), "{refused:?}");
    assert_eq!(scene.job(job).await.state.status(), JobStatus::Queued);
    let done = scheduler(holds).dispatch(&assignments, &claims).await.unwrap();
    assert_eq!(done.claimed[0].as_ref().unwrap()[0].job.id, job);
    assert_eq!(scene.job(job).await.state.status(), JobStatus::InProgress);
}
