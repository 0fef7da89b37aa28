//! What is spent never exceeds what was set aside.

use std::{sync::Arc, time::Duration};

use aura_adapters::{AdapterExt, Amount, Cap, Ledger};
use aura_core::{AdapterError, GenerateRequest, ModelAdapter, Price, ProjectId, Usd, VirtualClock};
use proptest::prelude::*;

use crate::script::{
    Scripted, Step, Text, ask, busy, failed, rejected, seconds, truncated, unauthorized, unknown, unreachable,
};

/// A request that is held for with exactly 1,000 tokens, 600 of them read: $0.0014 at [`price`].
fn of_a_thousand_tokens() -> GenerateRequest {
    GenerateRequest { max_tokens: Some(400), ..GenerateRequest::new("x".repeat(300)) }
}

fn price() -> Price {
    Price::per_million(1.0, 2.0).expect("a price")
}

fn usd(dollars: f64) -> Usd {
    Usd::dollars(dollars).expect("an amount")
}

fn is_refused(answer: Result<aura_core::Generation, AdapterError>) -> (String, Option<Duration>) {
    match answer {
        Err(AdapterError::Shut { gate: "budget", reason, retry_after }) => (reason, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_held_for_at_its_worst_and_settled_at_what_it_used() {
    let model = Scripted::new(|_| Step::answers().after(seconds(1)).using(100, 50)).price(price());
    let ledger = Ledger::new().per_day(Cap::money(usd(0.01)));
    let adapter = model.budget(ledger.clone());
    let request = of_a_thousand_tokens();
    let look = async {
        let gate = adapter.gates().remove(0);
        assert_eq!(gate.state, "$0.0014 of $0.01 spent today, $0.0014 of them held for calls under way");
    };
    let (answer, ()) = tokio::join!(adapter.generate(&request), look);
    answer.expect("an answer");
    assert_eq!(ledger.spent_today(), Amount::new(usd(0.0002), 150));
    assert_eq!(ledger.spent_for(ProjectId::default()), ledger.spent_today());
}

#[tokio::test(start_paused = true)]
async fn what_the_vendor_does_not_count_is_spent_at_its_worst() {
    let ledger = Ledger::new().per_day(Cap::tokens(10_000));
    let adapter = Scripted::new(|_| Step::answers()).price(price()).budget(ledger.clone());
    adapter.stream(&of_a_thousand_tokens(), Arc::new(Text::default())).await.expect("an answer");
    assert_eq!(ledger.spent_today(), Amount::new(usd(0.0014), 1000));
}

#[tokio::test(start_paused = true)]
async fn errors_that_cannot_be_billed_release_and_others_keep() {
    let shut = || AdapterError::Shut { gate: "other", reason: String::new(), retry_after: None };
    let quota = || AdapterError::QuotaExhausted { provider: String::new(), message: String::new() };
    let late = || AdapterError::TimedOut { what: aura_core::Wait::Whole, limit: seconds(1) };
    let slow_down = || busy(None);
    let released: [fn() -> AdapterError; 7] = [unreachable, shut, rejected, unauthorized, slow_down, unknown, quota];
    let kept: [fn() -> AdapterError; 3] = [late, truncated, failed];
    for (errors, spent) in [(&released[..], 0), (&kept[..], 1000)] {
        for error in errors.iter().copied() {
            let ledger = Ledger::new().per_day(Cap::tokens(10_000));
            let adapter = Scripted::new(move |_| Step::fails(error())).budget(ledger.clone());
            assert!(adapter.generate(&of_a_thousand_tokens()).await.is_err());
            assert_eq!(ledger.spent_today().tokens, spent, "{}", error());
            assert!(adapter.gates()[0].state.contains(", 0 of them held"), "{:?}", adapter.gates());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_spent_in_full() {
    let ledger = Ledger::new().per_day(Cap::tokens(10_000));
    let adapter = Scripted::new(|_| Step::answers().after(seconds(9))).budget(ledger.clone());
    let request = of_a_thousand_tokens();
    assert!(tokio::time::timeout(seconds(1), adapter.generate(&request)).await.is_err());
    assert_eq!(ledger.spent_today().tokens, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_run_a_day_and_a_project_each_have_their_cap() {
    let model = Scripted::new(|_| Step::answers().using(600, 400)).price(price());
    let other_project = GenerateRequest { project: ProjectId(7), ..of_a_thousand_tokens() };

    let run = model.clone().budget(Ledger::new().per_run(Cap::money(usd(0.001))));
    let (reason, retry_after) = is_refused(run.generate(&of_a_thousand_tokens()).await);
    assert!(reason.contains("may spend $0.0014 and 1000 tokens and a run $0.001:"), "{reason}");
    assert_eq!(retry_after, None);

    let project = model.clone().budget(Ledger::new().per_project(Cap::tokens(1500)));
    project.generate(&of_a_thousand_tokens()).await.expect("an answer");
    assert!(is_refused(project.generate(&of_a_thousand_tokens()).await).0.contains("raise Ledger::per_project"));
    assert!(project.gates()[0].passes);
    project.generate(&other_project).await.expect("another project has its own");

    let clock = Arc::new(VirtualClock::default());
    let ledger = Ledger::new().per_day(Cap::tokens(1500)).clock(clock.clone());
    let day = model.clone().budget(ledger.clone());
    day.generate(&of_a_thousand_tokens()).await.expect("an answer");
    let (reason, retry_after) = is_refused(day.generate(&other_project).await);
    assert!(reason.contains("$0.0014 and 1000 tokens of 1500 tokens today are spent"), "{reason}");
    assert_eq!(retry_after, Some(seconds(12 * 3600)), "the clock stands at noon");
    assert!(!day.gates()[0].passes, "{:?}", day.gates());

    clock.advance(seconds(12 * 3600));
    assert!(day.gates()[0].passes, "{:?}", day.gates());
    day.generate(&other_project).await.expect("a new day");
    assert_eq!(ledger.spent_today().tokens, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_to_the_day_in_which_it_ends_and_is_held_for_till_then() {
    let clock = Arc::new(VirtualClock::default());
    let ledger = Ledger::new().per_day(Cap::tokens(1500)).clock(clock.clone());
    let adapter = Scripted::new(|_| Step::answers().after(seconds(1)).using(600, 300)).budget(ledger.clone());
    let request = of_a_thousand_tokens();
    let midnight = async {
        clock.advance(seconds(12 * 3600));
        let (_, retry_after) = is_refused(adapter.generate(&request).await);
        assert_eq!(retry_after, Some(seconds(5)), "there may be room as soon as the first call ends");
    };
    let (first, ()) = tokio::join!(adapter.generate(&request), midnight);
    first.expect("an answer");
    assert_eq!(ledger.spent_today().tokens, 900);
}

#[tokio::test(start_paused = true)]
async fn what_a_store_knows_is_carried_over_a_restart() {
    let ledger = Ledger::new().per_day(Cap::tokens(1500)).per_project(Cap::tokens(5000));
    ledger.carry_today(ProjectId::default(), Amount::new(usd(0.5), 400));
    ledger.carry_earlier(ProjectId::default(), Amount::new(usd(2.0), 4000));
    assert_eq!(ledger.spent_today(), Amount::new(usd(0.5), 400));
    assert_eq!(ledger.spent_for(ProjectId::default()), Amount::new(usd(2.5), 4400));
    let adapter = Scripted::new(|_| Step::answers()).budget(ledger);
    assert!(is_refused(adapter.generate(&of_a_thousand_tokens()).await).0.contains("for project 0"));
}

#[tokio::test(start_paused = true)]
async fn adapters_with_the_same_ledger_spend_from_the_same_caps() {
    let ledger = Ledger::new().per_day(Cap::tokens(1500));
    let [first, second] = [1, 2].map(|_| Scripted::new(|_| Step::answers().using(600, 400)).budget(ledger.clone()));
    first.generate(&of_a_thousand_tokens()).await.expect("an answer");
    is_refused(second.generate(&of_a_thousand_tokens()).await);
}

#[tokio::test(start_paused = true)]
async fn money_cannot_be_limited_without_a_price() {
    let adapter = Scripted::new(|_| Step::answers()).budget(Ledger::new().per_day(Cap::money(usd(1.0))));
    let error = adapter.generate(&ask()).await.expect_err("no price");
    assert!(matches!(&error, AdapterError::Setup(why) if why.contains("employee_scripted")), "{error}");

    let free =
        Scripted::new(|_| Step::answers()).price(Price::FREE).budget(Ledger::new().per_day(Cap::money(Usd::ZERO)));
    assert!(free.gates()[0].passes);
    free.generate(&ask()).await.expect("what costs nothing passes every cap of money");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_bound_is_sent_with_one() {
    let model = Scripted::new(|_| Step::answers());
    let adapter = model.clone().budget(Ledger::new()).max_tokens(123);
    adapter.generate(&ask()).await.expect("an answer");
    assert_eq!(model.requests()[0].max_tokens, Some(123));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Each call: how long it takes, the share of its worst that it uses, how it ends, when it is dropped.
    #[test]
    fn concurrent_calls_never_overshoot(
        calls in proptest::collection::vec((0_u64..5, 0_u64..=400, 0_u8..4, 0_u64..8), 1..80),
        cap in 0_u64..20_000,
        threads in 1_usize..3,
    ) {
        // Virtual time needs one thread; with two the clock runs, and no call takes any time.
        let mut runtime = if threads == 1 {
            tokio::runtime::Builder::new_current_thread()
        } else {
            tokio::runtime::Builder::new_multi_thread()
        };
        let runtime = runtime.enable_time().start_paused(threads == 1).worker_threads(threads).build().unwrap();
        runtime.block_on(async {
            let script = calls.clone();
            let model = Scripted::new(move |call| {
                let (takes, output, end, _) = script[call - 1];
                let takes = if threads == 1 { seconds(takes) } else { Duration::ZERO };
                match end {
                    0 => Step::fails(busy(None)),
                    1 => Step::fails(failed()).pieces(vec![(takes, "x")]),
                    _ => Step::answers().after(takes).using(600, output),
                }
            }).price(price());
            let ledger = Ledger::new().per_day(Cap::tokens(cap)).per_project(Cap::money(usd(0.02)));
            let adapter = Arc::new(model.clone().budget(ledger.clone()));
            let tasks: Vec<_> = calls.iter().map(|&(_, _, _, patience)| {
                let (adapter, ledger) = (Arc::clone(&adapter), ledger.clone());
                tokio::spawn(async move {
                    let request = of_a_thousand_tokens();
                    let _answer = tokio::time::timeout(seconds(patience), adapter.generate(&request)).await;
                    assert!(ledger.spent_today().tokens <= cap);
                    assert!(ledger.spent_for(ProjectId::default()).money <= usd(0.02));
                })
            }).collect();
            for task in tasks {
                task.await.expect("within the caps");
            }
            let gate = adapter.gates().remove(0);
            assert!(gate.state.ends_with(", 0 of them held for calls under way"), "{}", gate.state);
            assert!(model.busiest() as u64 <= cap / 1000, "more were under way than there was room to hold for");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_day_allows_has_nothing_to_wait_for() {
    let adapter = Scripted::new(|_| Step::answers()).budget(Ledger::new().per_day(Cap::tokens(900)));
    assert_eq!(is_refused(adapter.generate(&of_a_thousand_tokens()).await).1, None);
}
