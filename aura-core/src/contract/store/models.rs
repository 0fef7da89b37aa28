//! Employed models and what HR decided about them.

use std::fmt;

use async_trait::async_trait;

use super::{Each, StoreError};
use crate::{
    ids::{Actor, ModelId},
    model::{Model, ModelProfile},
    run::{ModelScore, Promotion},
    standing::{HrAction, Standing},
};

/// A decision of HR, to be written if the standing is still what it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingChange {
    /// The model.
    pub model: ModelId,
    /// The standing that the decision was made on.
    pub from: Standing,
    /// What to do; it leads to the new standing.
    pub action: HrAction,
    /// Why, with the figures.
    pub reason: String,
}

/// Employed models. See the [contract](super) of all stores.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ModelStore: fmt::Debug + Send + Sync {
    /// Registers a new model as active and on trial. A known name is a conflict.
    async fn register(&self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError>;

    /// Registers a model or, when the name is known, brings its profile up to date; standing, hold and number stay.
    /// Nothing is written when nothing changed.
    async fn employ(&self, profile: &ModelProfile) -> Result<Model, StoreError>;

    /// All models, in the order they were registered. A row written by hand counts too.
    async fn models(&self) -> Result<Vec<Model>, StoreError>;

    /// Sets or lifts the operator's hold; answers with the model.
    async fn set_hold(&self, model: ModelId, hold: Option<String>, actor: &Actor) -> Result<Model, StoreError>;

    /// Notes that a worker asks for these models' jobs: [`Model::asked_at`] becomes now, by the store's clock. Unknown ids
    /// are ignored; no audit entry is written.
    async fn attend(&self, models: &[ModelId]) -> Result<(), StoreError>;

    /// Changes standings, each with its `promotions` row and `is_active`; a standing that is no longer `from` is a
    /// conflict and changes nothing.
    async fn change_standings(&self, changes: &[StandingChange]) -> Result<Each<Promotion>, StoreError>;

    /// Stores what HR saw; writes no audit entry.
    async fn record_scores(&self, scores: &[ModelScore]) -> Result<(), StoreError>;

    /// The newest figures that HR saw of each model.
    async fn latest_scores(&self) -> Result<Vec<ModelScore>, StoreError>;

    /// HR's decisions, newest first, before the one with this number.
    async fn promotions(&self, before: Option<i64>, limit: u32) -> Result<Vec<Promotion>, StoreError>;
}
