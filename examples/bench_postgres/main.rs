//! What an orchestra does on PostgreSQL under load: whole lives a second, claims by hundreds of workers through two nodes, and
//! whether it stays as fast with millions of finished jobs and behind a long transaction.
//!
//! ```sh
//! cargo run --release --example bench_postgres [life] [crowd] [aged]
//! ```
//! It starts a private, durable PostgreSQL (fsync and synchronous_commit on) and prints a table. For the queue's verbs alone,
//! beside other queues, see `scripts/bench-queue`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its figures and ends by panicking"
)]

mod aged;
mod crowd;
mod life;

use aura_testbed::PrivatePostgres;

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let server = PrivatePostgres::builder().durable().seasoned().start().expect("a private PostgreSQL");
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
