//! Stores alerts and tells the alerters about them, one after the other, without holding anybody up.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    audit::{Alert, NewAlert},
    contract::{Alerter, AuditStore},
    engine::{
        pace::{Chain, caught},
        shutdown::Shutdown,
    },
    error::Result,
    ids::Actor,
};

/// Alerts that wait to be told; more are stored, but told to nobody.
const QUEUE: usize = 1024;

/// Where every alert of this process passes.
#[derive(Debug)]
pub(crate) struct AlertDesk {
    store: Arc<dyn AuditStore>,
    told: mpsc::Sender<Alert>,
}

impl AlertDesk {
    /// Starts telling `alerters`.
    pub(crate) fn start(store: Arc<dyn AuditStore>, alerters: Vec<Arc<dyn Alerter>>, shutdown: &Arc<Shutdown>) -> Self {
        let (told, mut waiting) = mpsc::channel::<Alert>(QUEUE);
        let mut stop = shutdown.signal();
        shutdown.spawn(async move {
            loop {
                let alert = tokio::select! {
                    biased;
                    alert = waiting.recv() => alert,
                    // Whatever waits has been told by now.
                    () = stop.stopping() => None,
                };
                let Some(alert) = alert else { return };
                for alerter in &alerters {
                    let outcome = tokio::select! {
                        outcome = caught(async { Ok(alerter.alert(&alert).await) }) => outcome,
                        () = stop.hand_back() => return,
                    };
                    let failed = match outcome {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => Chain(&error).to_string(),
                        Err(panic) => panic.to_string(),
                    };
                    tracing::error!(alert = alert.id, error = failed, "an alert could not be told");
                }
            }
        });
        Self { store, told }
    }

    /// Stores an alert and has it told. `None` when the same flag is open already.
    pub(crate) async fn raise(&self, alert: &NewAlert, actor: &Actor) -> Result<Option<Alert>> {
        self.raise_in(self.store.as_ref(), alert, actor).await
    }

    /// The same, written by way of this store.
    pub(crate) async fn raise_in<S: AuditStore + ?Sized>(
        &self,
        store: &S,
        alert: &NewAlert,
        actor: &Actor,
    ) -> Result<Option<Alert>> {
        let stored = store.raise(alert, actor).await?;
        if let Some(alert) = &stored
            && self.told.try_send(alert.clone()).is_err()
        {
            tracing::error!(
                alert = alert.id,
                "too many alerts wait to be told, or the orchestra stops: this one is only stored"
            );
        }
        Ok(stored)
    }
}
