//! The auditor's loop: rules -> alerts, each flagged once until the job's state changes.

pub(crate) mod rules;
pub(crate) mod stream;
pub(crate) mod verify;

use std::sync::Arc;

use crate::{
    clock::Clock,
    contract::store::Duty,
    engine::{
        alerts::AlertDesk,
        duty::Duties,
        manager::schedule::Waiting,
        pace::{Pace, Pause},
        settings::Settings,
        shutdown::Shutdown,
    },
    error::Result,
    ids::Actor,
};

/// Flags what looks wrong.
#[derive(Debug)]
pub(crate) struct Auditor {
    pub(crate) duties: Arc<Duties>,
    pub(crate) alerts: Arc<AlertDesk>,
    pub(crate) waiting: Waiting,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
}

/// Silent jobs looked at in one pass.
const PASS: u32 = 10_000;

impl Auditor {
    /// Runs until the orchestra stops.
    pub(crate) async fn run(self, shutdown: Arc<Shutdown>) {
        let mut pace = Pace::by_clock(&self.clock, &shutdown);
        let mut stop = shutdown.signal();
        loop {
            tokio::select! {
                () = self.duties.on_duty(Duty::Auditor) => {}
                () = stop.stopping() => return,
            }
            let outcome = self.pass().await;
            if pace.pause("auditor", outcome, self.settings.audit_interval).await == Pause::Stop {
                return;
            }
        }
    }

    /// One look at everything.
    pub(crate) async fn pass(&self) -> Result<()> {
        let Some(store) = self.duties.store(Duty::Auditor) else { return Ok(()) };
        let now = self.clock.now();
        let mut alerts = Vec::new();
        for job in store.silent_jobs(now - self.settings.stall_after, PASS).await? {
            let waits_for = self.waiting.reason(job.id);
            alerts.extend(rules::silent(&job, now, self.settings.stall_after, waits_for.as_deref()));
        }
        for (job, failures) in store.failing_jobs(now - rules::FAILURE_WINDOW, rules::MAX_FAILURES).await? {
            alerts.extend(rules::failing(job, failures));
        }
        for alert in alerts {
            self.alerts.raise_in(store.as_ref(), &alert, &Actor::auditor()).await?;
        }
        Ok(())
    }
}
