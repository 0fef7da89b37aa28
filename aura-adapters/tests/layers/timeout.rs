//! Each wait ends where it is set to, and no other does.

use std::sync::Arc;

use aura_adapters::{AdapterExt, Timeout};
use aura_core::{AdapterError, GenerateRequest, Generation, ModelAdapter, Wait};
use tokio::time::Instant;

use crate::script::{Scripted, Step, Text, ask, seconds};

/// First piece after 4 s, then one after 2 s, then one after 6 s: 12 s in all.
fn model() -> Scripted {
    Scripted::new(|_| Step::answers().pieces(vec![(seconds(4), "a"), (seconds(2), "b"), (seconds(6), "c")]))
}

async fn both_ways(adapter: &impl ModelAdapter, check: impl Fn(Result<Generation, AdapterError>, u64)) {
    let started = Instant::now();
    let whole = adapter.generate(&ask()).await;
    check(whole, started.elapsed().as_secs());
    let started = Instant::now();
    let told = adapter.stream(&ask(), Arc::new(Text::default())).await;
    check(told, started.elapsed().as_secs());
}

async fn ends(adapter: Timeout<Scripted>, wait: Wait, after: u64) {
    both_ways(&adapter, |answer, took| {
        assert!(matches!(answer, Err(AdapterError::TimedOut { what, .. }) if what == wait), "{answer:?}");
        assert_eq!(took, after);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_wait_ends_where_it_is_set_to() {
    ends(Timeout::new(model()).whole(seconds(11)), Wait::Whole, 11).await;
    ends(Timeout::new(model()).first_byte(seconds(3)), Wait::FirstByte, 3).await;
    ends(Timeout::new(model()).idle(seconds(5)), Wait::NextByte, 11).await;
    ends(Timeout::new(model()).idle(seconds(1)), Wait::NextByte, 5).await;
    ends(Timeout::new(model()).first_byte(seconds(9)).idle(seconds(1)), Wait::NextByte, 5).await;
    ends(Timeout::new(model()).first_byte(seconds(9)).idle(seconds(9)).whole(seconds(10)), Wait::Whole, 10).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes_whole() {
    let adapter = Timeout::new(model()).whole(seconds(13)).first_byte(seconds(5)).idle(seconds(7));
    both_ways(&adapter, |answer, took| {
        assert_eq!(answer.expect("an answer").output, "abc");
        assert_eq!(took, 12);
    })
    .await;
    both_ways(&Timeout::new(model()), |answer, _| assert!(answer.is_ok())).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_call_is_ended_and_not_left_running() {
    let model = Scripted::new(|_| Step::answers().after(seconds(100))).concurrency(1);
    let adapter = model.clone().concurrency_limit().timeout(seconds(1));
    for _ in 0..3 {
        assert!(adapter.generate(&GenerateRequest::new("x")).await.is_err());
    }
    assert_eq!((model.calls(), model.busiest()), (3, 1));
    assert_eq!(adapter.gates()[0].state, "0 of 1 calls under way");
}
