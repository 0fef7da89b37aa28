//! Builds an [`OpenAiAdapter`].

use aura_core::{AdapterError, ModelKind};

use super::{MAX_STOPS, MaxTokensName, OpenAi, OpenAiAdapter};
use crate::{
    error::BuildError,
    http::{Auth, Failure, base_url},
    model::{
        employee::{Common, common_setters},
        vendor::Vendor,
    },
    secret::ApiKey,
};

const OPENAI: &str = "https://api.openai.com/v1";

/// Builds an [`OpenAiAdapter`]. Nothing is read from the environment.
#[derive(Debug, Clone)]
#[must_use]
pub struct OpenAiBuilder {
    common: Common,
    provider: Option<String>,
    max_tokens_name: Option<MaxTokensName>,
}

impl OpenAiBuilder {
    pub(super) fn new(model: String) -> Self {
        let common = Common::new(model, ModelKind::Cloud);
        Self { common, provider: None, max_tokens_name: None }
    }

    common_setters!();

    /// Who serves the model; with the model's name it decides whether two employees are one voice (default: `openai`, or
    /// the base URL's host and port).
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// The key (default: none, and no header is sent).
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.common.key = Some(key.into());
        self
    }

    /// Where `/chat/completions` is found, with the `/v1`: `http://127.0.0.1:8080/v1` (default: OpenAI).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.common.base_url = Some(url.into());
        self
    }

    /// Says that the model runs on hardware of our own (default: at a vendor).
    pub const fn local(mut self) -> Self {
        self.common.kind = ModelKind::Local;
        self
    }

    /// Under which name the limit of tokens is sent (default: the newer name for OpenAI, the older one with a base URL).
    pub const fn max_tokens_name(mut self, name: MaxTokensName) -> Self {
        self.max_tokens_name = Some(name);
        self
    }

    /// Checks the settings and sets up the client; makes no request.
    ///
    /// # Errors
    /// [`BuildError`] names the setting and the way out.
    pub fn build(self) -> Result<OpenAiAdapter, BuildError> {
        let Self { common, provider, max_tokens_name } = self;
        common.check()?;
        common.check_stops(MAX_STOPS)?;
        let base = base_url(common.base_url.as_deref().unwrap_or(OPENAI), "http://127.0.0.1:8080/v1")?;
        let provider = match (provider, &common.base_url) {
            (Some(provider), _) => provider,
            (None, None) => "openai".to_owned(),
            (None, Some(_)) => base.authority().to_owned(),
        };
        let (profile, endpoint) = common.at_vendor(&provider, base, Auth::Bearer, failure, "OPENAI_API_KEY")?;
        let older_or_newer =
            if common.base_url.is_some() { MaxTokensName::MaxTokens } else { MaxTokensName::MaxCompletionTokens };
        let dialect = OpenAi { max_tokens_name: max_tokens_name.unwrap_or(older_or_newer) };
        Ok(OpenAiAdapter(Vendor::new(profile, common.model.clone(), common.asking(), dialect, endpoint)))
    }
}

fn failure(failure: Failure) -> AdapterError {
    // Waiting does not refill an empty account.
    if failure.said.has("insufficient_quota") {
        return AdapterError::QuotaExhausted { provider: failure.provider, message: failure.said.message };
    }
    failure.by_status()
}

#[cfg(test)]
mod tests {
    use aura_core::ModelAdapter;

    use super::*;

    fn refused(builder: OpenAiBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn a_bad_setting_is_refused_by_its_name() {
        let builder = || OpenAiAdapter::builder("m");
        assert!(refused(builder().base_url("127.0.0.1:8080")).starts_with("base_url"));
        assert!(refused(builder().base_url("file:///etc/passwd")).starts_with("base_url"));
        assert!(refused(builder().base_url("http://h/v1?key=1")).starts_with("base_url"));
        assert!(refused(builder().base_url("")).starts_with("base_url"));
        assert!(refused(builder().temperature(f32::NAN)).starts_with("temperature"));
        assert!(refused(builder().max_tokens(0)).starts_with("max_tokens"));
        assert!(refused(builder().idle_timeout(std::time::Duration::ZERO)).starts_with("idle_timeout"));
        assert!(refused(builder().stop(["1", "2", "3", "4", "5"])).starts_with("stop"));
        assert!(refused(builder().api_key("")).starts_with("api_key"));
        assert!(refused(OpenAiAdapter::builder(" ")).starts_with("model"));
        assert!(refused(OpenAiAdapter::builder("a b")).contains("a b"));
    }

    #[test]
    fn no_refusal_repeats_a_secret() {
        let url = refused(OpenAiAdapter::builder("m").base_url("http://user:canary@h/v1"));
        let key = refused(OpenAiAdapter::builder("m").api_key("canary\r\nX: y"));
        assert!(!url.contains("canary") && !key.contains("canary"), "{url} {key}");
    }

    #[test]
    fn with_a_key_alone_it_asks_openai_and_is_no_stub() {
        let adapter = OpenAiAdapter::builder("gpt-4o-mini").api_key("k").build().unwrap();
        assert_eq!(adapter.profile().stub, None);
        assert_eq!(adapter.profile().endpoint, OPENAI);
        assert_eq!(adapter.0.endpoint().unwrap().base().as_str(), "https://api.openai.com/v1/");
        assert_eq!(adapter.0.dialect().max_tokens_name, MaxTokensName::MaxCompletionTokens);
        assert!(adapter.profile().price.is_some(), "it is in the table");
    }

    #[test]
    fn the_provider_is_the_host_that_answers_unless_it_is_named() {
        let provider = |builder: OpenAiBuilder| builder.build().unwrap().profile().identity.clone().provider;
        assert_eq!(provider(OpenAiAdapter::builder("m")), "openai");
        assert_eq!(provider(OpenAiAdapter::builder("m").base_url("http://127.0.0.1:81/v1")), "127.0.0.1:81");
        assert_eq!(provider(OpenAiAdapter::builder("m").base_url("http://h/v1").provider("vllm")), "vllm");
    }

    #[test]
    fn a_price_that_is_not_known_is_absent_and_what_is_local_is_free() {
        let price = |builder: OpenAiBuilder| builder.build().unwrap().profile().price;
        assert_eq!(price(OpenAiAdapter::builder("gpt-4o-mini").base_url("http://h/v1")), None);
        assert_eq!(price(OpenAiAdapter::builder("m").base_url("http://h/v1").local()), Some(aura_core::Price::FREE));
    }
}
