//! Employed models and what HR decided about them.

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Model, ModelId, ModelProfile, ModelScore, Promotion, Standing, StoreError,
    contract::{
        ModelStore,
        store::{Each, StandingChange},
    },
};
use serde_json::json;

use super::{MemoryStore, state::State};

impl State {
    fn add_model(&mut self, profile: &ModelProfile, actor: &Actor) -> Model {
        let model = Model {
            id: ModelId(i32::try_from(self.models.len()).unwrap_or(i32::MAX - 1) + 1),
            profile: profile.clone(),
            is_active: true,
            hold: None,
            standing: Standing::Trial,
            created_at: self.now,
            asked_at: None,
        };
        self.models.push(model.clone());
        let details = json!({ "model": profile.name, "kind": profile.kind, "identity": profile.identity });
        self.log(actor.clone(), Action::ModelRegistered, details);
        model
    }

    fn known(&mut self, profile: &ModelProfile) -> Option<&mut Model> {
        self.models.iter_mut().find(|model| model.profile.name == profile.name)
    }

    fn model_mut(&mut self, id: ModelId) -> Result<&mut Model, StoreError> {
        self.models.iter_mut().find(|model| model.id == id).ok_or_else(|| StoreError::not_found("model", id))
    }

    fn set_hold(&mut self, id: ModelId, hold: Option<String>, actor: &Actor) -> Result<Model, StoreError> {
        let model = self.model_mut(id)?;
        model.hold.clone_from(&hold);
        let model = model.clone();
        let action = if hold.is_some() { Action::ModelHeld } else { Action::ModelReleased };
        self.log(actor.clone(), action, json!({ "model": model.profile.name, "reason": hold }));
        Ok(model)
    }

    fn change_standing(&mut self, change: &StandingChange) -> Result<Promotion, StoreError> {
        let model = self.model_mut(change.model)?;
        if model.standing != change.from {
            let reason = format!("is {} and no longer {}: the decision is out of date", model.standing, change.from);
            return Err(StoreError::conflict("model", &model.profile.name, reason));
        }
        let to = change.action.leads_to();
        model.standing = to;
        model.is_active = to.is_active();
        let name = model.profile.name.clone();
        let promotion = Promotion {
            id: i64::try_from(self.promotions.len()).unwrap_or(i64::MAX - 1) + 1,
            model_id: change.model,
            action: change.action,
            reason: change.reason.clone(),
            performed_at: self.now,
        };
        self.promotions.push(promotion.clone());
        let details =
            json!({ "model": name, "action": change.action, "from": change.from, "to": to, "reason": change.reason });
        self.log(Actor::hr(), Action::ModelStanding, details);
        Ok(promotion)
    }
}

#[async_trait]
impl ModelStore for MemoryStore {
    async fn register(&self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        self.verb(|state| match state.known(profile) {
            Some(_) => Err(StoreError::conflict("model", &profile.name, "is registered already")),
            None => Ok(state.add_model(profile, actor)),
        })
    }

    async fn employ(&self, profile: &ModelProfile) -> Result<Model, StoreError> {
        Ok(self.verb(|state| match state.known(profile) {
            Some(model) => {
                model.profile = profile.clone();
                model.clone()
            }
            None => state.add_model(profile, &Actor::operator()),
        }))
    }

    async fn models(&self) -> Result<Vec<Model>, StoreError> {
        Ok(self.lock().models.clone())
    }

    async fn set_hold(&self, model: ModelId, hold: Option<String>, actor: &Actor) -> Result<Model, StoreError> {
        self.verb(|state| state.set_hold(model, hold, actor))
    }

    async fn attend(&self, models: &[ModelId]) -> Result<(), StoreError> {
        self.verb(|state| {
            for model in state.models.iter_mut().filter(|model| models.contains(&model.id)) {
                model.asked_at = Some(state.now);
            }
        });
        Ok(())
    }

    async fn change_standings(&self, changes: &[StandingChange]) -> Result<Each<Promotion>, StoreError> {
        Ok(self.verb(|state| changes.iter().map(|change| state.change_standing(change)).collect()))
    }

    async fn record_scores(&self, scores: &[ModelScore]) -> Result<(), StoreError> {
        self.verb(|state| {
            for score in scores {
                state.model(score.model_id)?;
            }
            state.scores.extend(scores.iter().map(|score| (score.model_id, score.clone())));
            Ok(())
        })
    }

    async fn latest_scores(&self) -> Result<Vec<ModelScore>, StoreError> {
        let state = self.lock();
        Ok(state.models.iter().filter_map(|model| state.scores.get(&model.id)).cloned().collect())
    }

    async fn promotions(&self, before: Option<i64>, limit: u32) -> Result<Vec<Promotion>, StoreError> {
        let state = self.lock();
        let newest =
            state.promotions.iter().rev().filter(|promotion| before.is_none_or(|before| promotion.id < before));
        Ok(newest.take(limit as usize).cloned().collect())
    }
}
