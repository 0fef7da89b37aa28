//! The layers keep every promise of an adapter, alone and in any order, and each keeps its own.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod budget;
mod cache;
mod circuit_breaker;
mod limits;
mod retry;
mod script;
mod timeout;
mod trace;

use std::sync::Arc;

use aura_adapters::{
    AdapterExt, Budget, Cache, Cap, CircuitBreaker, ConcurrencyLimit, Ledger, OfflineAdapter, RateLimit, Recordings,
    Retry, Timeout, Trace, with_default_layers,
};
use aura_core::{Health, ModelAdapter};

use script::{Scripted, Step, ask, busy, seconds};

fn offline() -> OfflineAdapter {
    OfflineAdapter::builder("employee_careful").build().expect("builds")
}

/// Fails once in a way that may pass.
fn shaky() -> OfflineAdapter {
    OfflineAdapter::builder("employee_shaky").failing(1, || busy(None)).build().expect("builds")
}

fn ledger() -> Ledger {
    Ledger::new().per_day(Cap::tokens(1_000_000))
}

aura_core::adapter_conformance!(with_retry, Retry::new(offline()));
aura_core::adapter_conformance!(with_retry_of_a_shaky_one, Retry::new(shaky()).base(seconds(0)));
aura_core::adapter_conformance!(with_timeout, Timeout::new(offline()).whole(seconds(60)));
aura_core::adapter_conformance!(
    with_every_timeout,
    Timeout::new(offline()).whole(seconds(60)).first_byte(seconds(30)).idle(seconds(10))
);
aura_core::adapter_conformance!(with_concurrency_limit, ConcurrencyLimit::new(offline()));
aura_core::adapter_conformance!(
    with_rate_limit,
    RateLimit::new(offline()).requests_per_minute(100).tokens_per_minute(100_000)
);
aura_core::adapter_conformance!(with_circuit_breaker, CircuitBreaker::new(offline()));
aura_core::adapter_conformance!(with_budget, Budget::new(offline(), ledger()));
aura_core::adapter_conformance!(with_trace, Trace::new(offline()));
aura_core::adapter_conformance!(with_cache, Cache::new(offline(), Recordings::in_memory()));
aura_core::adapter_conformance!(with_default, with_default_layers(offline()));
aura_core::adapter_conformance!(
    with_default_over_dyn,
    with_default_layers(Arc::new(offline()) as Arc<dyn ModelAdapter>)
);
aura_core::adapter_conformance!(
    one_way_around,
    offline()
        .cache(Recordings::in_memory())
        .budget(ledger())
        .rate_limit()
        .concurrency_limit()
        .timeout(seconds(60))
        .retry()
        .circuit_breaker()
        .trace()
);
aura_core::adapter_conformance!(
    the_other_way_around,
    shaky()
        .trace()
        .circuit_breaker()
        .retry()
        .base(seconds(0))
        .timeout(seconds(60))
        .idle(seconds(10))
        .concurrency_limit()
        .rate_limit()
        .budget(ledger())
        .cache(Recordings::in_memory())
);
aura_core::adapter_conformance!(
    each_twice,
    shaky()
        .timeout(seconds(60))
        .retry()
        .base(seconds(0))
        .budget(ledger())
        .trace()
        .timeout(seconds(60))
        .budget(ledger())
        .retry()
);

#[tokio::test]
async fn every_layer_forwards_profile_health_and_gates() {
    let model = || Scripted::new(|_| Step::answers());
    let layers: Vec<Box<dyn ModelAdapter>> = vec![
        Box::new(model().retry()),
        Box::new(model().timeout(seconds(1))),
        Box::new(model().concurrency_limit()),
        Box::new(model().rate_limit()),
        Box::new(model().circuit_breaker()),
        Box::new(model().budget(ledger())),
        Box::new(model().trace()),
        Box::new(model().cache(Recordings::in_memory())),
    ];
    for layer in layers {
        assert_eq!(layer.profile(), model().profile(), "{layer:?}");
        assert_eq!(layer.health().await, Health::Unhealthy("the script says so".to_owned()), "{layer:?}");
        let gates = layer.gates();
        assert_eq!(gates.last().expect("a gate").name, "script", "{layer:?}");
        assert!(gates.len() <= 2 && gates.iter().all(|gate| gate.passes), "{gates:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_next_try_gives_its_place_to_another() {
    let model = Scripted::new(|call| if call == 1 { Step::fails(busy(Some(seconds(10)))) } else { Step::answers() });
    let layers = Arc::new(with_default_layers(model.clone()));
    let first = tokio::spawn({
        let layers = Arc::clone(&layers);
        async move { layers.generate(&ask()).await }
    });
    tokio::time::sleep(seconds(1)).await;
    layers.generate(&ask()).await.expect("an answer");
    first.await.expect("joins").expect("an answer");
    assert_eq!(model.starts(), [seconds(0), seconds(1), seconds(10)]);
    assert_eq!(model.busiest(), 1);
}
