//! Workers that each claim one job at a time, do nothing and hand in, through two nodes: how long a claim takes, and whether the
//! rate falls as they grow. The first claim of each, when all come at once and the nodes connect and prepare what they will
//! say, is counted in a column of its own alone.

use std::time::{Duration, Instant};

use aura_orchestra::{
    core::{
        Actor, JobId, JobState, LeaseProof, ModelId, PrdId, WorkerId,
        contract::{
            JobStore as _, ModelStore as _, Report,
            store::{Assignment, Claim, NewPrdRecord, Wanted},
        },
        job::Door,
    },
    prelude::*,
};
use aura_testbed::PrivatePostgres;
use serde_json::json;

use super::usage::Server;

const JOBS: usize = 60_000;

pub(crate) async fn run(server: &PrivatePostgres) {
    println!(
        "{:>8} {:>10} {:>12} {:>12} {:>13} {:>19} {:>17} {:>13}",
        "workers",
        "jobs/s",
        "claim p50 ms",
        "claim p99 ms",
        "report p99 ms",
        "first claims max ms",
        "PostgreSQL us/job",
        "client us/job"
    );
    for workers in crowds() {
        let url = server.create_database().expect("a database");
        let meter = Server::new(&url, server.pid()).await;
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.push(PgStore::builder(&url).connections(8).open().await.expect("the store opens"));
        }
        let [first, _] = nodes.as_slice() else { panic!("two nodes") };
        let profile = ModelProfile::new("no_op", ModelKind::Cloud, "bench", "no_op").expect("a name");
        let model = first.register(&profile, &Actor::operator()).await.expect("registered").id;
        let record = || NewPrdRecord {
            id: PrdId::new(),
            request: NewPrd::new("do nothing"),
            pinned: None,
            jobs: vec![JobId::new()],
        };
        for _ in 0..JOBS / 1_000 {
            let records: Vec<_> = (0..1_000).map(|_| record()).collect();
            let submitted = first.submit(&records).await.expect("stored");
            let jobs = submitted.into_iter().flat_map(|submitted| submitted.expect("stored").prd.jobs);
            let assignment = |job| Assignment { job, model, probe: false, reason: json!({}) };
            first.assign(&jobs.map(assignment).collect::<Vec<_>>()).await.expect("assigned");
        }
        let before = meter.usage().await;
        let started = Instant::now();
        let tasks: Vec<_> = (0..workers)
            .map(|n| {
                let store = nodes.get(n % 2).expect("two nodes").clone();
                let worker = WorkerId::new(format!("w{n}")).expect("a name");
                tokio::spawn(async move {
                    let first = claim_and_report(&store, model, &worker).await.expect("there is one for each");
                    let mut times = Vec::new();
                    while let Some(time) = claim_and_report(&store, model, &worker).await {
                        times.push(time);
                    }
                    (first, times)
                })
            })
            .collect();
        let (mut firsts, mut claims, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            let ((first, _), times) = task.await.expect("a worker ends");
            firsts.push(first);
            for (claim, report) in times {
                claims.push(claim);
                reports.push(report);
            }
        }
        let (took, used) = (started.elapsed(), meter.usage().await.since(&before));
        assert_eq!(firsts.len() + claims.len(), JOBS, "each job is claimed once");
        let jobs = f64::from(u32::try_from(JOBS).expect("few"));
        println!(
            "{workers:>8} {:>10.0} {:>12.1} {:>12.1} {:>13.1} {:>19.1} {:>17.0} {:>13.0}",
            jobs / took.as_secs_f64(),
            quantile(&mut claims, 50),
            quantile(&mut claims, 99),
            quantile(&mut reports, 99),
            quantile(&mut firsts, 100),
            1000.0 * used.server_ms / jobs,
            1000.0 * used.client_ms / jobs,
        );
        for node in nodes {
            node.close().await;
        }
    }
}

/// How many workers, one crowd after the other; `AURA_CROWDS` says others, between commas.
fn crowds() -> Vec<usize> {
    let asked = std::env::var("AURA_CROWDS").unwrap_or_else(|_| "50,100,250,500".to_owned());
    asked.split(',').map(|workers| workers.trim().parse().expect("AURA_CROWDS: numbers between commas")).collect()
}

/// How long the claim and the report of one job took; nothing when none was left.
async fn claim_and_report(store: &PgStore, model: ModelId, worker: &WorkerId) -> Option<(Duration, Duration)> {
    let wanted = Wanted::Any { models: vec![model], max: 1 };
    let claim = Claim { worker: worker.clone(), door: Door::Remote, wanted, lease: Duration::from_secs(30) };
    let asked = Instant::now();
    let claimed = store.claim(&claim).await.expect("claims").pop()?;
    let claim = asked.elapsed();
    let JobState::InProgress { lease, .. } = claimed.job.state else { panic!("not claimed") };
    let proof = LeaseProof { job: claimed.job.id, worker: worker.clone(), token: Some(lease.token) };
    let asked = Instant::now();
    let report = Report { proof, success: true, details: json!({}) };
    store.report(&[report]).await.expect("reported").remove(0).expect("the lease holds");
    Some((claim, asked.elapsed()))
}

/// The value below which that many of a hundred lie, in milliseconds.
fn quantile(samples: &mut [Duration], of_hundred: usize) -> f64 {
    samples.sort_unstable();
    let place = (samples.len().saturating_sub(1)) * of_hundred / 100;
    samples.get(place).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1000.0)
}
