//! Wakes a loop when there is something to do; a ring that nobody hears yet is not lost.

use tokio::sync::watch;

/// Rings for whoever listens.
#[derive(Debug)]
pub(crate) struct Bell(watch::Sender<u64>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Bell {
    /// Wakes every listener, now or at its next wait.
    pub(crate) fn ring(&self) {
        self.0.send_modify(|rings| *rings = rings.wrapping_add(1));
    }

    /// Hears every ring from now on. Listen first, then look: no ring falls between.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// Hears a bell.
#[derive(Debug)]
pub(crate) struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Waits for a ring since the last wait; for ever when the bell is gone.
    pub(crate) async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One bell for each step that can become possible.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    /// A job is queued, or a model became free.
    pub(crate) schedule: Bell,
    /// A job is assigned.
    pub(crate) claim: Bell,
    /// A job is handed in, or ended otherwise.
    pub(crate) account: Bell,
    /// A PRD has its verdict.
    pub(crate) verdict: Bell,
}

impl Bells {
    /// Rings every bell: something happened, nobody here knows what.
    pub(crate) fn ring_all(&self) {
        for bell in [&self.schedule, &self.claim, &self.account, &self.verdict] {
            bell.ring();
        }
    }
}
