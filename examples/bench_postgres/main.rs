//! What an orchestra does on PostgreSQL alone and under load: whole lives a second, how many are submitted one by one and how soon an idle one begins a job, claims by hundreds of workers through two nodes, and
//! whether it stays as fast with millions of finished jobs and behind a long transaction.
//!
//! ```sh
//! cargo run --release --example bench_postgres [idle] [enqueue] [life] [crowd] [aged]
//! ```
//! It starts a private, durable PostgreSQL (fsync and synchronous_commit on) and prints a table. For the queue's verbs alone,
//! beside other queues, see `scripts/bench-queue`. `AURA_CROWDS=500,1000` says how many workers come to `crowd`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its figures and ends by panicking"
)]

mod aged;
mod crowd;
mod life;
#[path = "../bench_queue/one_by_one.rs"]
mod one_by_one;
#[path = "../bench_queue/usage.rs"]
mod usage;

use aura_orchestra::prelude::*;
use aura_testbed::PrivatePostgres;

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let server = PrivatePostgres::builder().durable().seasoned().start().expect("a private PostgreSQL");
    if wants("idle") {
        idle(&server).await;
    }
    if wants("enqueue") {
        enqueue(&server).await;
    }
    if wants("life") {
        life::run(&server).await;
    }
    if wants("crowd") {
        crowd::run(&server).await;
    }
    // It takes minutes, so it has to be asked for. AURA_FINISHED_JOBS and AURA_HELD_SECONDS say how many.
    if asked.iter().any(|asked| asked == "aged") {
        aged::run(&server).await;
    }
}

/// How long it is from a submission to the start of its generation when nothing else is to be done, and how fast callers submit.
async fn idle(server: &PrivatePostgres) {
    let url = server.create_database().expect("a database");
    let store = PgStore::builder(&url).connections(10).open().await.expect("the store opens");
    let samples = one_by_one::pick_ups(&store).await;
    let [half, most] = [0.5, 0.99].map(|share| one_by_one::quantile(&samples, share));
    println!("idle pick-up: p50 {half:.1} ms, p99 {most:.1} ms over {} jobs", samples.len());
    store.close().await;
}

/// How fast callers submit one job at a time, and what a job costs then.
async fn enqueue(server: &PrivatePostgres) {
    let url = server.create_database().expect("a database");
    let store = PgStore::builder(&url).connections(10).open().await.expect("the store opens");
    let meter = usage::Server::new(&url, server.pid()).await;
    for callers in [1, 64] {
        let mut rates = Vec::new();
        for _ in 0..3 {
            let before = meter.usage().await;
            let rate = one_by_one::submitted_in_two_seconds(&store, callers).await;
            let used = meter.usage().await.since(&before);
            // It also submits while it warms up.
            let jobs = rate * 2.2;
            let [server, client] = [used.server_ms, used.client_ms].map(|ms| 1000.0 * ms / jobs);
            rates.push(format!(
                "{rate:.0}/s (PostgreSQL {server:.0} us, client {client:.0} us, {:.0} B)",
                used.wal_bytes / jobs
            ));
        }
        println!("submitted by {callers}: {}", rates.join("  "));
    }
    store.close().await;
}
