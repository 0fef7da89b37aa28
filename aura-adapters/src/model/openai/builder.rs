//! Builds an [`OpenAiAdapter`].

use std::{net::IpAddr, time::Duration};

use aura_core::{ModelKind, ModelProfile, Needs, Role};
use reqwest::{Url, header::HeaderValue};

use super::{Connection, MaxTokensName, OpenAiAdapter, PromptStyle, Settings};
use crate::{error::BuildError, http, secret::ApiKey};

const OPENAI: &str = "https://api.openai.com/v1";

/// Builds an [`OpenAiAdapter`]. Nothing is read from the environment.
#[derive(Debug, Clone)]
#[must_use]
pub struct OpenAiBuilder {
    model: String,
    name: Option<String>,
    provider: Option<String>,
    key: Option<ApiKey>,
    base_url: Option<String>,
    kind: ModelKind,
    concurrency: u16,
    roles: Vec<Role>,
    needs: Needs,
    temperature: Option<f32>,
    max_tokens: Option<u32>,
    max_tokens_name: Option<MaxTokensName>,
    logprobs: bool,
    system_prompt: Option<String>,
    style: PromptStyle,
    timeout: Option<Duration>,
}

impl OpenAiBuilder {
    pub(super) fn new(model: String) -> Self {
        Self {
            model,
            name: None,
            provider: None,
            key: None,
            base_url: None,
            kind: ModelKind::Cloud,
            concurrency: 1,
            roles: Vec::new(),
            needs: Needs::default(),
            temperature: None,
            max_tokens: None,
            max_tokens_name: None,
            logprobs: true,
            system_prompt: None,
            style: PromptStyle::Instruct,
            timeout: None,
        }
    }

    /// The employee's unique name (default: the model's name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Who serves the model; with the model's name it decides whether two employees are one voice (default: `openai`, or
    /// the base URL's host and port).
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// The key (default: none, and no header is sent).
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Where `/chat/completions` is found, with the `/v1`: `http://127.0.0.1:8080/v1` (default: OpenAI).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Says that the model runs on hardware of our own (default: at a vendor).
    pub const fn local(mut self) -> Self {
        self.kind = ModelKind::Local;
        self
    }

    /// How many jobs it works on at once (default 1).
    pub const fn concurrency(mut self, jobs: u16) -> Self {
        self.concurrency = jobs;
        self
    }

    /// Kinds of work it takes (default: every kind).
    pub fn roles(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// What it occupies when loaded (default: nothing known).
    pub const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Sampling temperature, `0..=2` (default: the server's; reasoning models refuse one).
    pub const fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Most tokens of an answer; the smaller one of this and the PRD's limit counts (default: no own limit).
    pub const fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Under which name that limit is sent (default: the newer name for OpenAI, the older one with a base URL).
    pub const fn max_tokens_name(mut self, name: MaxTokensName) -> Self {
        self.max_tokens_name = Some(name);
        self
    }

    /// Whether log-probabilities are asked for, without which there is no `self_confidence` (default `true`; reasoning
    /// models refuse it).
    pub const fn logprobs(mut self, ask: bool) -> Self {
        self.logprobs = ask;
        self
    }

    /// Replaces the system prompt of [`PromptStyle::Instruct`] (default: one made of the role and the language).
    pub fn system_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.system_prompt = Some(prompt.into());
        self
    }

    /// How the task is put to the model (default [`PromptStyle::Instruct`]).
    pub const fn prompt_style(mut self, style: PromptStyle) -> Self {
        self.style = style;
        self
    }

    /// Wall time of one answer; the smaller one of this and the request's limit counts (default: the request's).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Checks the settings and sets up the client; makes no request.
    ///
    /// # Errors
    /// [`BuildError`] names the setting and the way out.
    pub fn build(self) -> Result<OpenAiAdapter, BuildError> {
        if self.model.trim().is_empty() {
            return Err(BuildError::invalid("model", "is empty: name the model as the server does"));
        }
        if self.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return Err(BuildError::invalid("temperature", "must be 0 to 2"));
        }
        if self.max_tokens == Some(0) {
            return Err(BuildError::invalid("max_tokens", "must be at least 1"));
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(BuildError::invalid("timeout", "must be more than 0"));
        }
        let base = base_url(self.base_url.as_deref().unwrap_or(OPENAI))?;
        let provider = match (&self.provider, &self.base_url) {
            (Some(provider), _) => provider.clone(),
            (None, None) => "openai".to_owned(),
            (None, Some(_)) => base.authority().to_owned(),
        };
        let name = self.name.as_deref().unwrap_or(&self.model);
        let mut profile = ModelProfile::new(name, self.kind, &provider, &self.model)
            .map_err(|source| BuildError::name(name, source))?
            .endpoint(base.as_str().trim_end_matches('/'))
            .concurrency(self.concurrency);
        profile.roles = self.roles;
        profile.needs = self.needs;
        let connection = if self.key.is_none() && self.base_url.is_none() {
            let why = "no OPENAI_API_KEY: give the adapter a key or the base URL of a server that needs none";
            tracing::warn!(employee = %profile.name, "{why}; this employee is a stub, and its runs do not count");
            profile = profile.stub(why);
            None
        } else {
            Some(connection(&base, self.key)?)
        };
        let older_or_newer =
            if self.base_url.is_some() { MaxTokensName::MaxTokens } else { MaxTokensName::MaxCompletionTokens };
        let settings = Settings {
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            max_tokens_name: self.max_tokens_name.unwrap_or(older_or_newer),
            logprobs: self.logprobs,
            system_prompt: self.system_prompt,
            style: self.style,
            timeout: self.timeout,
        };
        Ok(OpenAiAdapter { profile, settings, connection })
    }
}

fn connection(base: &Url, key: Option<ApiKey>) -> Result<Connection, BuildError> {
    if let Some(key) = &key {
        if key.expose().is_empty() {
            return Err(BuildError::invalid("api_key", "is empty: leave it out for a server that needs none"));
        }
        if HeaderValue::from_str(key.expose()).is_err() || !key.expose().is_ascii() {
            return Err(BuildError::invalid("api_key", "has a character that no key has, such as a line break"));
        }
        if base.scheme() == "http" && !is_this_machine(base) {
            tracing::warn!(endpoint = %base, "the key is sent without encryption: use an https base URL");
        }
    }
    let join = |path| base.join(path).map_err(|error| BuildError::invalid("base_url", error.to_string()));
    let (completions, models) = (join("chat/completions")?, join("models")?);
    Ok(Connection { client: http::client(base).map_err(BuildError::Http)?, completions, models, key })
}

/// Reads a base URL; its path ends in `/` afterwards, so that paths can be joined to it.
fn base_url(text: &str) -> Result<Url, BuildError> {
    let refuse = |reason: String| Err(BuildError::invalid("base_url", reason));
    // The text is not repeated: it may hold a password.
    let mut url = match Url::parse(text.trim()) {
        Ok(url) => url,
        Err(error) => return refuse(format!("{error}: write it like http://127.0.0.1:8080/v1")),
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse("must begin with http:// or https:// and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user or a password: give a key by api_key".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("must not have a ? or a # part".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
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
        assert_eq!(adapter.profile.stub, None);
        assert_eq!(adapter.profile.endpoint, OPENAI);
        assert_eq!(adapter.connection.unwrap().completions.as_str(), "https://api.openai.com/v1/chat/completions");
        assert_eq!(adapter.settings.max_tokens_name, MaxTokensName::MaxCompletionTokens);
    }

    #[test]
    fn the_provider_is_the_host_that_answers_unless_it_is_named() {
        let provider = |builder: OpenAiBuilder| builder.build().unwrap().profile.identity.provider;
        assert_eq!(provider(OpenAiAdapter::builder("m")), "openai");
        assert_eq!(provider(OpenAiAdapter::builder("m").base_url("http://127.0.0.1:81/v1")), "127.0.0.1:81");
        assert_eq!(provider(OpenAiAdapter::builder("m").base_url("http://h/v1").provider("vllm")), "vllm");
    }
}
