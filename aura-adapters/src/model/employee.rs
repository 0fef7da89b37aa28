//! What the builders of all vendors' adapters have in common.

use std::{sync::Arc, time::Duration};

use aura_core::{AdapterError, ModelKind, ModelProfile, Needs, Price, Role};
use reqwest::Url;

use crate::{
    error::BuildError,
    http::{Auth, Endpoint, Failure, Patience},
    price::PriceTable,
    prompt::{PromptBook, PromptStyle},
    secret::ApiKey,
};

/// Room for context files and feedback in a prompt, in bytes, unless told otherwise: about 100,000 tokens.
pub(super) const USUAL_ROOM: usize = 400_000;

/// The settings.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) model: String,
    pub(super) name: Option<String>,
    pub(super) key: Option<ApiKey>,
    pub(super) base_url: Option<String>,
    pub(super) kind: ModelKind,
    pub(super) concurrency: u16,
    pub(super) roles: Vec<Role>,
    pub(super) needs: Needs,
    pub(super) price: Option<Price>,
    pub(super) temperature: Option<f32>,
    pub(super) max_tokens: Option<u32>,
    pub(super) seed: Option<i64>,
    pub(super) stop: Vec<String>,
    pub(super) logprobs: bool,
    pub(super) prompts: Arc<PromptBook>,
    pub(super) room: Option<usize>,
    pub(super) style: PromptStyle,
    pub(super) timeout: Option<Duration>,
    pub(super) patience: Patience,
}

/// What is asked of the model besides the task.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) temperature: Option<f32>,
    pub(super) max_tokens: Option<u32>,
    pub(super) seed: Option<i64>,
    stop: Vec<String>,
    pub(super) logprobs: bool,
    pub(super) prompts: Arc<PromptBook>,
    pub(super) room: usize,
    pub(super) style: PromptStyle,
    timeout: Option<Duration>,
}

impl Asking {
    /// Wall time of one answer.
    pub(super) fn limit(&self, request: &aura_core::GenerateRequest) -> Duration {
        self.timeout.map_or(request.timeout, |own| own.min(request.timeout))
    }

    /// Most tokens of one answer.
    pub(super) fn max_tokens(&self, request: &aura_core::GenerateRequest) -> Option<u32> {
        request.max_tokens.into_iter().chain(self.max_tokens).min()
    }

    /// Texts before which the answer ends: those that were set, then those of the style.
    pub(super) fn stops(&self, request: &aura_core::GenerateRequest) -> Vec<String> {
        self.stop.iter().cloned().chain(self.style.stops(request.language)).collect()
    }
}

impl Common {
    pub(super) fn new(model: String, kind: ModelKind) -> Self {
        Self {
            model,
            name: None,
            key: None,
            base_url: None,
            kind,
            concurrency: 1,
            roles: Vec::new(),
            needs: Needs::default(),
            price: None,
            temperature: None,
            max_tokens: None,
            seed: None,
            stop: Vec::new(),
            logprobs: true,
            prompts: Arc::new(PromptBook::default()),
            room: None,
            style: PromptStyle::Instruct,
            timeout: None,
            patience: Patience::default(),
        }
    }

    /// Checks what can be checked without a vendor.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.model.trim().is_empty() {
            return Err(BuildError::invalid("model", "is empty: name the model as the server does"));
        }
        if self.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return Err(BuildError::invalid("temperature", "must be 0 to 2"));
        }
        if self.max_tokens == Some(0) {
            return Err(BuildError::invalid("max_tokens", "must be at least 1"));
        }
        let waits = [
            ("timeout", self.timeout),
            ("connect_timeout", Some(self.patience.connect)),
            ("first_byte_timeout", self.patience.first_byte),
            ("idle_timeout", self.patience.idle),
        ];
        match waits.iter().find(|(_, wait)| wait.is_some_and(|wait| wait.is_zero())) {
            Some((name, _)) => Err(BuildError::invalid(name, "must be more than 0")),
            None => Ok(()),
        }
    }

    /// Checks the texts before which the answer ends, for a vendor that takes at most so many.
    #[cfg(any(feature = "openai", feature = "gemini"))]
    pub(super) fn check_stops(&self, most: usize) -> Result<(), BuildError> {
        if self.stop.len() > most || self.stop.iter().any(String::is_empty) {
            return Err(BuildError::invalid("stop", format!("takes at most {most} texts, none of them empty")));
        }
        Ok(())
    }

    /// The profile of an employee at this endpoint.
    pub(super) fn profile(&self, provider: &str, endpoint: &str) -> Result<ModelProfile, BuildError> {
        let name = self.name.as_deref().unwrap_or(&self.model);
        let mut profile = ModelProfile::new(name, self.kind, provider, &self.model)
            .map_err(|source| BuildError::name(name, source))?
            .endpoint(endpoint.trim_end_matches('/'))
            .concurrency(self.concurrency);
        profile.roles.clone_from(&self.roles);
        profile.needs = self.needs;
        profile.price = self.price.or_else(|| match self.kind {
            // Nobody sends a bill for it.
            ModelKind::Local => Some(Price::FREE),
            ModelKind::Cloud => PriceTable::embedded().price(provider, &self.model),
        });
        Ok(profile)
    }

    /// The endpoint of the adapter.
    pub(super) fn endpoint(
        &self,
        provider: &str,
        base: Url,
        auth: Auth,
        failure: fn(Failure) -> AdapterError,
    ) -> Result<Endpoint, BuildError> {
        Endpoint::new(base, self.key.clone(), auth, self.patience, (provider, &self.model), failure)
    }

    /// The profile and the endpoint at a vendor who asks for a key; `variable` is the name that people know the key by. Without a key
    /// *and* without a base URL there is nobody to ask: the answers are a stub's then, which the profile says, and the log once.
    #[cfg(any(feature = "openai", feature = "gemini"))]
    pub(super) fn at_vendor(
        &self,
        provider: &str,
        base: Url,
        auth: Auth,
        failure: fn(Failure) -> AdapterError,
        variable: &str,
    ) -> Result<(ModelProfile, Option<Endpoint>), BuildError> {
        let profile = self.profile(provider, base.as_str())?;
        if self.key.is_some() || self.base_url.is_some() {
            let endpoint = self.endpoint(provider, base, auth, failure)?;
            return Ok((profile, Some(endpoint)));
        }
        let why = format!("no {variable}: give the adapter a key or the base URL of a server that needs none");
        tracing::warn!(employee = %profile.name, "{why}; this employee is a stub, and its runs do not count");
        Ok((profile.stub(why), None))
    }

    pub(super) fn asking(&self) -> Asking {
        Asking {
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            seed: self.seed,
            stop: self.stop.clone(),
            logprobs: self.logprobs,
            prompts: Arc::clone(&self.prompts),
            room: self.room.unwrap_or(USUAL_ROOM),
            style: self.style,
            timeout: self.timeout,
        }
    }
}

/// The setters that every vendor's builder has, over its field `common`.
macro_rules! common_setters {
    () => {
        /// The employee's unique name (default: the model's name).
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.common.name = Some(name.into());
            self
        }

        /// How many jobs it works on at once (default 1).
        pub const fn concurrency(mut self, jobs: u16) -> Self {
            self.common.concurrency = jobs;
            self
        }

        /// Kinds of work it takes (default: every kind).
        pub fn roles(mut self, roles: impl IntoIterator<Item = aura_core::Role>) -> Self {
            self.common.roles = roles.into_iter().collect();
            self
        }

        /// What it occupies when loaded (default: nothing known).
        pub const fn needs(mut self, needs: aura_core::Needs) -> Self {
            self.common.needs = needs;
            self
        }

        /// What its tokens cost (default: what [`PriceTable::embedded`](crate::PriceTable::embedded) knows of the model at its vendor;
        /// nothing for a local one).
        pub const fn price(mut self, price: aura_core::Price) -> Self {
            self.common.price = Some(price);
            self
        }

        /// Sampling temperature, `0..=2` (default: the server's; reasoning models refuse one).
        pub const fn temperature(mut self, temperature: f32) -> Self {
            self.common.temperature = Some(temperature);
            self
        }

        /// Most tokens of an answer; the smaller one of this and the PRD's limit counts (default: no own limit).
        pub const fn max_tokens(mut self, tokens: u32) -> Self {
            self.common.max_tokens = Some(tokens);
            self
        }

        /// Seed of the sampling, for servers that take one (default: none).
        pub const fn seed(mut self, seed: i64) -> Self {
            self.common.seed = Some(seed);
            self
        }

        /// Texts before which the answer ends (default: none but the model's own). OpenAI takes 4 at most, and Gemini 5.
        pub fn stop<S: Into<String>>(mut self, texts: impl IntoIterator<Item = S>) -> Self {
            self.common.stop = texts.into_iter().map(Into::into).collect();
            self
        }

        /// Whether log-probabilities are asked for, without which there is no `self_confidence` (default `true`).
        pub const fn logprobs(mut self, ask: bool) -> Self {
            self.common.logprobs = ask;
            self
        }

        /// The system prompts of [`PromptStyle::Instruct`](crate::PromptStyle::Instruct), by role (default: the built-in ones).
        pub fn prompts(mut self, book: impl Into<std::sync::Arc<crate::PromptBook>>) -> Self {
            self.common.prompts = book.into();
            self
        }

        /// Most bytes of context files and feedback in a prompt; what does not fit is left out, and said to be. A token is 3 to 4 bytes
        /// of code.
        pub const fn context_budget(mut self, bytes: usize) -> Self {
            self.common.room = Some(bytes);
            self
        }

        /// How the task is put to the model (default [`PromptStyle::Instruct`](crate::PromptStyle::Instruct)).
        pub const fn prompt_style(mut self, style: crate::PromptStyle) -> Self {
            self.common.style = style;
            self
        }

        /// Wall time of one answer; the smaller one of this and the request's limit counts (default: the request's).
        pub const fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.common.timeout = Some(timeout);
            self
        }

        /// How long a connection may take (default 10 s).
        pub const fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.common.patience.connect = timeout;
            self
        }

        /// How long the server may take to begin its answer; a model may have to be loaded first (default: as long as for the whole).
        pub const fn first_byte_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.common.patience.first_byte = Some(timeout);
            self
        }

        /// How long an answer that has begun may stand still (default 60 s).
        pub const fn idle_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.common.patience.idle = Some(timeout);
            self
        }
    };
}

pub(super) use common_setters;
