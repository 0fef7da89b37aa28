#![doc = include_str!("../README.md")]

pub use aura_adapters as adapters;
pub use aura_core as core;
#[cfg(feature = "http")]
pub use aura_http as http;
pub use aura_sandbox as sandbox;
pub use aura_scoring as scoring;
pub use aura_store as store;

pub mod prelude;

/// A builder that has the formula's scorer and the strongest sandbox of this machine in place; give it a store and
/// employees.
///
/// Where no sandbox works, one that isolates nothing takes its place and says so: tests of model-written code are then not
/// run unless the operator allowed it.
///
/// [`Orchestra::builder`](prelude::Orchestra::builder) is the same without any choice made.
#[must_use = "nothing happens before `start`"]
pub fn builder() -> prelude::OrchestraBuilder {
    use aura_sandbox::{BackEnd, LocalSandbox};
    let fall_back = BackEnd::ISOLATING.into_iter().chain([BackEnd::Unconfined]);
    let sandbox = LocalSandbox::builder().back_ends(fall_back);
    aura_core::Orchestra::builder().scorer(aura_scoring::FormulaScorer::default()).try_sandbox(sandbox.build())
}

/// The guides' code is compiled with the doc tests.
#[cfg(all(doctest, feature = "ollama", feature = "openai", feature = "gemini"))]
mod guides {
    #[doc = include_str!("../docs/adapters.md")]
    struct Adapters;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
    #[doc = include_str!("../docs/vendors/ollama.md")]
    struct Ollama;
    #[doc = include_str!("../docs/vendors/openai.md")]
    struct OpenAi;
    #[doc = include_str!("../docs/vendors/gemini.md")]
    struct Gemini;
}
