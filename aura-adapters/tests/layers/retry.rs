//! What is tried again, when, and how often.

use std::{sync::Arc, time::Duration};

use aura_adapters::{AdapterExt, RetryBudget};
use aura_core::{AdapterError, DeltaSink, GenerateRequest, ModelAdapter, Usage};

use crate::script::{Scripted, Step, Text, ask, busy, failed, rejected, seconds, truncated, unauthorized, unknown};

#[tokio::test(start_paused = true)]
async fn it_comes_back_when_the_vendor_said_and_not_before() {
    let model = Scripted::new(|call| if call < 3 { Step::fails(busy(Some(seconds(7)))) } else { Step::answers() });
    model.clone().retry().generate(&ask()).await.expect("an answer");
    assert_eq!(model.starts(), [seconds(0), seconds(7), seconds(14)]);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_at_once_when_the_vendor_asks_for_too_long_a_wait() {
    let model = Scripted::new(|_| Step::fails(busy(Some(seconds(61)))));
    assert!(model.clone().retry().generate(&ask()).await.is_err());
    assert_eq!(model.calls(), 1);
    let patient = model.clone().retry().max_wait(seconds(61)).tries(2);
    assert!(patient.generate(&ask()).await.is_err());
    assert_eq!(model.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_when_the_requests_own_time_would_pass() {
    let model = Scripted::new(|_| Step::fails(busy(Some(seconds(7)))));
    let request = GenerateRequest { timeout: seconds(10), ..ask() };
    assert!(matches!(model.clone().retry().generate(&request).await, Err(AdapterError::Busy { .. })));
    assert_eq!(model.starts(), [seconds(0), seconds(7)]);
    let timeouts: Vec<_> = model.requests().iter().map(|request| request.timeout).collect();
    assert_eq!(timeouts, [seconds(10), seconds(3)], "a later try has only what is left");
}

#[tokio::test(start_paused = true)]
async fn without_a_word_of_the_vendor_waits_are_drawn_under_a_bound_that_doubles() {
    let mut waits = Vec::new();
    for _ in 0..50 {
        let model = Scripted::new(|_| Step::fails(failed()));
        assert!(model.clone().retry().tries(5).cap(seconds(2)).generate(&ask()).await.is_err());
        let starts = model.starts();
        assert_eq!(starts.len(), 5);
        let bounds = [500, 1000, 2000, 2000].map(Duration::from_millis);
        for (pair, bound) in starts.windows(2).zip(bounds) {
            // tokio's timer rounds up to a millisecond.
            assert!(pair[1] - pair[0] <= bound + Duration::from_millis(1), "{starts:?}");
        }
        waits.push(starts[1]);
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 10, "the waits are all alike: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_is_never_tried_again() {
    let shut = || AdapterError::Shut { gate: "budget", reason: "spent".to_owned(), retry_after: None };
    let refused = || AdapterError::Refused("no".to_owned());
    for error in [rejected, unauthorized, unknown, shut, refused] {
        let model = Scripted::new(move |_| Step::fails(error()));
        assert!(model.clone().retry().generate(&ask()).await.is_err());
        assert!(model.clone().retry().stream(&ask(), Arc::new(Text::default())).await.is_err());
        assert_eq!(model.calls(), 2, "{}", error());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_vendor_is_hardly_asked_more_often_than_there_are_calls() {
    let model = Scripted::new(|_| Step::fails(busy(Some(Duration::ZERO))));
    let layer = model.clone().retry().retry_budget(RetryBudget::new(10, 4));
    for _ in 0..100 {
        assert!(layer.generate(&ask()).await.is_err());
    }
    assert_eq!(model.calls(), 114);
    assert_eq!(layer.gates()[0].state, "14 of 14 retries made in the last minute");
    tokio::time::sleep(seconds(65)).await;
    assert!(layer.generate(&ask()).await.is_err());
    assert_eq!(model.calls(), 117, "a minute later there are retries again");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_tried_again_only_while_nothing_was_told() {
    let silent = Scripted::new(|call| if call == 1 { Step::fails(truncated()) } else { Step::answers() });
    let text = Arc::new(Text::default());
    silent.clone().retry().stream(&ask(), text.clone()).await.expect("an answer");
    assert_eq!((silent.calls(), text.read().as_str()), (2, "ok"));

    let told = Scripted::new(|_| Step::fails(truncated()).pieces(vec![(seconds(0), "hal")]));
    let text = Arc::new(Text::default());
    let error = told.clone().retry().stream(&ask(), text.clone()).await.expect_err("broke off");
    assert!(matches!(error, AdapterError::Truncated { .. }));
    assert_eq!((told.calls(), text.read().as_str()), (1, "hal"));
}

#[tokio::test(start_paused = true)]
async fn after_a_try_that_may_have_been_billed_the_usage_is_absent_and_not_too_small() {
    for error in [truncated, failed] {
        let model = Scripted::new(move |call| match call {
            1 => Step::fails(error()),
            2 => Step::fails(busy(None)),
            _ => Step::answers().using(10, 5),
        });
        let generation = model.clone().retry().generate(&ask()).await.expect("an answer");
        assert_eq!((model.calls(), generation.usage), (3, Usage::default()));
        let remark = "[an earlier try may have been billed, so that what was used up is not known]";
        assert!(generation.explanation.ends_with(remark), "{}", generation.explanation);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_after_a_try_that_may_have_been_billed_says_so_and_is_else_that_of_the_last_try() {
    let model = Scripted::new(|call| Step::fails(if call == 1 { truncated() } else { busy(Some(seconds(1))) }));
    let error = model.clone().retry().generate(&ask()).await.expect_err("it fails");
    assert!(error.may_have_been_billed(), "{error:?}");
    assert!(matches!(error.last_try(), AdapterError::Busy { .. }), "{error:?}");
    assert_eq!((error.is_retryable(), error.retry_after()), (true, Some(seconds(1))));
    assert_eq!(error.to_string(), busy(None).to_string());

    let model = Scripted::new(|_| Step::fails(busy(None)));
    let error = model.clone().retry().generate(&ask()).await.expect_err("it fails");
    assert!(!error.may_have_been_billed(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_try_that_was_not_billed_the_usage_is_kept() {
    let model = Scripted::new(|call| if call == 1 { Step::fails(busy(None)) } else { Step::answers().using(10, 5) });
    let generation = model.clone().retry().generate(&ask()).await.expect("an answer");
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(10), Some(5)));
    assert!(!generation.explanation.contains("billed"), "{}", generation.explanation);
}

/// A sink that can begin anew.
#[derive(Default)]
struct Draft(std::sync::Mutex<String>);

impl DeltaSink for Draft {
    fn delta(&self, text: &str) {
        self.0.lock().expect("lock").push_str(text);
    }

    fn restart(&self) -> bool {
        self.0.lock().expect("lock").clear();
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_broke_off_is_tried_again_where_what_was_told_can_be_taken_back() {
    let model = Scripted::new(|call| match call {
        1 => Step::fails(truncated()).pieces(vec![(seconds(0), "hal")]),
        _ => Step::answers(),
    });
    let draft = Arc::new(Draft::default());
    let layered = model.clone().timeout(seconds(60)).retry();
    layered.stream(&ask(), draft.clone()).await.expect("an answer");
    assert_eq!((model.calls(), draft.0.lock().expect("lock").as_str()), (2, "ok"));
}
