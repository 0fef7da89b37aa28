//! It opens, lets one trial through, and closes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aura_adapters::{AdapterExt, CircuitBreaker};
use aura_core::{AdapterError, Gate, ModelAdapter};

use crate::script::{Scripted, Step, ask, busy, failed, rejected, seconds, unauthorized};

/// A model that can be taken down and put up again; while up it answers after a second.
fn switched() -> (Arc<AtomicBool>, Scripted) {
    let up = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&up);
    let model = Scripted::new(move |_| {
        if switch.load(Ordering::SeqCst) { Step::answers().after(seconds(1)) } else { Step::fails(busy(None)) }
    });
    (up, model)
}

fn gate(breaker: &CircuitBreaker<Scripted>) -> Gate {
    breaker.gates().remove(0)
}

async fn fail(breaker: &CircuitBreaker<Scripted>, times: usize) {
    for _ in 0..times {
        let error = breaker.generate(&ask()).await.expect_err("down");
        assert!(!matches!(error, AdapterError::Shut { .. }), "{error}");
    }
}

async fn is_shut(breaker: &CircuitBreaker<Scripted>, retry_after: Option<Duration>) {
    let error = breaker.generate(&ask()).await.expect_err("shut");
    assert!(matches!(error, AdapterError::Shut { gate: "circuit breaker", .. }), "{error}");
    assert_eq!(error.retry_after(), retry_after);
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_in_a_row_and_asks_nobody_then() {
    let (_, model) = switched();
    let breaker = model.clone().circuit_breaker();
    fail(&breaker, 4).await;
    assert_eq!(gate(&breaker).state, "closed, 4 failures in a row just now");
    assert!(gate(&breaker).passes);
    fail(&breaker, 1).await;
    tokio::time::sleep(seconds(18)).await;
    is_shut(&breaker, Some(seconds(12))).await;
    assert_eq!(model.calls(), 5);
    let Gate { passes, state, .. } = gate(&breaker);
    assert!(!passes);
    assert_eq!(state, "open after 5 failures in a row (script is busy: later), tried again in 12 s");
}

#[tokio::test(start_paused = true)]
async fn a_success_between_starts_the_count_anew() {
    let model = Scripted::new(|call| if call == 5 { Step::answers() } else { Step::fails(failed()) });
    let breaker = model.clone().circuit_breaker();
    fail(&breaker, 4).await;
    breaker.generate(&ask()).await.expect("an answer");
    fail(&breaker, 4).await;
    assert!(gate(&breaker).passes);
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_once_when_only_an_operator_can_help() {
    let model = Scripted::new(|_| Step::fails(unauthorized()));
    let breaker = model.clone().circuit_breaker();
    fail(&breaker, 1).await;
    is_shut(&breaker, Some(seconds(30))).await;
    assert!(gate(&breaker).state.starts_with("open after 1 failure (script does not accept the key"));
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_about_the_vendor_never_opens_it() {
    let refused = || AdapterError::Refused("no".to_owned());
    let shut = || AdapterError::Shut { gate: "budget", reason: String::new(), retry_after: None };
    for error in [refused as fn() -> _, rejected, shut] {
        let breaker = Scripted::new(move |_| Step::fails(error())).circuit_breaker().failures(1);
        for _ in 0..10 {
            assert!(breaker.generate(&ask()).await.is_err());
        }
        assert_eq!(gate(&breaker).state, "closed");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_cooldown_the_gate_passes_and_exactly_one_trial_does() {
    let (up, model) = switched();
    let breaker = model.clone().circuit_breaker();
    fail(&breaker, 5).await;
    tokio::time::sleep(seconds(30)).await;
    assert!(gate(&breaker).passes, "else no scheduler would ever send the trial");
    assert!(gate(&breaker).state.ends_with("the next call is a trial"), "{:?}", gate(&breaker));
    up.store(true, Ordering::SeqCst);
    let request = ask();
    let others = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let Gate { passes, state, .. } = gate(&breaker);
        assert!(!passes && state.ends_with("a trial is under way"), "{state}");
        for _ in 0..3 {
            is_shut(&breaker, Some(seconds(1))).await;
        }
    };
    let (trial, ()) = tokio::join!(breaker.generate(&request), others);
    trial.expect("an answer");
    assert_eq!(model.calls(), 6);
    assert_eq!(gate(&breaker).state, "closed");
    breaker.generate(&ask()).await.expect("all pass again");
}

#[tokio::test(start_paused = true)]
async fn a_failed_trial_doubles_the_cooldown_up_to_the_longest() {
    let (up, model) = switched();
    let breaker = model.clone().circuit_breaker().longest_cooldown(seconds(100));
    fail(&breaker, 5).await;
    for cooldown in [30, 60, 100, 100] {
        is_shut(&breaker, Some(seconds(cooldown))).await;
        tokio::time::sleep(seconds(cooldown)).await;
        fail(&breaker, 1).await;
    }
    up.store(true, Ordering::SeqCst);
    tokio::time::sleep(seconds(100)).await;
    breaker.generate(&ask()).await.expect("an answer");
    up.store(false, Ordering::SeqCst);
    fail(&breaker, 5).await;
    is_shut(&breaker, Some(seconds(30))).await;
}

#[tokio::test(start_paused = true)]
async fn it_stays_open_as_long_as_the_vendor_asks() {
    let model = Scripted::new(|_| Step::fails(busy(Some(seconds(90)))));
    let breaker = model.circuit_breaker().failures(1);
    fail(&breaker, 1).await;
    is_shut(&breaker, Some(seconds(90))).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_trial_makes_room_for_another() {
    let (up, model) = switched();
    let breaker = model.clone().circuit_breaker();
    fail(&breaker, 5).await;
    tokio::time::sleep(seconds(30)).await;
    up.store(true, Ordering::SeqCst);
    let request = ask();
    assert!(tokio::time::timeout(Duration::from_millis(10), breaker.generate(&request)).await.is_err());
    assert!(gate(&breaker).passes, "{:?}", gate(&breaker));
    breaker.generate(&ask()).await.expect("an answer");
    assert_eq!(gate(&breaker).state, "closed");
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_it_opened_neither_close_nor_prolong_it() {
    let slow = |call| match call {
        1 => Step::answers().after(seconds(10)),
        2 => Step::fails(failed()).pieces(vec![(seconds(20), "x")]),
        _ => Step::fails(failed()),
    };
    let breaker = Scripted::new(slow).circuit_breaker().failures(2);
    let request = ask();
    let then = async {
        tokio::time::sleep(seconds(1)).await;
        fail(&breaker, 2).await;
        tokio::time::sleep(seconds(24)).await;
        is_shut(&breaker, Some(seconds(6))).await;
    };
    let (first, second, ()) = tokio::join!(breaker.generate(&request), breaker.generate(&request), then);
    assert!(first.is_ok() && second.is_err());
}
