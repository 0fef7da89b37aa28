//! Claims, where what they find or are asked for is out of the ordinary.

use std::time::Duration;

use aura_core::{
    JobState, JobStatus, Lease, Model,
    contract::{
        JobStore,
        store::{Claim, ClaimedJob, Wanted},
    },
    job::Door,
};

use crate::scene::{LEASE, Scene, worker};

fn any(model: &Model, lease: Duration) -> Claim {
    Claim { worker: worker("w1"), door: Door::Remote, wanted: Wanted::Any { models: vec![model.id], max: 1 }, lease }
}

fn lease_of(claimed: &[ClaimedJob]) -> &Lease {
    match claimed.first().map(|claimed| &claimed.job.state) {
        Some(JobState::InProgress { lease, .. }) => lease,
        other => panic!("nothing is claimed: {other:?}"),
    }
}

#[tokio::test]
async fn a_prd_that_cannot_be_read_keeps_nobody_from_the_jobs_behind_it() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let jobs = scene.many(2).await;
    for job in &jobs {
        scene.assign(*job, &model).await;
    }
    let prd = scene.job(jobs[0]).await.prd_id;
    assert_eq!(scene.sql(&format!("UPDATE prds SET request = '7' WHERE id = '{prd}'")).await.unwrap(), 1);
    let refused = scene.store.claim(&any(&model, LEASE)).await.unwrap_err();
    assert!(refused.to_string().contains("request"), "{refused}");
    let next = scene.store.claim(&any(&model, LEASE)).await.unwrap();
    assert_eq!(next.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), [jobs[1]]);
    // Who gets other jobs with such a one has work to do, whether few are wanted, whose PRDs come with them, or many.
    for max in [9, 99] {
        let more = scene.many(3).await;
        for job in &more {
            scene.assign(*job, &model).await;
        }
        let prd = scene.job(more[1]).await.prd_id;
        assert_eq!(scene.sql(&format!("UPDATE prds SET request = '7' WHERE id = '{prd}'")).await.unwrap(), 1);
        let many = Claim { wanted: Wanted::Any { models: vec![model.id], max }, ..any(&model, LEASE) };
        let got = scene.store.claim(&many).await.unwrap();
        assert_eq!(got.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), [more[0], more[2]]);
        for claimed in &got {
            assert_eq!(claimed.prd.id, claimed.job.prd_id);
            assert_eq!(claimed.prd.jobs, [claimed.job.id], "its own PRD");
        }
    }
    // It is taken, and goes the way of a job whose worker is not heard of.
    assert_eq!(scene.job(jobs[0]).await.state.status(), JobStatus::InProgress);
}

#[tokio::test]
async fn an_entry_of_the_queue_that_no_job_stands_behind_is_gone_after_the_claim_that_met_it() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let held = scene.in_progress(&model).await.job;
    let waits = scene.many(1).await[0];
    scene.assign(waits, &model).await;
    let stale = format!(
        "INSERT INTO queue (model, seq, job, since) SELECT {}, seq, id, now() FROM jobs WHERE id = '{held}'",
        model.id
    );
    assert_eq!(scene.sql(&stale).await.unwrap(), 1);
    let mut claimed = scene.store.claim(&any(&model, LEASE)).await.unwrap();
    claimed.extend(scene.store.claim(&any(&model, LEASE)).await.unwrap());
    assert_eq!(claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), [waits]);
    assert_eq!(scene.number("SELECT count(*) FROM queue").await, 0);
}

#[tokio::test]
async fn a_lease_ends_when_it_was_asked_to_and_one_without_end_in_the_year_9999() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    for lease in [Duration::from_micros(1), Duration::from_micros(30_000_001), Duration::from_hours(876_000)] {
        let job = scene.many(1).await[0];
        scene.assign(job, &model).await;
        let claimed = scene.store.claim(&any(&model, lease)).await.unwrap();
        let held = lease_of(&claimed);
        assert_eq!((held.until - held.claimed_at).to_std(), Ok(lease));
    }
    let job = scene.many(1).await[0];
    scene.assign(job, &model).await;
    let claimed = scene.store.claim(&any(&model, Duration::MAX)).await.unwrap();
    assert_eq!(lease_of(&claimed).until.to_rfc3339(), "9999-12-31T23:59:59+00:00");
    let JobState::InProgress { lease, .. } = scene.job(job).await.state else { panic!("it is claimed") };
    assert_eq!(&lease, lease_of(&claimed), "what the worker holds is what the table says");
}
