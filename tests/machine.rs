//! What the machine has left decides who works: a local model that does not fit waits, says for what, and begins when there is room.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use aura_orchestra::{core::contract::ProbeError, prelude::*};

/// A machine as a test says that it is.
#[derive(Debug, Clone, Default)]
struct Machine(Arc<Mutex<Resources>>);

impl Machine {
    /// One card of 11 GB with so much free beside these models.
    fn holds(&self, free: u64, models: &[&str]) {
        let resident = models.iter().map(|model| Resident {
            identity: ModelIdentity { provider: "ollama".to_owned(), model: (*model).to_owned() },
            endpoint: None,
            occupies: Needs { vram: Mebibytes(7000), memory: Mebibytes(0) },
            until: None,
        });
        *self.0.lock().expect("not poisoned") = Resources {
            gpus: Some(vec![Gpu::new("GTX 1080 Ti", Mebibytes(11_264), Mebibytes(free))]),
            resident: Some(resident.collect()),
            watched: vec!["ollama".to_owned()],
            ..Resources::default()
        };
    }
}

#[async_trait]
impl ResourceProbe for Machine {
    async fn snapshot(&self) -> std::result::Result<Resources, ProbeError> {
        Ok(self.0.lock().expect("not poisoned").clone())
    }
}

#[derive(Debug)]
struct Local(ModelProfile);

#[async_trait]
impl ModelAdapter for Local {
    fn profile(&self) -> &ModelProfile {
        &self.0
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        Ok(Generation::from_answer("```python\ndef one(): return 1\n```", request.language))
    }
}

/// A model on this machine that needs 8000 MiB of a card.
fn large() -> Local {
    let mut profile = ModelProfile::new("large", ModelKind::Local, "ollama", "large:13b").expect("a name");
    profile.needs = Needs { vram: Mebibytes(8000), memory: Mebibytes(0) };
    Local(profile)
}

async fn waits_for(orchestra: &Orchestra, job: JobId, reason: &str) {
    let waits = tokio::time::timeout(Duration::from_secs(20), async {
        while orchestra.waiting_reason(job).as_deref() != Some(reason) {
            tokio::task::yield_now().await;
        }
    });
    waits.await.unwrap_or_else(|_| unreachable!("{:?} is not {reason:?}", orchestra.waiting_reason(job)));
}

#[tokio::test]
async fn a_model_that_does_not_fit_beside_what_is_loaded_waits_says_so_and_begins_when_there_is_room() {
    let machine = Machine::default();
    machine.holds(4000, &["somebody:7b"]);
    let settings = Settings { poll: Duration::from_millis(20), max_local: 2, ..Settings::default() };
    let orchestra = aura_orchestra::builder().store(MemoryStore::new()).settings(settings).probe(machine.clone());
    let orchestra = orchestra.employ(large()).start().await.expect("starts");
    let prd = orchestra.submit(NewPrd::new("write one()")).await.expect("accepted");

    let reason = "large: needs 8000 MiB of GPU memory, 4000 MiB are free on one GPU beside somebody:7b";
    waits_for(&orchestra, prd.jobs[0], reason).await;
    // Two that others loaded are as many as may be.
    machine.holds(11_000, &["somebody:7b", "another:3b"]);
    let reason = "large: 2 other local models are loaded or busy (somebody:7b, another:3b), and max_local is 2";
    waits_for(&orchestra, prd.jobs[0], reason).await;
    assert_eq!(orchestra.job(prd.jobs[0]).await.expect("known").state, JobState::Queued);

    machine.holds(11_000, &[]);
    let verdict = tokio::time::timeout(Duration::from_secs(60), orchestra.verdict(prd.id)).await;
    let verdict = verdict.expect("in time").expect("a verdict");
    assert_eq!(verdict.winner().and_then(|entry| entry.model.as_ref()).map(ModelName::as_str), Some("large"));
    orchestra.stop().await;
}
