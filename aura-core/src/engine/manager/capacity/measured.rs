//! What models were seen to occupy, which says more than what their profiles expect.

use std::collections::{HashMap, HashSet};

use crate::{
    ids::ModelId,
    model::{Model, ModelIdentity},
    resources::{Needs, Resources},
};

/// The memory that each model was last seen to occupy, since this process began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured(HashMap<ModelIdentity, Needs>);

impl Measured {
    /// Remembers what a probe saw. Of a model that is loaded twice the larger counts.
    pub(crate) fn learn(&mut self, seen: &Resources) {
        let mut now: HashMap<&ModelIdentity, Needs> = HashMap::new();
        let residents = seen.resident.iter().flatten().filter(|resident| resident.occupies != Needs::default());
        for resident in residents {
            let needs = now.entry(&resident.identity).or_default();
            needs.vram = needs.vram.max(resident.occupies.vram);
            needs.memory = needs.memory.max(resident.occupies.memory);
        }
        self.0.extend(now.into_iter().map(|(identity, needs)| (identity.clone(), needs)));
    }

    /// What a model needs: as it was measured, else as its profile expects.
    pub(crate) fn needs_of(&self, model: &Model) -> Needs {
        self.0.get(&model.profile.identity).copied().unwrap_or(model.profile.needs)
    }
}

/// What is known of the machine when a pass decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight {
    pub(crate) resources: Resources,
    pub(crate) measured: Measured,
    /// The models that only remote workers work for: what this machine has left is no matter of theirs.
    pub(crate) elsewhere: HashSet<ModelId>,
}

impl From<Resources> for Sight {
    /// What one look tells.
    fn from(resources: Resources) -> Self {
        let mut measured = Measured::default();
        measured.learn(&resources);
        Self { resources, measured, elsewhere: HashSet::new() }
    }
}
