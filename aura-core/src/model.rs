//! Employed models: who they are, what they need, what they may do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{InvalidName, ModelId, ModelName, Role},
    money::Price,
    resources::Needs,
    standing::{Standing, text_enum},
};
use std::{fmt, str::FromStr};

text_enum!(
    /// Where a model runs.
    ModelKind, "model kind" {
        /// On hardware of our own, where memory is scarce.
        Local => "local",
        /// At a vendor, who sends a bill.
        Cloud => "cloud",
    }
);

/// Which model really answers: two names with the same identity are one voice when they agree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Who serves it: `ollama`, `openai`, `gemini`, `offline`, or a name of your own.
    pub provider: String,
    /// What the provider calls it.
    pub model: String,
}

/// Whose code a model's answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A language model wrote them: never trusted.
    #[default]
    Model,
    /// They are part of this program, as with the offline employees of the examples. Set only by an adapter in this
    /// process; what comes over the wire cannot claim it.
    InHouse,
}

/// What an adapter tells of itself; fixed for its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelProfile {
    /// Unique name.
    pub name: ModelName,
    /// Where it runs.
    pub kind: ModelKind,
    /// Where it is reached, without credentials.
    pub endpoint: String,
    /// Which model really answers.
    pub identity: ModelIdentity,
    /// Kinds of work it takes; empty means every kind.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// What a loaded model occupies.
    #[serde(default)]
    pub needs: Needs,
    /// What its tokens cost; absent when that is not known.
    #[serde(default)]
    pub price: Option<Price>,
    /// How many jobs it works on at once (at least 1).
    pub concurrency: u16,
    /// Says that the answers are a stub's, and why; its runs never count for standing.
    #[serde(default)]
    pub stub: Option<String>,
    /// Whose code its answers are.
    #[serde(skip)]
    pub origin: Origin,
}

impl ModelProfile {
    /// A profile with one job at a time, every role, no needs.
    ///
    /// # Errors
    /// [`InvalidName`] when the name cannot be accepted.
    pub fn new(name: &str, kind: ModelKind, provider: &str, model: &str) -> Result<Self, InvalidName> {
        Ok(Self {
            name: ModelName::new(name)?,
            kind,
            endpoint: String::new(),
            identity: ModelIdentity { provider: provider.to_owned(), model: model.to_owned() },
            roles: Vec::new(),
            needs: Needs::default(),
            price: None,
            concurrency: 1,
            stub: None,
            origin: Origin::Model,
        })
    }

    /// Where it is reached, without credentials.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// How many jobs it works on at once (default 1).
    #[must_use]
    pub fn concurrency(mut self, jobs: u16) -> Self {
        self.concurrency = jobs.max(1);
        self
    }

    /// What its tokens cost (default: not known).
    #[must_use]
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Says that the answers are this program's own code.
    #[must_use]
    pub fn in_house(mut self) -> Self {
        self.origin = Origin::InHouse;
        self
    }

    /// Says that the answers are a stub's, and why.
    #[must_use]
    pub fn stub(mut self, why: impl Into<String>) -> Self {
        self.stub = Some(why.into());
        self
    }
}

/// A registered model, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its number in the store.
    pub id: ModelId,
    /// What its adapter, or whoever registered it, told.
    #[serde(flatten)]
    pub profile: ModelProfile,
    /// HR's switch: `false` when suspended.
    pub is_active: bool,
    /// The operator's switch, with the reason; HR never touches it.
    pub hold: Option<String>,
    /// What it has earned.
    pub standing: Standing,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When a worker last asked for its jobs, by the store's clock; absent while none did.
    #[serde(default)]
    pub asked_at: Option<DateTime<Utc>>,
}

impl Model {
    /// Whether it takes work of this role.
    #[must_use]
    pub fn takes(&self, role: &Role) -> bool {
        self.profile.roles.is_empty() || self.profile.roles.contains(role)
    }

    /// Whether `asked` names this model: its name, or the short backend name (`ollama` finds `employee_ollama`).
    #[must_use]
    pub fn answers_to(&self, asked: &str) -> bool {
        let name = self.profile.name.as_str();
        name == asked || name.strip_prefix("employee_") == Some(asked)
    }
}
