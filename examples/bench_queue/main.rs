//! Our side of `scripts/bench-queue`: what the queue's verbs cost on PostgreSQL, as one line of JSON.
//!
//! Every job is a full one: fenced by its lease, with its history and its audited, hash-chained entries, and it stays in the
//! tables when it has ended.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its figures and ends by panicking"
)]

mod one_by_one;
mod queue;
mod usage;

use std::time::Instant;

use aura_orchestra::prelude::*;
use serde_json::json;

#[tokio::main]
async fn main() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by scripts/bench-queue"));
    let url = setting("DATABASE_URL");
    let jobs: usize = setting("JOBS").parse().expect("JOBS is a number");
    let store = PgStore::builder(&url).connections(10).open().await.expect("the store opens");
    let server = usage::Server::new(&url, setting("POSTGRES_PID").parse().expect("POSTGRES_PID is a number")).await;
    let model = queue::employ(&store).await;

    let started = Instant::now();
    let ids = queue::submit(&store, jobs).await;
    let bulk = started.elapsed();
    queue::assign(&store, &ids, model).await;

    let before = server.usage().await;
    let started = Instant::now();
    queue::drain(&store, model, jobs).await;
    let drain = started.elapsed();
    let used = server.usage().await.since(&before);

    let before_lives = server.usage().await;
    let started = Instant::now();
    queue::lives(&store, jobs).await;
    let lives = started.elapsed();
    let life = server.usage().await.since(&before_lives);

    // Engines would score what was drained: they get tables of their own.
    let idle = PgStore::builder(&url).schema("idle").connections(10).open().await.expect("the store opens");
    let latencies = one_by_one::pick_ups(&idle).await;
    let one = one_by_one::submitted_in_two_seconds(&idle, 1).await;
    let many = one_by_one::submitted_in_two_seconds(&idle, 64).await;
    let per_job = |amount: f64| amount / f64::from(u32::try_from(jobs).expect("jobs are counted in 32 bits"));
    let rate = |took: std::time::Duration| 1.0 / per_job(took.as_secs_f64());
    println!(
        "{}",
        json!({
            "name": "aura",
            "version": env!("CARGO_PKG_VERSION"),
            "settings": "5000 a claim, 2 workers; fenced, with history and audit log, finished jobs kept",
            "enqueue_one_per_s": one,
            "enqueue_64_per_s": many,
            "bulk_per_s": rate(bulk),
            "drain_per_s": rate(drain),
            "postgres_cpu_ms_per_job": per_job(used.server_ms),
            "client_cpu_ms_per_job": per_job(used.client_ms),
            "wal_bytes_per_job": per_job(used.wal_bytes),
            "life_per_s": rate(lives),
            "life_postgres_cpu_ms": per_job(life.server_ms),
            "life_client_cpu_ms": per_job(life.client_ms),
            "life_wal_bytes": per_job(life.wal_bytes),
            "latency_p50_ms": one_by_one::quantile(&latencies, 0.5),
            "latency_p99_ms": one_by_one::quantile(&latencies, 0.99),
        })
    );
    store.close().await;
}
