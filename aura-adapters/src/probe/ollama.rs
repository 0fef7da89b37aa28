//! What an Ollama server has loaded.

use std::fmt;

use async_trait::async_trait;
use aura_core::{Mebibytes, ModelIdentity, Needs, Resident, ResourceProbe, Resources, contract::ProbeError};
use chrono::{DateTime, Months, Utc};

use crate::model::{OllamaServer, ResidentModel};

/// What an unload that never comes is further away than: a server that keeps a model for ever says so by a year far off.
const FOR_EVER: Months = Months::new(120);

/// Asks an Ollama server (`/api/ps`) which models it has loaded, how much memory each has, and until when.
///
/// It asks for nothing else and loads nothing. A server that cannot be reached is an error, which leaves the loaded models unknown:
/// nobody may take them for none.
///
/// # Examples
/// ```
/// use aura_adapters::{OllamaProbe, OllamaServer, Probes};
/// let server = OllamaServer::new("http://127.0.0.1:11434", None)?;
/// let probes = Probes::new().and(OllamaProbe::new(server));
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
pub struct OllamaProbe {
    server: OllamaServer,
}

impl fmt::Debug for OllamaProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OllamaProbe").field("server", &self.server).finish()
    }
}

impl OllamaProbe {
    /// Asks this server.
    #[must_use]
    pub const fn new(server: OllamaServer) -> Self {
        Self { server }
    }
}

#[async_trait]
impl ResourceProbe for OllamaProbe {
    async fn snapshot(&self) -> Result<Resources, ProbeError> {
        let models = self.server.resident().await.map_err(|error| ProbeError {
            message: "the Ollama server does not tell what it has loaded".to_owned(),
            source: Some(Box::new(error)),
        })?;
        let now = Utc::now();
        let resident = models.into_iter().map(|model| resident(model, self.server.address(), now)).collect();
        Ok(Resources { resident: Some(resident), watched: vec!["ollama".to_owned()], ..Resources::default() })
    }
}

fn resident(model: ResidentModel, endpoint: &str, now: DateTime<Utc>) -> Resident {
    let for_ever = now.checked_add_months(FOR_EVER);
    Resident {
        identity: ModelIdentity { provider: "ollama".to_owned(), model: model.name },
        endpoint: Some(endpoint.to_owned()),
        // The host has what is not on the GPU.
        occupies: Needs { vram: model.vram, memory: Mebibytes(model.total.0.saturating_sub(model.vram.0)) },
        until: model.expires_at.filter(|until| for_ever.is_none_or(|far| *until < far)),
    }
}
