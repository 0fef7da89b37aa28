//! Jobs that are submitted one by one: how many a second, and how soon an idle orchestra begins one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aura_orchestra::{
    core::{
        JobId, PrdId,
        contract::{AdapterError, JobStore as _, store::NewPrdRecord},
    },
    prelude::*,
};
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

const WARM_UP: usize = 20;
const SAMPLES: usize = 300;

/// Says when it is asked to generate.
#[derive(Debug)]
struct Starts(ModelProfile, mpsc::UnboundedSender<Instant>);

#[async_trait]
impl ModelAdapter for Starts {
    fn profile(&self) -> &ModelProfile {
        &self.0
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        self.1.send(Instant::now()).expect("the bench listens");
        Ok(Generation::from_answer("done", request.language))
    }
}

/// Milliseconds from before a submission to the start of its generation, in an orchestra that is idle.
pub(crate) async fn pick_ups(store: &PgStore) -> Vec<f64> {
    let (send, mut starts) = mpsc::unbounded_channel();
    let profile = ModelProfile::new("starts", ModelKind::Cloud, "bench", "starts").expect("a name").concurrency(1000);
    let builder = Orchestra::builder().store(store.clone()).scorer(FormulaScorer::default());
    let orchestra = builder.employ(Starts(profile, send)).start().await.expect("starts");
    let mut samples = Vec::with_capacity(SAMPLES);
    for sample in 0..WARM_UP + SAMPLES {
        let before = Instant::now();
        let mut prd = NewPrd::new("tell me when");
        prd.model = Some("starts".parse().expect("a name"));
        let id = orchestra.submit(prd).await.expect("accepted").id;
        let started = starts.recv().await.expect("it generates");
        if sample >= WARM_UP {
            samples.push((started - before).as_secs_f64() * 1000.0);
        }
        orchestra.verdict(id).await.expect("a verdict");
        let uneven = u64::try_from(sample * 7 % 10).expect("small");
        tokio::time::sleep(Duration::from_millis(10 + uneven)).await;
    }
    orchestra.stop().await;
    samples
}

pub(crate) fn record() -> NewPrdRecord {
    NewPrdRecord { id: PrdId::new(), request: NewPrd::new("do nothing"), pinned: None, jobs: vec![JobId::new()] }
}

/// PRDs a second by callers that submit one at a time, each answered after its commit.
pub(crate) async fn submitted_in_two_seconds(store: &PgStore, callers: usize) -> f64 {
    let warm_up = Instant::now() + Duration::from_millis(200);
    let end = warm_up + Duration::from_secs(2);
    let store = Arc::new(store.clone());
    let counts = stream::iter(0..callers).map(|_| {
        let store = Arc::clone(&store);
        async move {
            let mut count = 0_u32;
            while Instant::now() < end {
                let answers = store.submit(&[record()]).await.expect("stored");
                assert!(answers.iter().all(Result::is_ok), "each is stored");
                count += u32::from((warm_up..end).contains(&Instant::now()));
            }
            count
        }
    });
    let counts: Vec<u32> = counts.buffer_unordered(callers).collect().await;
    f64::from(counts.iter().sum::<u32>()) / 2.0
}

/// The value below which that share of the samples lies.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let place = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
