//! An alerter of one's own: hears of a job that went silent, without being asked. Needs nothing but Rust.

use std::time::Duration;

use aura_orchestra::prelude::*;
use tokio::{sync::mpsc, time::timeout};

/// Hands alerts to the rest of the program; yours may page somebody.
#[derive(Debug)]
struct Pager(mpsc::UnboundedSender<Alert>);

#[async_trait::async_trait]
impl Alerter for Pager {
    async fn alert(&self, alert: &Alert) -> Result<(), AlertError> {
        let nobody_listens = |error| AlertError { message: "nobody listens".to_owned(), source: Some(Box::new(error)) };
        self.0.send(alert.clone()).map_err(nobody_listens)
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example talks to its user")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (pages, mut paged) = mpsc::unbounded_channel();
    // Three minutes are the default; nobody wants to watch an example for that long.
    let impatient = Settings {
        stall_after: Duration::from_secs(1),
        audit_interval: Duration::from_millis(100),
        ..Settings::default()
    };
    let orchestra = aura_orchestra::builder()
        .store(MemoryStore::new())
        .employ(OfflineAdapter::builder("employee_slow").latency(Duration::from_secs(2)).build()?)
        .alerter(Pager(pages))
        .settings(impatient)
        .start()
        .await?;
    let prd = orchestra.submit(NewPrd::new("Write add(a, b).")).await?;
    let alert = timeout(Duration::from_secs(10), paged.recv()).await?.ok_or("the alerter is gone")?;
    println!("alert {} ({}): {}", alert.id, alert.content.severity, alert.content.reason);
    println!(
        "it is about a job of the PRD just submitted: {}",
        alert.content.job_id.is_some_and(|job| prd.jobs.contains(&job))
    );
    orchestra.stop().await;
    Ok(())
}
