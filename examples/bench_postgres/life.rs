//! The whole audited life of a job: submitted, assigned, claimed, generated, its piece stored, handed in, scored, settled.

use std::time::Instant;

use async_trait::async_trait;
use aura_orchestra::{core::contract::AdapterError, prelude::*};
use aura_testbed::PrivatePostgres;
use futures::{StreamExt as _, stream};

const JOBS: u32 = 10_000;
const SUBMITTERS: usize = 64;
const WORKERS: usize = 256;

/// Answers at once, so that only the orchestra is measured.
#[derive(Debug)]
struct Instantly(ModelProfile);

#[async_trait]
impl ModelAdapter for Instantly {
    fn profile(&self) -> &ModelProfile {
        &self.0
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        Ok(Generation::from_answer("def one(): return 1", request.language))
    }
}

/// An orchestra of many workers and one model that costs nothing.
pub(crate) async fn start(store: &PgStore) -> Orchestra {
    let profile = ModelProfile::new("instantly", ModelKind::Cloud, "bench", "instantly").expect("a name");
    let builder = Orchestra::builder().store(store.clone()).scorer(FormulaScorer::default());
    let builder = builder.employ(Instantly(profile.concurrency(2_000))).workers(WORKERS);
    builder.start().await.expect("it starts")
}

/// Whole lives a second.
pub(crate) async fn lives(orchestra: &Orchestra, jobs: u32) -> f64 {
    let started = Instant::now();
    let submitted = stream::iter(0..jobs)
        .map(|_| async { orchestra.submit(NewPrd::new("write one()")).await.expect("accepted").id });
    let prds: Vec<PrdId> = submitted.buffer_unordered(SUBMITTERS).collect().await;
    let verdicts = stream::iter(prds).map(|prd| async move { orchestra.verdict(prd).await.expect("a verdict") });
    verdicts.buffer_unordered(SUBMITTERS).for_each(|_| std::future::ready(())).await;
    f64::from(jobs) / started.elapsed().as_secs_f64()
}

pub(crate) async fn run(server: &PrivatePostgres) {
    let url = server.create_database().expect("a database");
    let store = PgStore::builder(&url).connections(16).open().await.expect("the store opens");
    let orchestra = start(&store).await;
    let cpu = server.cpu_time().expect("the server runs");
    let rate = lives(&orchestra, JOBS).await;
    let cpu = server.cpu_time().expect("the server runs") - cpu;
    println!(
        "whole life: {rate:.0} jobs/s ({JOBS} jobs), PostgreSQL {:.3} ms CPU a job",
        cpu.as_secs_f64() * 1000.0 / f64::from(JOBS),
    );
    orchestra.stop().await;
    store.close().await;
}
