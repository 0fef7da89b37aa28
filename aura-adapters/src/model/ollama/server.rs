//! The server itself: what is installed, what is loaded, loading and unloading.

use std::{fmt, time::Duration};

use aura_core::{AdapterError, Mebibytes, Needs, Wait};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    KeepAlive, OllamaAdapter, OllamaBuilder,
    builder::{HERE, failure},
    full_name,
    need::{estimate, mebibytes},
};
use crate::{
    error::BuildError,
    http::{Auth, Endpoint, Patience, base_url},
    model::vendor::read_json,
    secret::ApiKey,
};

/// How long a question about the server may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An Ollama server: lists what is installed and loaded, loads and unloads.
///
/// # Examples
/// ```no_run
/// # async fn hire() -> Result<(), Box<dyn std::error::Error>> {
/// use aura_adapters::OllamaServer;
/// let server = OllamaServer::new("http://127.0.0.1:11434", None)?;
/// for employee in server.employees(8192).await? {
///     let employee = employee.build()?;
///     println!("{employee:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct OllamaServer {
    endpoint: Endpoint,
    base_url: String,
    key: Option<ApiKey>,
}

impl fmt::Debug for OllamaServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A model that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// Its full name, with its tag.
    pub name: String,
    /// Size of its file in bytes: a lower bound for the memory that it needs.
    pub size: u64,
    /// `8.0B`, as its makers call it.
    pub parameter_size: String,
    /// `Q4_K_M`, for example.
    pub quantization: String,
    /// What it can do (`completion`, `tools`, `embedding`, …); empty when the server is too old to tell.
    pub capabilities: Vec<String>,
}

impl InstalledModel {
    /// Whether it can be asked to write. Servers that tell nothing of capabilities leave it open.
    #[must_use]
    pub fn completes(&self) -> bool {
        self.capabilities.is_empty() || self.capabilities.iter().any(|known| known == "completion")
    }
}

/// A model that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidentModel {
    /// Its full name, with its tag.
    pub name: String,
    /// All the memory that it has.
    pub total: Mebibytes,
    /// What of it is on GPUs.
    pub vram: Mebibytes,
    /// When it will be unloaded unless it is asked again.
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    details: Details,
    capabilities: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    parameter_size: String,
    quantization_level: String,
}

#[derive(Deserialize)]
struct Loaded {
    #[serde(default)]
    models: Vec<LoadedModel>,
}

#[derive(Deserialize)]
struct LoadedModel {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    size_vram: u64,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    model_info: Map<String, Value>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// What is installed, by name.
pub(super) async fn tags(endpoint: &Endpoint, limit: Duration) -> Result<Vec<InstalledModel>, AdapterError> {
    let body = endpoint.get("api/tags", limit).await?.body().await?;
    let tags: Tags = read_json(&body, endpoint)?;
    let mut installed: Vec<_> = tags
        .models
        .into_iter()
        .map(|tag| InstalledModel {
            name: full_name(&tag.name),
            size: tag.size,
            parameter_size: tag.details.parameter_size,
            quantization: tag.details.quantization_level,
            capabilities: tag.capabilities.unwrap_or_default(),
        })
        .collect();
    installed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(installed)
}

impl OllamaServer {
    /// A server at this address, such as `http://127.0.0.1:11434`; the key is for ollama.com, or a proxy that asks for one.
    ///
    /// # Errors
    /// [`BuildError`] names what cannot be accepted.
    pub fn new(url: impl Into<String>, key: Option<ApiKey>) -> Result<Self, BuildError> {
        let base = base_url(&url.into(), HERE)?;
        let base_url = base.as_str().trim_end_matches('/').to_owned();
        let patience = Patience { first_byte: None, ..Patience::default() };
        let endpoint = Endpoint::new(base, key.clone(), Auth::Bearer, patience, ("ollama", "any"), failure)?;
        Ok(Self { endpoint, base_url, key })
    }

    /// Where it is reached, as the profiles of its models say.
    pub(crate) fn address(&self) -> &str {
        &self.base_url
    }

    /// The server's version, such as `0.11.4`.
    ///
    /// # Errors
    /// [`AdapterError`] when it cannot be reached, or is no Ollama server.
    pub async fn version(&self) -> Result<String, AdapterError> {
        let body = self.endpoint.get("api/version", LIMIT).await?.body().await?;
        Ok(read_json::<Version>(&body, &self.endpoint)?.version)
    }

    /// What is installed, by name.
    ///
    /// # Errors
    /// [`AdapterError`] when it cannot be reached or understood.
    pub async fn installed(&self) -> Result<Vec<InstalledModel>, AdapterError> {
        tags(&self.endpoint, LIMIT).await
    }

    /// What is loaded, with the memory that it has.
    ///
    /// # Errors
    /// [`AdapterError`] when it cannot be reached or understood.
    pub async fn resident(&self) -> Result<Vec<ResidentModel>, AdapterError> {
        let body = self.endpoint.get("api/ps", LIMIT).await?.body().await?;
        let loaded: Loaded = read_json(&body, &self.endpoint)?;
        let resident = loaded.models.into_iter().map(|model| ResidentModel {
            name: full_name(&model.name),
            total: mebibytes(model.size),
            vram: mebibytes(model.size_vram),
            expires_at: model.expires_at,
        });
        Ok(resident.collect())
    }

    /// What a model will need with a context of so many tokens: as `/api/ps` tells when it is loaded, else estimated from its file and
    /// its layers. The host needs what is not on the GPU.
    ///
    /// # Errors
    /// [`AdapterError`], also for a model that is not installed.
    pub async fn needs(&self, model: &InstalledModel, num_ctx: u32) -> Result<Needs, AdapterError> {
        if let Some(resident) = self.resident().await?.into_iter().find(|resident| resident.name == model.name) {
            let memory = Mebibytes(resident.total.0.saturating_sub(resident.vram.0));
            return Ok(Needs { vram: resident.vram, memory });
        }
        let asked = json!({ "model": model.name });
        let body = async { self.endpoint.post("api/show", &asked).await?.body().await };
        let late = |_| AdapterError::TimedOut { what: Wait::Whole, limit: LIMIT };
        let body = tokio::time::timeout(LIMIT, body).await.map_err(late)??;
        let shown: Shown = read_json(&body, &self.endpoint)?;
        let bytes = estimate(model.size, u64::from(num_ctx), &shown.model_info);
        Ok(Needs { vram: mebibytes(bytes), memory: Mebibytes(0) })
    }

    /// An employee for each installed model that can write, named as the model is, with the memory that it will need.
    ///
    /// # Errors
    /// [`AdapterError`] when the server cannot be reached or understood.
    pub async fn employees(&self, num_ctx: u32) -> Result<Vec<OllamaBuilder>, AdapterError> {
        let mut employees = Vec::new();
        for model in self.installed().await?.into_iter().filter(InstalledModel::completes) {
            let mut employee = OllamaAdapter::builder(&model.name).base_url(&self.base_url).num_ctx(num_ctx);
            if let Some(key) = &self.key {
                employee = employee.api_key(key.clone());
            }
            employees.push(employee.needs(self.needs(&model, num_ctx).await?));
        }
        Ok(employees)
    }

    /// Loads a model with a context of so many tokens (`None`: the server's own size), and waits until it is loaded.
    ///
    /// # Errors
    /// [`AdapterError`], also for a model that is not installed or does not fit.
    pub async fn load(&self, model: &str, num_ctx: Option<u32>, keep: KeepAlive) -> Result<(), AdapterError> {
        let mut order = json!({ "model": model, "keep_alive": keep.value(), "stream": false });
        if let (Some(num_ctx), Some(order)) = (num_ctx, order.as_object_mut()) {
            order.insert("options".to_owned(), json!({ "num_ctx": num_ctx }));
        }
        self.order(order).await
    }

    /// Unloads a model, once it is idle.
    ///
    /// # Errors
    /// [`AdapterError`], also for a model that is not installed.
    pub async fn unload(&self, model: &str) -> Result<(), AdapterError> {
        self.order(json!({ "model": model, "keep_alive": 0, "stream": false })).await
    }

    /// A question without a prompt changes what is loaded, and asks the model nothing.
    async fn order(&self, body: Value) -> Result<(), AdapterError> {
        let body = self.endpoint.post("api/generate", &body).await?.body().await?;
        let answer: Value = read_json(&body, &self.endpoint)?;
        match answer.get("done").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            _ => Err(self.endpoint.error_within(&body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use aura_core::ModelAdapter;

    use super::*;

    #[test]
    fn an_address_is_told_as_the_profiles_of_the_models_there_tell_it() {
        for url in ["http://GPU-Box:11434/", " http://gpu-box:11434", "http://127.0.0.1:80/proxy/"] {
            let server = OllamaServer::new(url, None).unwrap();
            let employee = OllamaAdapter::builder("m").base_url(url).build().unwrap();
            assert_eq!(server.address(), employee.profile().endpoint, "{url}");
        }
    }
}
