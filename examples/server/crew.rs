//! Who works here: the employees that the settings ask for, or three offline ones.

use std::{error::Error, sync::Arc, time::Duration};

use aura_orchestra::prelude::*;

use crate::{
    hiring::{self, Access, Post},
    settings::ServerSettings,
};

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
    let house = &settings.house;
    let post = |name: &str| Post { name: Some(name.to_owned()), concurrency: 1, house: house.clone() };
    if is_set(&settings.openai) {
        for model in &settings.openai_models {
            // One model has the short name; several have their own.
            let name = matches!(settings.openai_models.as_slice(), [_]).then(|| "employee_openai".to_owned());
            crew.adapters.push(hiring::openai(
                Post { name, concurrency: 1, house: house.clone() },
                model,
                &settings.openai,
            )?);
        }
    } else {
        crew.hints.push(
            "OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server, hires OPENAI_MODEL (gpt-4o-mini)".to_owned(),
        );
    }
    if let Some(host) = &settings.ollama_host {
        crew.adapters.push(hiring::ollama(post("employee_ollama"), &settings.ollama_model, Some(host))?);
    } else {
        crew.hints.push("OLLAMA_HOST=http://127.0.0.1:11434 hires OLLAMA_MODEL (llama3)".to_owned());
    }
    if is_set(&settings.gemini) {
        crew.adapters.push(hiring::gemini(post("employee_gemini"), &settings.gemini_model, &settings.gemini)?);
    } else {
        crew.hints.push("GEMINI_API_KEY hires GEMINI_MODEL (gemini-2.5-flash)".to_owned());
    }
    if settings.workers == 0 {
        crew.notices.push("AURA_WORKERS=0: this process only manages; jobs wait for workers elsewhere".to_owned());
        crew.adapters.clear();
    } else if crew.adapters.is_empty() {
        for skill in [Skill::Careful, Skill::Hasty, Skill::Sloppy] {
            let name = format!("employee_{}", skill.as_str());
            crew.adapters.push(hiring::offline(post(&name), skill, Duration::ZERO)?);
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
    Ok(crew)
}

/// Whether there is anything to ask a vendor with.
const fn is_set(access: &Access) -> bool {
    access.key.is_some() || access.base_url.is_some()
}
