//! Never more at once, and never more a minute, than was said.

use std::{sync::Arc, time::Duration};

use aura_adapters::{AdapterExt, RateLimit};
use aura_core::{AdapterError, GenerateRequest, ModelAdapter};
use futures::future::join_all;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::script::{Scripted, Step, Text, ask, failed, seconds, unreachable};

/// As many calls at the same time, each as a task of its own.
async fn all_at_once<A: ModelAdapter + 'static>(adapter: &Arc<A>, calls: usize) -> Vec<Result<(), AdapterError>> {
    let tasks = (0..calls).map(|call| {
        let adapter = Arc::clone(adapter);
        tokio::spawn(async move {
            let answer = if call % 2 == 0 {
                adapter.generate(&ask()).await
            } else {
                adapter.stream(&ask(), Arc::new(Text::default())).await
            };
            answer.map(drop)
        })
    });
    join_all(tasks).await.into_iter().map(|task| task.expect("joins")).collect()
}

#[tokio::test(start_paused = true)]
async fn there_are_never_more_calls_at_once_than_the_profile_says() {
    let model = Scripted::new(|_| Step::answers().after(seconds(1))).concurrency(3);
    let adapter = Arc::new(model.clone().concurrency_limit());
    assert!(all_at_once(&adapter, 20).await.iter().all(Result::is_ok));
    assert_eq!((model.calls(), model.busiest()), (20, 3));
    assert_eq!(model.starts().last(), Some(&seconds(6)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_place_back() {
    let model = Scripted::new(|_| Step::answers().after(seconds(5)));
    let adapter = model.clone().concurrency_limit();
    let request = ask();
    for _ in 0..3 {
        assert!(tokio::time::timeout(seconds(1), adapter.generate(&request)).await.is_err());
    }
    assert_eq!(model.calls(), 3);
}

/// Most that began within any minute.
fn most_in_a_minute(starts: &[Duration]) -> usize {
    let within = |from: &Duration| starts.iter().filter(|at| *at >= from && **at < *from + seconds(60)).count();
    starts.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn within_any_minute_there_are_no_more_requests_than_said() {
    let model = Scripted::new(|_| Step::answers());
    let adapter = Arc::new(model.clone().rate_limit().requests_per_minute(10).max_wait(seconds(600)));
    tokio::time::sleep(seconds(300)).await;
    assert!(all_at_once(&adapter, 35).await.iter().all(Result::is_ok));
    let starts = model.starts();
    assert_eq!((starts.len(), most_in_a_minute(&starts)), (35, 10));
    // Not slower than allowed either; tokio's timer rounds up to a millisecond.
    assert!(*starts.last().expect("a call") < seconds(181), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_for_which_there_will_be_no_room_in_time_is_told_so_at_once() {
    let model = Scripted::new(|_| Step::answers());
    let adapter = model.clone().rate_limit().requests_per_minute(1).max_wait(seconds(10));
    adapter.generate(&ask()).await.expect("an answer");
    tokio::time::sleep(seconds(5)).await;
    let started = Instant::now();
    let error = adapter.generate(&ask()).await.expect_err("no room");
    assert!(matches!(&error, AdapterError::Shut { gate: "rate limit", .. }), "{error}");
    assert_eq!((error.retry_after(), started.elapsed()), (Some(seconds(55)), seconds(0)));
    let gate = adapter.gates().remove(0);
    assert!(!gate.passes, "{gate:?}");
    assert!(gate.state.starts_with("1 of 1 requests and "), "{gate:?}");
    tokio::time::sleep(seconds(45)).await;
    assert!(adapter.gates()[0].passes);
    adapter.generate(&ask()).await.expect("there is room after 10 s more");
}

/// A request that is estimated at exactly 1,000 tokens.
fn of_a_thousand_tokens() -> GenerateRequest {
    GenerateRequest { max_tokens: Some(400), ..GenerateRequest::new("x".repeat(300)) }
}

fn with_tokens(model: &Scripted) -> RateLimit<Scripted> {
    model.clone().rate_limit().tokens_per_minute(2000)
}

#[tokio::test(start_paused = true)]
async fn tokens_are_estimated_before_and_corrected_by_what_was_used() {
    let model = Scripted::new(|_| Step::answers().using(50, 50));
    let adapter = with_tokens(&model);
    for _ in 0..11 {
        adapter.generate(&of_a_thousand_tokens()).await.expect("an answer");
    }
    assert_eq!(
        model.starts().last(),
        Some(&seconds(0)),
        "11 calls used 1100 tokens, so that each had its 1000 to hold"
    );
    assert_eq!(adapter.gates()[0].state, "11 requests and 1100 of 2000 tokens in the last minute");
    adapter.generate(&of_a_thousand_tokens()).await.expect("an answer");
    assert_eq!(model.starts().last(), Some(&seconds(60)));
}

#[tokio::test(start_paused = true)]
async fn where_the_vendor_counts_nothing_the_estimate_stays_and_where_nobody_was_asked_none_does() {
    let shut = || AdapterError::Shut { gate: "other", reason: String::new(), retry_after: None };
    for (error, left) in [
        (failed as fn() -> _, "1 requests and 1000 of 2000"),
        (unreachable, "1 requests and 0 of 2000"),
        (shut, "0 requests and 0 of 2000"),
    ] {
        let model = Scripted::new(move |_| Step::fails(error()));
        let adapter = with_tokens(&model);
        assert!(adapter.generate(&of_a_thousand_tokens()).await.is_err());
        assert!(adapter.gates()[0].state.starts_with(left), "{:?}", adapter.gates());
    }
    let uncounted = Scripted::new(|_| Step::answers());
    let adapter = with_tokens(&uncounted);
    adapter.generate(&of_a_thousand_tokens()).await.expect("an answer");
    assert_eq!(adapter.gates()[0].state, "1 requests and 1000 of 2000 tokens in the last minute");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_let_in_as_soon_as_a_call_turns_out_smaller() {
    let model = Scripted::new(|_| Step::answers().after(seconds(2)).using(1, 1));
    let adapter = with_tokens(&model).tokens_per_minute(2500);
    let request = of_a_thousand_tokens();
    assert!(join_all((0..4).map(|_| adapter.generate(&request))).await.iter().all(Result::is_ok));
    assert_eq!(model.starts(), [0, 0, 2, 2].map(seconds));
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_whole_minute_passes_when_nothing_else_was_used() {
    let model = Scripted::new(|_| Step::answers());
    let adapter = with_tokens(&model);
    let huge = GenerateRequest { max_tokens: Some(50_000), ..ask() };
    adapter.generate(&huge).await.expect("an answer");
    adapter.generate(&huge).await.expect("an answer");
    assert_eq!(model.starts(), [seconds(0), seconds(60)]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_the_queue() {
    let model = Scripted::new(|_| Step::answers());
    let adapter = model.clone().rate_limit().requests_per_minute(1);
    let request = ask();
    adapter.generate(&request).await.expect("an answer");
    assert!(tokio::time::timeout(seconds(1), adapter.generate(&request)).await.is_err());
    adapter.generate(&request).await.expect("an answer");
    assert_eq!(model.starts(), [seconds(0), seconds(60)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_minute_ever_holds_more_whatever_comes_when(
        gaps in proptest::collection::vec(0_u64..20, 1..60),
        limit in 1_u32..8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let starts = runtime.block_on(async {
            let model = Scripted::new(|_| Step::answers().using(300, 0));
            let adapter = model.clone().rate_limit().requests_per_minute(limit).max_wait(seconds(100_000));
            let mut at = 0;
            let calls = gaps.iter().map(|gap| {
                at += gap;
                let (adapter, wait) = (&adapter, seconds(at));
                async move {
                    tokio::time::sleep(wait).await;
                    adapter.generate(&ask()).await.map(drop)
                }
            });
            assert!(join_all(calls).await.iter().all(Result::is_ok));
            model.starts()
        });
        prop_assert_eq!(starts.len(), gaps.len());
        prop_assert!(most_in_a_minute(&starts) <= limit as usize, "{:?}", starts);
    }
}
