//! What every adapter promises; a promise that is broken panics.

#![expect(clippy::panic, reason = "a suite fails by panicking")]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    contract::{Health, ModelAdapter},
    generation::GenerateRequest,
};

fn request() -> GenerateRequest {
    let prompt = "Write add(a, b) that adds two numbers.";
    GenerateRequest { max_tokens: Some(64), timeout: Duration::from_secs(60), ..GenerateRequest::new(prompt) }
}

/// The profile does not change, and the model works on at least one job at a time.
pub async fn its_profile_is_the_same_before_and_after_work(adapter: &dyn ModelAdapter) {
    let before = adapter.profile().clone();
    let _answer = adapter.generate(&request()).await;
    assert_eq!(adapter.profile(), &before);
    assert!(before.concurrency > 0, "concurrency is 0: it could never work");
    assert!(!before.identity.provider.is_empty() && !before.identity.model.is_empty(), "{:?}", before.identity);
}

/// A generation holds an answer, and what the answer holds is among its artifacts.
pub async fn a_generation_holds_an_answer(adapter: &dyn ModelAdapter) {
    match adapter.generate(&request()).await {
        Ok(generation) => {
            assert!(!generation.output.is_empty(), "an empty answer is an error of the vendor");
            assert!(!generation.artifacts.is_empty(), "nothing of {:?} would be stored", generation.output);
        }
        Err(error) => panic!("{error}"),
    }
}

/// The deltas of a stream are the output of its generation, piece by piece.
pub async fn a_stream_tells_of_the_very_output(adapter: &dyn ModelAdapter) {
    let told = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&told);
    let sink = Arc::new(move |delta: &str| {
        shared.lock().unwrap_or_else(PoisonError::into_inner).push_str(delta);
    });
    match adapter.stream(&request(), sink).await {
        Ok(generation) => {
            assert_eq!(*told.lock().unwrap_or_else(PoisonError::into_inner), generation.output);
            assert!(!generation.artifacts.is_empty(), "nothing of {:?} would be stored", generation.output);
        }
        Err(error) => panic!("{error}"),
    }
}

/// A worker that stops drops the future: nothing of it may be left to harm the next call.
pub async fn a_dropped_call_does_not_harm_the_next(adapter: &dyn ModelAdapter) {
    let request = request();
    drop(tokio::time::timeout(Duration::ZERO, adapter.generate(&request)).await);
    a_generation_holds_an_answer(adapter).await;
}

/// A model that works is not called unhealthy. A stub is: nobody works there.
pub async fn a_model_that_answers_is_not_unhealthy(adapter: &dyn ModelAdapter) {
    match (adapter.health().await, &adapter.profile().stub) {
        (Health::Healthy | Health::Unknown, Some(why)) => panic!("a stub calls itself healthy: {why}"),
        (Health::Unhealthy(why), None) => panic!("{why}"),
        _ => {}
    }
}

/// Runs every promise of an adapter as a test of its own. The expression makes a fresh one for each and may await.
#[macro_export]
macro_rules! adapter_conformance {
    ($name:ident, $adapter:expr) => {
        mod $name {
            use super::*;

            $crate::promises! { adapter, $adapter;
                its_profile_is_the_same_before_and_after_work
                a_generation_holds_an_answer
                a_stream_tells_of_the_very_output
                a_dropped_call_does_not_harm_the_next
                a_model_that_answers_is_not_unhealthy
            }
        }
    };
}
