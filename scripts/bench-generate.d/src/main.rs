//! What one `generate` costs in processor time, and what many streams cost in memory: our adapter with its default layers, beside a
//! typed reqwest call, async-openai and genai, in one run.
//!
//! All ask the same server, in another process, one question after the other over one kept connection. The machine's speed drifts, so
//! they take turns in slices, and each slice gives the difference to the reqwest slice of the same turn.

mod clients;
mod server;

use std::{process::Stdio, sync::Arc, time::Duration};

use aura_core::{GenerateRequest, ModelAdapter};
use clients::Client;
use cpu_time::ProcessTime;
use tokio::io::{AsyncBufReadExt, BufReader};

const TURNS: usize = 40;
const CALLS: u32 = 250;
const STREAMS: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return server::run().await;
    }
    let program = std::env::current_exe().expect("a program");
    let mut child = tokio::process::Command::new(program)
        .arg("serve")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = lines.next_line().await.expect("readable").expect("a line");
    let base = format!("http://{address}/whole");

    let clients = clients::all(&base);
    for client in &clients {
        for _ in 0..CALLS {
            client.call().await;
        }
    }
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); clients.len()];
    for turn in 0..TURNS {
        for n in 0..clients.len() {
            let n = (n + turn) % clients.len();
            costs[n].push(slice(clients[n].as_ref()).await);
        }
    }
    println!("microseconds of processor time a generate, medians of {TURNS} turns of {CALLS} calls");
    println!("{:<44} {:>8} {:>14}", "", "alone", "over reqwest");
    let floor = costs[0].clone();
    for (client, costs) in clients.iter().zip(&costs) {
        let over: Vec<f64> = costs.iter().zip(&floor).map(|(cost, floor)| cost - floor).collect();
        println!("{:<44} {:>8.1} {:>14.1}", client.name(), median(costs), median(&over));
    }
    drop(clients);

    streams(&format!("http://{address}/stream")).await;
}

/// Microseconds of this process a call.
async fn slice(client: &dyn Client) -> f64 {
    let before = ProcessTime::now();
    for _ in 0..CALLS {
        client.call().await;
    }
    before.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Many streams at once, and the memory of this process meanwhile.
async fn streams(base: &str) {
    let adapter: Arc<dyn ModelAdapter> = clients::ours(base);
    // What is made once is made before.
    adapter.stream(&GenerateRequest::new("x"), Arc::new(|_: &str| {})).await.expect("a stream");
    let idle = resident();
    let tasks: Vec<_> = (0..STREAMS)
        .map(|_| {
            let adapter = Arc::clone(&adapter);
            tokio::spawn(async move {
                let generation = adapter.stream(&GenerateRequest::new("x"), Arc::new(|_: &str| {})).await;
                generation.expect("a stream").output.len()
            })
        })
        .collect();
    let mut samples = Vec::new();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        samples.push(resident());
    }
    let mut text = 0;
    for task in tasks {
        text += task.await.expect("a stream ends");
    }
    let (early, late) = (samples[samples.len() / 4], samples[samples.len() * 3 / 4]);
    println!(
        "{STREAMS} streams at once, {} kB of text in all: {idle} kB resident before, {early} kB at a quarter, {late} kB at three \
         quarters, {} kB at most",
        text / 1000,
        samples.iter().max().expect("samples"),
    );
}

/// Kilobytes of memory of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}
