//! Who works here: the employees that the settings ask for, or three offline ones.

use std::{error::Error, sync::Arc};

use aura_orchestra::prelude::*;

use crate::settings::ServerSettings;

/// The employees, and what people should be told about them.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    pub(crate) adapters: Vec<Arc<dyn ModelAdapter>>,
    /// Said loudly, on the terminal and on the page.
    pub(crate) notices: Vec<String>,
    /// What could be set for more.
    pub(crate) hints: Vec<String>,
}

/// Hires whoever is configured.
pub(crate) fn hire(settings: &ServerSettings) -> Result<Crew, Box<dyn Error + Send + Sync>> {
    let mut crew = Crew::default();
    if settings.openai_key.is_some() || settings.openai_base_url.is_some() {
        for model in &settings.openai_models {
            let mut adapter = OpenAiAdapter::builder(model);
            if let [_] = settings.openai_models.as_slice() {
                adapter = adapter.name("employee_openai");
            }
            if let Some(key) = &settings.openai_key {
                adapter = adapter.api_key(ApiKey::new(key));
            }
            if let Some(url) = &settings.openai_base_url {
                adapter = adapter.base_url(url);
            }
            crew.adapters.push(Arc::new(adapter.build()?));
        }
    } else {
        crew.hints.push(
            "OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server, hires OPENAI_MODEL (gpt-4o-mini)".to_owned(),
        );
    }
    if let Some(host) = &settings.ollama_host {
        // Ollama speaks OpenAI's chat completions under /v1; its own adapter comes later.
        let base = host.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        let model = std::env::var("OLLAMA_MODEL").unwrap_or_else(|_| "llama3".to_owned());
        let adapter = OpenAiAdapter::builder(&model).name("employee_ollama").provider("ollama").local();
        crew.adapters.push(Arc::new(adapter.base_url(format!("{base}/v1")).build()?));
    } else {
        crew.hints.push("OLLAMA_HOST=http://127.0.0.1:11434 hires OLLAMA_MODEL (llama3)".to_owned());
    }
    if settings.gemini_key.is_some() {
        crew.notices.push("GEMINI_API_KEY is set, but there is no Gemini adapter yet: it is not used".to_owned());
    }
    if settings.workers == 0 {
        crew.notices.push("AURA_WORKERS=0: this process only manages; jobs wait for workers elsewhere".to_owned());
        crew.adapters.clear();
    } else if crew.adapters.is_empty() {
        for (name, skill) in
            [("employee_careful", Skill::Careful), ("employee_hasty", Skill::Hasty), ("employee_sloppy", Skill::Sloppy)]
        {
            crew.adapters.push(Arc::new(OfflineAdapter::builder(name).skill(skill).build()?));
        }
        crew.notices.push(
            "no model is configured, so three OFFLINE DEMO employees are hired: canned answers written by Aura's authors, no \
             language model"
                .to_owned(),
        );
    }
    for adapter in &crew.adapters {
        if let Some(stub) = &adapter.profile().stub {
            crew.notices.push(format!("{} is a STUB: {stub}", adapter.profile().name));
        }
    }
    if settings.orchestra.allow_unsandboxed {
        crew.notices.push(
            "AURA_ALLOW_UNSANDBOXED is on: code that models write runs on this machine WITHOUT ISOLATION".to_owned(),
        );
    } else {
        crew.hints.push(
            "AURA_ALLOW_UNSANDBOXED=1 runs the tests of model-written code without isolation (until then they are not run, and \
             verdicts say so)"
                .to_owned(),
        );
    }
    Ok(crew)
}
