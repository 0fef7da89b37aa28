//! A verb whose audit entry cannot be written changes nothing at all, nor does one whose node falls silent in the middle of it.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Clock, HrAction, NewAlert, NewArtifact, Outcome, Severity, Standing, StoreError, SystemClock,
    Verdict, VirtualClock,
    audit::NewEntry,
    contract::{
        AuditStore, JobStore, ModelStore, Release, RunStore,
        store::{ArtifactBatch, Assignment, Claim, StandingChange, Wanted},
    },
    job::Door,
};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use crate::scene::{LEASE, Scene, accept, new_prd, profile, report, worker};

/// Runs a verb, which has to fail, and looks whether it left a trace.
macro_rules! leaves_nothing {
    ($scene:expr, $verb:expr) => {{
        let before = dump(&$scene).await;
        // Verbs whose callers are joined answer each of them, the others all at once.
        let outcome = format!("{:?}", $verb.await);
        assert!(outcome.contains("Err(Backend {") && !outcome.contains("Ok(()"), "{}: {outcome}", stringify!($verb));
        assert_eq!(dump(&$scene).await, before, "{} left something behind", stringify!($verb));
    }};
}

/// Every row of every table, parts of the audit log among them.
async fn dump(scene: &Scene) -> String {
    let tables =
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'aura'::regnamespace AND relkind = 'r' ORDER BY 1";
    let mut dump = String::new();
    for table in sqlx::query(tables).fetch_all(&scene.hand).await.unwrap() {
        let table: String = table.get(0);
        let rows = format!("SELECT row::text FROM {table} AS row ORDER BY 1");
        for row in sqlx::query(AssertSqlSafe(rows)).fetch_all(&scene.hand).await.unwrap() {
            dump.push_str(&format!("{table}: {}\n", row.get::<String, _>(0)));
        }
    }
    assert!(dump.contains("audit_log") && dump.contains("jobs: "), "{dump}");
    dump
}

const REFUSE: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse()";

#[tokio::test]
async fn no_verb_leaves_anything_behind_when_the_audit_log_refuses() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let clock = VirtualClock::default();
    let builder = PgStore::builder(&url).connections(4).clock(Arc::new(clock.clone()));
    let scene = Scene::of(builder.open().await.unwrap(), url);
    let store = &scene.store;
    let (model, free) = (scene.model("m").await, scene.model("free").await);
    let ended = scene.in_progress(&model).await;
    clock.advance(LEASE);
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
        spent: aura_core::Spent::default(),
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
    scene.sql("DROP TRIGGER refuse ON audit_log").await.unwrap();
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

/// A clock that stops its node, as SIGSTOP would, once it is told to: the store asks it in the middle of a transaction.
#[derive(Debug, Default)]
struct Stopped {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopped {
    fn set(&self, is_stopped: bool) {
        *self.is_stopped.lock().unwrap() = is_stopped;
        self.changed.notify_all();
    }
}

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> DateTime<Utc> {
        drop(self.changed.wait_while(self.is_stopped.lock().unwrap(), |is_stopped| *is_stopped).unwrap());
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

#[tokio::test]
async fn a_transaction_whose_node_is_silent_is_ended_by_the_server_and_the_store_goes_on() {
    const IDLE: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'aura' AND state = 'idle in transaction'";
    let scene = Scene::new().await;
    let model = scene.model("m").await.id;
    let hold = async move |store: &PgStore| store.set_hold(model, Some("stop".to_owned()), &Actor::operator()).await;

    let (clock, url) = (Arc::new(Stopped::default()), scene.url.clone());
    let stopped = Arc::clone(&clock);
    // All that the other node is runs on one thread, so that all of it stops.
    let node = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let builder = PgStore::builder(&url).connections(2).clock(Arc::clone(&stopped) as _);
            let store = builder.open().await.unwrap();
            stopped.set(true);
            let outcome = hold(&store).await;
            (outcome, hold(&store).await)
        })
    });
    let asked = Instant::now();
    let mut begun = None;
    while begun.is_none() || scene.number(IDLE).await > 0 {
        if begun.is_none() && scene.number(IDLE).await > 0 {
            begun = Some(Instant::now());
        }
        if asked.elapsed() > Duration::from_secs(30) {
            clock.set(false);
            panic!("the transaction began {begun:?} and is still there");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = begun.unwrap().elapsed();
    assert!(scene.store.models().await.unwrap()[0].hold.is_none());
    clock.set(false);
    let (outcome, again) = node.join().unwrap();
    assert!(held > Duration::from_secs(3), "it was given its time: {held:?}");
    assert!(outcome.as_ref().is_err_and(StoreError::is_retryable), "it may be done again: {outcome:?}");
    assert!(again.unwrap().hold.is_some(), "the store goes on");
    assert_eq!(scene.check_chain().await.first_bad, None);
}
