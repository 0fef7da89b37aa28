//! Models as an operator handles them: employed, brought up to date, put on hold and let work again.

use super::Orchestra;
use crate::{
    contract::StoreError,
    error::{Error, Result},
    ids::{Actor, ModelName},
    model::{Model, ModelProfile, Origin},
    resources::Needs,
};

impl Orchestra {
    /// The model of that name; a short backend name finds it too (`ollama` finds `employee_ollama`).
    ///
    /// # Errors
    /// [`Error::UnknownModel`] names those there are.
    pub async fn find_model(&self, name: &str) -> Result<Model> {
        let found = self.inner.roster.find(name).await?;
        // The roster may be a moment old: what is shown is what is stored.
        let models = self.inner.roster.refresh().await?;
        Ok(models.iter().find(|model| model.id == found.id).cloned().unwrap_or(found))
    }

    /// The full names of models, each named as for [`find_model`](Self::find_model). The store is asked for those alone that this
    /// process does not know.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] for the first that there is not.
    pub async fn full_names(&self, asked: &[String]) -> Result<Vec<ModelName>> {
        let mut names = Vec::with_capacity(asked.len());
        for name in asked {
            names.push(self.inner.roster.find(name).await?.profile.name);
        }
        Ok(names)
    }

    /// Registers a model that works elsewhere: its jobs wait for a remote worker.
    ///
    /// # Errors
    /// [`Error::ModelExists`].
    pub async fn register(&self, profile: &ModelProfile) -> Result<Model> {
        // Only an adapter in this process can say that its answers are our own code.
        let profile = ModelProfile { origin: Origin::Model, ..profile.clone() };
        match self.inner.store.register(&profile, &Actor::operator()).await {
            Ok(model) => {
                self.inner.bells.changed();
                Ok(model)
            }
            Err(StoreError::Conflict { .. }) => Err(Error::ModelExists(profile.name)),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`register`](Self::register), but a model that is known by that name already is brought up to date (price, stub, needs)
    /// where it is the same one: the same kind, provider and provider's name. How many jobs it works on at once stays as the first
    /// one said, and one that works in this process stays as it is.
    ///
    /// # Errors
    /// [`Error::ModelExists`] when the name is another model's: its record is not for this one to write on.
    pub async fn employ(&self, profile: &ModelProfile) -> Result<Model> {
        let known = match self.register(profile).await {
            Err(Error::ModelExists(_)) => self.find_model(profile.name.as_str()).await?,
            other => return other,
        };
        let is_same = known.profile.name == profile.name
            && known.profile.kind == profile.kind
            && known.profile.identity == profile.identity;
        if !is_same {
            return Err(Error::ModelExists(profile.name.clone()));
        }
        if self.inner.adapters.contains_key(&profile.name) {
            return Ok(known);
        }
        let needs = if profile.needs == Needs::default() { known.profile.needs } else { profile.needs };
        let news = ModelProfile { price: profile.price, stub: profile.stub.clone(), needs, ..known.profile };
        let model = self.inner.store.employ(&news).await?;
        self.inner.bells.changed();
        Ok(model)
    }

    /// Stops a model from getting new work, whatever HR thinks of it.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub async fn hold(&self, name: &str, reason: &str) -> Result<Model> {
        self.set_hold(name, Some(reason.to_owned())).await
    }

    /// Lets a held model work again.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub async fn release_hold(&self, name: &str) -> Result<Model> {
        self.set_hold(name, None).await
    }

    async fn set_hold(&self, name: &str, hold: Option<String>) -> Result<Model> {
        let model = self.inner.roster.find(name).await?;
        let model = self.inner.store.set_hold(model.id, hold, &Actor::operator()).await?;
        self.inner.bells.changed();
        Ok(model)
    }
}
