//! The models that the store knows, kept at hand.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{
    contract::ModelStore,
    error::{Error, Result},
    ids::{ModelId, ModelName},
    model::Model,
};

/// The models that the store knows, as they were when somebody last looked.
#[derive(Debug)]
pub(crate) struct Roster {
    store: Arc<dyn ModelStore>,
    models: RwLock<Arc<Vec<Model>>>,
}

impl Roster {
    pub(crate) fn new(store: Arc<dyn ModelStore>) -> Self {
        Self { store, models: RwLock::default() }
    }

    /// Reads the store again.
    pub(crate) async fn refresh(&self) -> Result<Arc<Vec<Model>>> {
        let models = Arc::new(self.store.models().await?);
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&models);
        Ok(models)
    }

    fn at_hand(&self) -> Arc<Vec<Model>> {
        Arc::clone(&self.models.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The model that `asked` names, by its name or its short backend name; the store is asked when it is not at hand.
    pub(crate) async fn find(&self, asked: &str) -> Result<Model> {
        if let Some(model) = named(&self.at_hand(), asked) {
            return Ok(model);
        }
        let models = self.refresh().await?;
        named(&models, asked).ok_or_else(|| Error::UnknownModel {
            name: asked.chars().take(128).collect(),
            employed: match models.len() {
                0 => "none".to_owned(),
                _ => models.iter().map(|model| model.profile.name.as_str()).collect::<Vec<_>>().join(", "),
            },
        })
    }

    /// The name of a model; the store is asked when it is not at hand.
    pub(crate) async fn by_id(&self, id: ModelId) -> Result<Option<Model>> {
        let known = |models: &[Model]| models.iter().find(|model| model.id == id).cloned();
        if let Some(model) = known(&self.at_hand()) {
            return Ok(Some(model));
        }
        Ok(known(&self.refresh().await?))
    }

    /// The numbers of these names.
    pub(crate) async fn ids(&self, names: &[ModelName]) -> Result<Vec<ModelId>> {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            ids.push(self.find(name.as_str()).await?.id);
        }
        Ok(ids)
    }
}

/// An exact name goes before a short one.
fn named(models: &[Model], asked: &str) -> Option<Model> {
    let exact = models.iter().find(|model| model.profile.name.as_str() == asked);
    exact.or_else(|| models.iter().find(|model| model.answers_to(asked))).cloned()
}
