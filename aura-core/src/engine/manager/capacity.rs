//! Whether one more job fits on a model: its own limit, the local models that may be busy, the memory of the GPUs.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use crate::{
    contract::store::ModelLoad,
    ids::ModelId,
    model::{Model, ModelKind},
    resources::{Needs, Resources},
    units::Mebibytes,
};

/// Who is busy with how much, and what the machine has left.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    load: HashMap<ModelId, u32>,
    attended: HashSet<ModelId>,
    busy_local: Vec<ModelId>,
    max_local: usize,
    resources: Resources,
}

/// Why a model gets no further job now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// It has as many jobs as it works on at once.
    Full { concurrency: u16 },
    /// As many local models as allowed are busy.
    MaxLocal { max: usize },
    /// It needs more GPU memory than any GPU has free.
    Vram { needs: Mebibytes, free: Mebibytes },
    /// It needs more memory than the host has free.
    Memory { needs: Mebibytes, free: Mebibytes },
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { concurrency } => write!(f, "works on {concurrency} job(s) already"),
            Self::MaxLocal { max } => write!(f, "{max} other local models are busy, and max_local is {max}"),
            Self::Vram { needs, free } => write!(f, "needs {needs} of GPU memory, {free} are free"),
            Self::Memory { needs, free } => write!(f, "needs {needs} of memory, {free} are free"),
        }
    }
}

impl Fleet {
    /// `attended`: the models that a worker works for. What is assigned to the others keeps nothing busy: it only waits.
    pub(crate) fn new(
        models: &[Model],
        load: &[ModelLoad],
        attended: HashSet<ModelId>,
        max_local: usize,
        resources: Resources,
    ) -> Self {
        let local = |id| models.iter().find(|model| model.id == id && model.profile.kind == ModelKind::Local);
        let is_busy = |l: &&ModelLoad| l.in_progress > 0 || (l.assigned > 0 && attended.contains(&l.model));
        let mut fleet = Self {
            load: load.iter().map(|l| (l.model, l.assigned + l.in_progress)).collect(),
            busy_local: Vec::new(),
            attended: HashSet::new(),
            max_local,
            resources,
        };
        for l in load.iter().filter(is_busy) {
            let Some(model) = local(l.model) else { continue };
            fleet.busy_local.push(model.id);
            // What only waits for its worker is not loaded yet: the probe could not see what it needs.
            if l.in_progress == 0 {
                fleet.reserve(model.profile.needs);
            }
        }
        fleet.attended = attended;
        fleet
    }

    /// Sets aside what a model needs, on the GPU that has most free.
    fn reserve(&mut self, needs: Needs) {
        let less = |free: &mut Mebibytes, by: Mebibytes| *free = Mebibytes(free.0.saturating_sub(by.0));
        if let Some(gpu) = self.resources.gpus.iter_mut().flatten().max_by_key(|gpu| gpu.free) {
            less(&mut gpu.free, needs.vram);
        }
        if let Some(free) = &mut self.resources.free_memory {
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

    /// Whether one more job fits on `model`.
    pub(crate) fn room_for(&self, model: &Model) -> Result<(), NoRoom> {
        if self.load_of(model.id) >= u32::from(model.profile.concurrency) {
            return Err(NoRoom::Full { concurrency: model.profile.concurrency });
        }
        // A model that is busy already is loaded: it takes no further room.
        if model.profile.kind == ModelKind::Cloud || self.busy_local.contains(&model.id) {
            return Ok(());
        }
        if self.busy_local.len() >= self.max_local {
            return Err(NoRoom::MaxLocal { max: self.max_local });
        }
        let needs = model.profile.needs;
        let free = self.resources.gpus.as_deref().map(|gpus| gpus.iter().map(|gpu| gpu.free).max().unwrap_or_default());
        if let Some(free) = free.filter(|free| needs.vram > *free) {
            return Err(NoRoom::Vram { needs: needs.vram, free });
        }
        if let Some(free) = self.resources.free_memory.filter(|free| needs.memory > *free) {
            return Err(NoRoom::Memory { needs: needs.memory, free });
        }
        Ok(())
    }

    /// Counts a job that was just given to `model`.
    pub(crate) fn occupy(&mut self, model: &Model) {
        *self.load.entry(model.id).or_default() += 1;
        let keeps_busy = model.profile.kind == ModelKind::Local && self.is_attended(model.id);
        if keeps_busy && !self.busy_local.contains(&model.id) {
            self.reserve(model.profile.needs);
            self.busy_local.push(model.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ModelProfile, resources::Gpu, standing::Standing};

    fn model(id: i32, kind: ModelKind) -> Model {
        Model {
            id: ModelId(id),
            profile: ModelProfile::new(&format!("m{id}"), kind, "test", "m").unwrap(),
            is_active: true,
            hold: None,
            standing: Standing::Trial,
            created_at: chrono::DateTime::UNIX_EPOCH,
            asked_at: None,
        }
    }

    fn fleet(models: &[Model], busy: &[i32], resources: Resources) -> Fleet {
        let load: Vec<_> =
            busy.iter().map(|id| ModelLoad { model: ModelId(*id), assigned: 0, in_progress: 1 }).collect();
        let attended = load.iter().map(|load| load.model).collect();
        Fleet::new(models, &load, attended, 3, resources)
    }

    #[test]
    fn a_fourth_local_model_waits_while_three_others_are_busy() {
        let models: Vec<_> = (1..=4).map(|id| model(id, ModelKind::Local)).collect();
        let fleet = fleet(&models, &[1, 2, 3], Resources::default());
        assert_eq!(fleet.room_for(&models[3]), Err(NoRoom::MaxLocal { max: 3 }));
        assert_eq!(fleet.room_for(&model(5, ModelKind::Cloud)), Ok(()));
    }

    #[test]
    fn what_is_assigned_to_models_that_nobody_works_for_keeps_no_room() {
        let models: Vec<_> = (1..=4).map(|id| model(id, ModelKind::Local)).collect();
        let load: Vec<_> = (1..=3).map(|id| ModelLoad { model: ModelId(id), assigned: 1, in_progress: 0 }).collect();
        let fleet = |attended: &[i32]| {
            let attended = attended.iter().map(|id| ModelId(*id)).collect();
            Fleet::new(&models, &load, attended, 3, Resources::default())
        };
        assert_eq!(fleet(&[4]).room_for(&models[3]), Ok(()));
        assert_eq!(fleet(&[1, 2, 3, 4]).room_for(&models[3]), Err(NoRoom::MaxLocal { max: 3 }));
    }

    #[test]
    fn a_busy_model_takes_more_only_up_to_its_concurrency() {
        let mut one = model(1, ModelKind::Local);
        let fleet = fleet(std::slice::from_ref(&one), &[1], Resources::default());
        assert_eq!(fleet.room_for(&one), Err(NoRoom::Full { concurrency: 1 }));
        one.profile.concurrency = 2;
        assert_eq!(fleet.room_for(&one), Ok(()));
    }

    #[test]
    fn two_models_are_not_given_the_same_memory() {
        let models: Vec<_> = (1..=3)
            .map(|id| {
                let mut model = model(id, ModelKind::Local);
                model.profile.needs = Needs { vram: Mebibytes(6000), memory: Mebibytes(1000) };
                model
            })
            .collect();
        let gpu = |free| Gpu { name: "gpu".into(), total: Mebibytes(11_264), free: Mebibytes(free) };
        let fleet = |gpus: &[u64], load: &[ModelLoad]| {
            let gpus = Some(gpus.iter().map(|free| gpu(*free)).collect());
            let resources = Resources { gpus, free_memory: Some(Mebibytes(5000)), ..Resources::default() };
            Fleet::new(&models, load, models.iter().map(|model| model.id).collect(), 3, resources)
        };
        let full = Err(NoRoom::Vram { needs: Mebibytes(6000), free: Mebibytes(4000) });
        let mut one_gpu = fleet(&[10_000], &[]);
        assert_eq!(one_gpu.room_for(&models[0]), Ok(()));
        one_gpu.occupy(&models[0]);
        assert_eq!(one_gpu.room_for(&models[1]), full, "given away within the pass");
        let waits = ModelLoad { model: ModelId(1), assigned: 1, in_progress: 0 };
        assert_eq!(fleet(&[10_000], &[waits]).room_for(&models[1]), full, "given away before, and not loaded yet");
        let works = ModelLoad { model: ModelId(1), assigned: 0, in_progress: 1 };
        assert_eq!(fleet(&[10_000], &[works]).room_for(&models[1]), Ok(()), "loaded: the probe saw it");
        assert_eq!(fleet(&[10_000, 8000], &[waits]).room_for(&models[1]), Ok(()), "another GPU has room");
    }

    #[test]
    fn a_model_that_needs_more_vram_than_any_gpu_has_free_waits() {
        let mut one = model(1, ModelKind::Local);
        one.profile.needs = Needs { vram: Mebibytes(9000), memory: Mebibytes(0) };
        let gpu = |free| Gpu { name: "gpu".into(), total: Mebibytes(11_264), free: Mebibytes(free) };
        let with = |gpus| fleet(&[], &[], Resources { gpus, ..Resources::default() });
        let no_room = NoRoom::Vram { needs: Mebibytes(9000), free: Mebibytes(8000) };
        assert_eq!(with(Some(vec![gpu(8000), gpu(2000)])).room_for(&one), Err(no_room));
        assert_eq!(with(Some(vec![gpu(10_000)])).room_for(&one), Ok(()));
        assert_eq!(with(None).room_for(&one), Ok(()), "not measured is not zero");
    }
}
