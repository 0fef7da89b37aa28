//! Hires an employee of one backend; the server and the worker hire in the same way.

use std::{error::Error, sync::Arc, time::Duration};

use aura_orchestra::prelude::*;

use crate::house::House;

/// A hired employee, or why it cannot be hired.
pub(crate) type Hired = Result<Arc<dyn ModelAdapter>, Box<dyn Error + Send + Sync>>;

/// The model that is hired where none is named.
pub(crate) const OLLAMA_MODEL: &str = "llama3";
/// The model that is hired where none is named.
pub(crate) const OPENAI_MODEL: &str = "gpt-4o-mini";
/// The model that is hired where none is named.
pub(crate) const GEMINI_MODEL: &str = "gemini-2.5-flash";

/// What a vendor is to be asked with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) key: Option<ApiKey>,
    pub(crate) base_url: Option<String>,
}

/// How an employee is listed.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// Its name; the model's own where it is absent.
    pub(crate) name: Option<String>,
    /// Jobs it works on at once.
    pub(crate) concurrency: u16,
    /// Prompts, prices and budgets.
    pub(crate) house: House,
}

/// What every vendor's builder is told of a post. The builders have the same setters, and no trait of their own.
macro_rules! posted {
    ($builder:expr, $post:expr, $provider:expr, $model:expr) => {{
        let mut builder = $builder.concurrency($post.concurrency);
        if let Some(name) = &$post.name {
            builder = builder.name(name);
        }
        if let Some(prompts) = &$post.house.prompts {
            builder = builder.prompts(Arc::clone(prompts));
        }
        if let Some(price) = $post.house.price($provider, $model) {
            builder = builder.price(price);
        }
        builder
    }};
}

/// The address that a host names, as Ollama reads OLLAMA_HOST: with `http://` it is one; without, the port is Ollama's own where none
/// is named.
pub(crate) fn ollama_url(host: &str) -> String {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    match host {
        _ if host.contains("://") => host.to_owned(),
        _ if has_port || host.contains('/') => format!("http://{host}"),
        _ => format!("http://{host}:11434"),
    }
}

/// A model on an Ollama server; `host` as in OLLAMA_HOST.
pub(crate) fn ollama(post: Post, model: &str, host: Option<&str>) -> Hired {
    let mut builder = posted!(OllamaAdapter::builder(model), post, "ollama", model);
    if let Some(host) = host {
        builder = builder.base_url(ollama_url(host));
    }
    Ok(post.house.layered(builder.build()?))
}

/// A model at OpenAI, or at a compatible server.
pub(crate) fn openai(post: Post, model: &str, access: &Access) -> Hired {
    let mut builder = posted!(OpenAiAdapter::builder(model), post, "openai", model);
    if let Some(key) = &access.key {
        builder = builder.api_key(key.clone());
    }
    if let Some(url) = &access.base_url {
        builder = builder.base_url(url);
    }
    Ok(post.house.layered(builder.build()?))
}

/// A model at Google, or at a compatible server.
pub(crate) fn gemini(post: Post, model: &str, access: &Access) -> Hired {
    let mut builder = posted!(GeminiAdapter::builder(model), post, "gemini", model);
    if let Some(key) = &access.key {
        builder = builder.api_key(key.clone());
    }
    if let Some(url) = &access.base_url {
        builder = builder.base_url(url);
    }
    Ok(post.house.layered(builder.build()?))
}

/// Canned answers, no language model.
pub(crate) fn offline(post: Post, skill: Skill, latency: Duration) -> Hired {
    let name = post.name.unwrap_or_else(|| format!("employee_{}", skill.as_str()));
    let builder = OfflineAdapter::builder(name).concurrency(post.concurrency);
    Ok(Arc::new(builder.skill(skill).latency(latency).build()?))
}
