//! Whether one more job fits on a model: its own limit, the local models that may be loaded, the memory that they leave.

mod measured;
mod no_room;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

pub(crate) use measured::{Measured, Sight};
pub(crate) use no_room::{NoRoom, Occupant};

use crate::{
    contract::store::ModelLoad,
    ids::ModelId,
    model::{Model, ModelIdentity, ModelKind},
    resources::{Needs, Resident},
    units::Mebibytes,
};

/// Who is busy or loaded with how much, and what the machine has left.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    load: HashMap<ModelId, u32>,
    attended: HashSet<ModelId>,
    busy_local: Vec<Busy>,
    /// Everything that is loaded on this machine, whoever loaded it.
    loaded: Vec<Loaded>,
    max_local: usize,
    sight: Sight,
}

#[derive(Debug, Clone)]
struct Busy {
    id: ModelId,
    name: String,
    identity: ModelIdentity,
}

#[derive(Debug, Clone)]
struct Loaded {
    /// As it is employed here, else as its provider calls it.
    name: String,
    resident: Resident,
}

impl Fleet {
    /// `attended`: the models that a worker works for. What is assigned to the others keeps nothing busy: it only waits.
    pub(crate) fn new(
        models: &[Model],
        load: &[ModelLoad],
        attended: HashSet<ModelId>,
        max_local: usize,
        sight: impl Into<Sight>,
    ) -> Self {
        let sight = sight.into();
        let local = |id| models.iter().find(|model| model.id == id && model.profile.kind == ModelKind::Local);
        let is_busy = |l: &&ModelLoad| l.in_progress > 0 || (l.assigned > 0 && attended.contains(&l.model));
        let loaded = sight.resources.resident.iter().flatten().filter_map(|resident| loaded_here(models, resident));
        let mut fleet = Self {
            load: load.iter().map(|l| (l.model, l.assigned + l.in_progress)).collect(),
            busy_local: Vec::new(),
            attended: HashSet::new(),
            loaded: loaded.collect(),
            max_local,
            sight,
        };
        for l in load.iter().filter(is_busy) {
            let Some(model) = local(l.model) else { continue };
            // The probe could not see what a model needs that is not loaded yet, because it waits for its worker or is being
            // loaded. Where nobody watches what is loaded, a model that works counts as loaded.
            let is_watched = fleet.sight.resources.watched.contains(&model.profile.identity.provider);
            if !fleet.is_resident(model) && (l.in_progress == 0 || is_watched) {
                fleet.reserve(model);
            }
            fleet.busy_local.push(Busy::new(model));
        }
        fleet.attended = attended;
        fleet
    }

    /// Sets aside what a model needs, on the GPU that has most free.
    fn reserve(&mut self, model: &Model) {
        if self.runs_elsewhere(model) {
            return;
        }
        let needs = self.sight.measured.needs_of(model);
        let less = |free: &mut Mebibytes, by: Mebibytes| *free = Mebibytes(free.0.saturating_sub(by.0));
        if let Some(gpu) = self.sight.resources.gpus.iter_mut().flatten().max_by_key(|gpu| gpu.free) {
            less(&mut gpu.free, needs.vram);
        }
        if let Some(free) = &mut self.sight.resources.free_memory {
            less(free, needs.memory);
        }
    }

    /// Whether a worker works for the model.
    pub(crate) fn is_attended(&self, model: ModelId) -> bool {
        self.attended.contains(&model)
    }

    /// Jobs that a model has.
    pub(crate) fn load_of(&self, model: ModelId) -> u32 {
        self.load.get(&model).copied().unwrap_or(0)
    }

    fn is_busy(&self, model: &Model) -> bool {
        self.busy_local.iter().any(|busy| busy.id == model.id)
    }

    fn runs_elsewhere(&self, model: &Model) -> bool {
        self.sight.elsewhere.contains(&model.id)
    }

    fn is_resident(&self, model: &Model) -> bool {
        !self.runs_elsewhere(model)
            && self.loaded.iter().any(|loaded| loaded.resident.identity == model.profile.identity)
    }

    /// Whether one more job fits on `model`.
    pub(crate) fn room_for(&self, model: &Model) -> Result<(), NoRoom> {
        if self.load_of(model.id) >= u32::from(model.profile.concurrency) {
            return Err(NoRoom::Full { concurrency: model.profile.concurrency });
        }
        // A model that is busy already is loaded: it takes no further room.
        if model.profile.kind == ModelKind::Cloud || self.is_busy(model) {
            return Ok(());
        }
        // One that is loaded but idle takes no further memory either; it only must not be one too many at work.
        if self.is_resident(model) {
            let others = self.busy_local.iter().map(Busy::occupant).collect::<Vec<_>>();
            return if others.len() < self.max_local { Ok(()) } else { Err(self.max_local_reached(others)) };
        }
        let others = self.others(model);
        if others.len() >= self.max_local {
            return Err(self.max_local_reached(others));
        }
        if self.runs_elsewhere(model) {
            return Ok(());
        }
        self.fits(self.sight.measured.needs_of(model), others)
    }

    fn max_local_reached(&self, others: Vec<Occupant>) -> NoRoom {
        NoRoom::MaxLocal { max: self.max_local, others }
    }

    /// The other local models that are busy, or loaded beside this one, each once.
    fn others(&self, model: &Model) -> Vec<Occupant> {
        if self.runs_elsewhere(model) {
            return self.busy_local.iter().map(Busy::occupant).collect();
        }
        let is_busy = |loaded: &&Loaded| self.busy_local.iter().any(|b| b.identity == loaded.resident.identity);
        let idle =
            self.loaded.iter().filter(|loaded| loaded.resident.identity != model.profile.identity && !is_busy(loaded));
        let idle = idle.map(|loaded| Occupant { name: loaded.name.clone(), until: loaded.resident.until });
        self.busy_local.iter().map(Busy::occupant).chain(idle).collect()
    }

    /// Whether a model that is not loaded fits beside what is.
    fn fits(&self, needs: Needs, beside: Vec<Occupant>) -> Result<(), NoRoom> {
        let seen = &self.sight.resources;
        if let Some(gpus) = seen.gpus.as_deref().filter(|_| needs.vram > Mebibytes(0)) {
            let Some(largest) = gpus.iter().max_by_key(|gpu| gpu.total.max(gpu.free)) else {
                return Err(NoRoom::NoGpu { needs: needs.vram });
            };
            let total = largest.total.max(largest.free);
            if needs.vram > total {
                return Err(NoRoom::NeverVram { needs: needs.vram, gpu: largest.name.clone(), total });
            }
            let free = gpus.iter().map(|gpu| gpu.free).max().unwrap_or_default();
            if needs.vram > free {
                return Err(NoRoom::Vram { needs: needs.vram, free, beside });
            }
        }
        if let Some(total) = seen.total_memory.filter(|total| needs.memory > *total) {
            return Err(NoRoom::NeverMemory { needs: needs.memory, total });
        }
        if let Some(free) = seen.free_memory.filter(|free| needs.memory > *free) {
            return Err(NoRoom::Memory { needs: needs.memory, free, beside });
        }
        Ok(())
    }

    /// Counts a job that was just given to `model`.
    pub(crate) fn occupy(&mut self, model: &Model) {
        *self.load.entry(model.id).or_default() += 1;
        let keeps_busy = model.profile.kind == ModelKind::Local && self.is_attended(model.id);
        if keeps_busy && !self.is_busy(model) {
            if !self.is_resident(model) {
                self.reserve(model);
            }
            self.busy_local.push(Busy::new(model));
        }
    }
}

impl Busy {
    fn new(model: &Model) -> Self {
        let profile = &model.profile;
        Self { id: model.id, name: profile.name.to_string(), identity: profile.identity.clone() }
    }

    /// A busy model has no end in sight.
    fn occupant(&self) -> Occupant {
        Occupant { name: self.name.clone(), until: None }
    }
}

/// What a probe named as loaded; absent when it is employed as a model that runs at a vendor, who only shows it through a local
/// server.
fn loaded_here(models: &[Model], resident: &Resident) -> Option<Loaded> {
    let mut employed = models.iter().filter(|model| model.profile.identity == resident.identity).peekable();
    let name = match employed.peek() {
        Some(_) => employed.find(|model| model.profile.kind == ModelKind::Local)?.profile.name.to_string(),
        None => resident.identity.model.clone(),
    };
    Some(Loaded { name, resident: resident.clone() })
}
