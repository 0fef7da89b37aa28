//! Builds a [`GeminiAdapter`].

use aura_core::ModelKind;

use super::{Gemini, GeminiAdapter, MAX_STOPS, answer::failure};
use crate::{
    error::BuildError,
    http::{Auth, base_url},
    model::{
        employee::{Common, common_setters},
        vendor::Vendor,
    },
    secret::ApiKey,
};

const GOOGLE: &str = "https://generativelanguage.googleapis.com";
const VERSION: &str = "v1beta";

/// Builds a [`GeminiAdapter`]. Nothing is read from the environment.
#[derive(Debug, Clone)]
#[must_use]
pub struct GeminiBuilder {
    common: Common,
    version: Option<String>,
    thinking_budget: Option<i32>,
}

impl GeminiBuilder {
    pub(super) fn new(model: String) -> Self {
        let common = Common::new(model, ModelKind::Cloud);
        Self { common, version: None, thinking_budget: None }
    }

    common_setters!();

    /// The key (default: none).
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.common.key = Some(key.into());
        self
    }

    /// Another host that speaks the same API, without the version: `http://127.0.0.1:8080` (default: Google).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.common.base_url = Some(url.into());
        self
    }

    /// Version of the API (default `v1beta`, which knows every setting used here).
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Tokens that the model may think, 0 for none and -1 for as many as it likes (default: the model's own way). They count as
    /// written, and against the limit of tokens.
    pub const fn thinking_budget(mut self, tokens: i32) -> Self {
        self.thinking_budget = Some(tokens);
        self
    }

    /// Checks the settings and sets up the client; makes no request.
    ///
    /// # Errors
    /// [`BuildError`] names the setting and the way out.
    pub fn build(self) -> Result<GeminiAdapter, BuildError> {
        let Self { mut common, version, thinking_budget } = self;
        // The vendor's own lists name them so.
        if let Some(bare) = common.model.strip_prefix("models/") {
            common.model = bare.to_owned();
        }
        common.check()?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !common.model.chars().all(is_name) || common.model.starts_with('.') {
            return Err(BuildError::invalid(
                "model",
                "has a character that no model's name has: write it like gemini-2.5-flash",
            ));
        }
        let version = version.as_deref().unwrap_or(VERSION);
        if version.is_empty() || !version.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(BuildError::invalid("api_version", "must be a version such as v1 or v1beta"));
        }
        common.check_stops(MAX_STOPS)?;
        let host = base_url(common.base_url.as_deref().unwrap_or(GOOGLE), GOOGLE)?;
        let base = base_url(&format!("{host}{version}"), GOOGLE)?;
        let provider = match &common.base_url {
            None => "gemini".to_owned(),
            Some(_) => base.authority().to_owned(),
        };
        let auth = Auth::Header("x-goog-api-key");
        let (profile, endpoint) = common.at_vendor(&provider, base, auth, failure, "GEMINI_API_KEY")?;
        let dialect = Gemini { thinking_budget };
        Ok(GeminiAdapter(Vendor::new(profile, common.model.clone(), common.asking(), dialect, endpoint)))
    }
}

#[cfg(test)]
mod tests {
    use aura_core::ModelAdapter;

    use super::*;

    #[test]
    fn a_bad_setting_is_refused_by_its_name() {
        let refused = |builder: GeminiBuilder| builder.build().unwrap_err().to_string();
        let builder = || GeminiAdapter::builder("gemini-2.5-flash");
        assert!(refused(builder().api_version("v1/../x")).starts_with("api_version"));
        assert!(refused(GeminiAdapter::builder("../x?key=1")).starts_with("model"));
        assert!(refused(GeminiAdapter::builder("models/")).starts_with("model"));
        assert!(refused(builder().api_key("canary\n\u{1}")).starts_with("api_key"));
    }

    #[test]
    fn host_and_version_are_settings_and_a_prefix_of_the_name_is_left_out() {
        let adapter = GeminiAdapter::builder("models/gemini-2.5-flash").api_version("v1").api_key("k").build().unwrap();
        assert_eq!(adapter.0.endpoint().unwrap().base().as_str(), "https://generativelanguage.googleapis.com/v1/");
        assert_eq!(adapter.profile().identity.model, "gemini-2.5-flash");
        assert!(adapter.profile().price.is_some(), "it is in the table");
    }

    #[test]
    fn without_a_key_it_is_a_stub_that_says_so() {
        let adapter = GeminiAdapter::builder("gemini-2.5-flash").build().unwrap();
        assert!(adapter.profile().stub.as_deref().unwrap().contains("GEMINI_API_KEY"));
    }
}
