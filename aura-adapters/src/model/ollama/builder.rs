//! Builds an [`OllamaAdapter`].

use std::time::Duration;

use aura_core::{AdapterError, ModelKind};
use serde_json::Value;

use super::{Ollama, OllamaAdapter, USUAL_CONTEXT, full_name};
use crate::{
    error::BuildError,
    http::{Auth, Failure, base_url},
    model::{
        employee::{Common, common_setters},
        vendor::Vendor,
    },
    secret::ApiKey,
};

/// Where a server on this machine listens.
pub(super) const HERE: &str = "http://127.0.0.1:11434";
/// Bytes of a token, at the least: what is cut too early is said, what the server cuts is not.
const BYTES_A_TOKEN: usize = 3;

/// How long a model stays loaded after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// For so long. 0 unloads it after each answer.
    For(Duration),
    /// Until somebody unloads it.
    Forever,
}

impl KeepAlive {
    pub(super) fn value(self) -> Value {
        match self {
            Self::For(time) => time.as_secs().into(),
            Self::Forever => (-1).into(),
        }
    }
}

/// Builds an [`OllamaAdapter`]. Nothing is read from the environment.
#[derive(Debug, Clone)]
#[must_use]
pub struct OllamaBuilder {
    common: Common,
    num_ctx: Option<u32>,
    num_gpu: Option<i32>,
    keep_alive: Option<KeepAlive>,
    think: Option<bool>,
}

impl OllamaBuilder {
    pub(super) fn new(model: String) -> Self {
        let common = Common::new(model, ModelKind::Local);
        Self { common, num_ctx: None, num_gpu: None, keep_alive: None, think: None }
    }

    common_setters!();

    /// Where the server listens: `http://gpu-box:11434` (default: `http://127.0.0.1:11434`).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.common.base_url = Some(url.into());
        self
    }

    /// A key, for ollama.com or a proxy that asks for one (default: none, and no header is sent).
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.common.key = Some(key.into());
        self
    }

    /// Says that the model runs at ollama.com or another vendor, who sends a bill (default: on hardware of our own).
    pub const fn cloud(mut self) -> Self {
        self.common.kind = ModelKind::Cloud;
        self
    }

    /// Context size in tokens: prompt and answer together (default: the server's, 4096 unless it was told another one). It decides how
    /// much memory the model needs, and a change of it loads the model anew.
    pub const fn num_ctx(mut self, tokens: u32) -> Self {
        self.num_ctx = Some(tokens);
        self
    }

    /// Layers that are put on the GPU; 0 leaves it to the processor (default: as many as fit).
    pub const fn num_gpu(mut self, layers: i32) -> Self {
        self.num_gpu = Some(layers);
        self
    }

    /// How long the model stays loaded after an answer (default: the server's, 5 minutes unless it was told otherwise).
    pub const fn keep_alive(mut self, keep: KeepAlive) -> Self {
        self.keep_alive = Some(keep);
        self
    }

    /// Whether a model that can think does (default: the model's own way). What it thinks is not part of the answer.
    pub const fn think(mut self, think: bool) -> Self {
        self.think = Some(think);
        self
    }

    /// Checks the settings and sets up the client; makes no request.
    ///
    /// # Errors
    /// [`BuildError`] names the setting and the way out.
    pub fn build(self) -> Result<OllamaAdapter, BuildError> {
        let Self { mut common, num_ctx, num_gpu, keep_alive, think } = self;
        common.check()?;
        if num_ctx == Some(0) {
            return Err(BuildError::invalid("num_ctx", "must be at least 1"));
        }
        let base = base_url(common.base_url.as_deref().unwrap_or(HERE), HERE)?;
        if common.room.is_none() {
            // The server would cut the beginning of a longer prompt off, and not say so. Half of the context is the answer's.
            let tokens = usize::try_from(num_ctx.unwrap_or(USUAL_CONTEXT) / 2).unwrap_or(usize::MAX);
            common.room = Some(tokens.saturating_mul(BYTES_A_TOKEN));
        }
        let mut profile = common.profile("ollama", base.as_str())?;
        profile.identity.model = full_name(&common.model);
        let endpoint = common.endpoint("ollama", base, Auth::Bearer, failure)?;
        let dialect = Ollama { num_ctx, num_gpu, keep_alive, think };
        Ok(OllamaAdapter(Vendor::new(profile, common.model.clone(), common.asking(), dialect, Some(endpoint))))
    }
}

pub(super) fn failure(failure: Failure) -> AdapterError {
    failure.by_status()
}

#[cfg(test)]
mod tests {
    use aura_core::{ModelAdapter, Price};

    use super::*;

    #[test]
    fn a_bad_setting_is_refused_by_its_name() {
        let refused = |builder: OllamaBuilder| builder.build().unwrap_err().to_string();
        assert!(refused(OllamaAdapter::builder("m").num_ctx(0)).starts_with("num_ctx"));
        assert!(refused(OllamaAdapter::builder("m").base_url("gpu-box:11434")).contains(HERE));
        assert!(refused(OllamaAdapter::builder(" ")).starts_with("model"));
    }

    #[test]
    fn a_local_model_is_known_by_its_full_name_and_costs_nothing() {
        let adapter = OllamaAdapter::builder("llama3").name("employee_ollama").build().unwrap();
        assert_eq!(adapter.profile().identity.model, "llama3:latest");
        assert_eq!(adapter.profile().name.as_str(), "employee_ollama");
        assert_eq!((adapter.profile().kind, adapter.profile().price), (ModelKind::Local, Some(Price::FREE)));
    }

    #[test]
    fn keep_alive_is_a_number_of_seconds() {
        assert_eq!(KeepAlive::For(Duration::from_secs(600)).value(), 600);
        assert_eq!(KeepAlive::Forever.value(), -1);
    }
}
