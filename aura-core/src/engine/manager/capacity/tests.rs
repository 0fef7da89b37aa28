//! Tests of what fits.

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::{
    model::ModelProfile,
    resources::{Gpu, Resources},
    standing::Standing,
};

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

/// A GTX 1080 Ti with so much free.
fn card(free: u64) -> Gpu {
    Gpu::new("GTX 1080 Ti", Mebibytes(11_264), Mebibytes(free))
}

fn named(names: &[&str]) -> Vec<Occupant> {
    names.iter().map(|name| Occupant { name: (*name).to_owned(), until: None }).collect()
}

fn fleet(models: &[Model], busy: &[i32], resources: Resources) -> Fleet {
    let load: Vec<_> = busy.iter().map(|id| ModelLoad { model: ModelId(*id), assigned: 0, in_progress: 1 }).collect();
    let attended = load.iter().map(|load| load.model).collect();
    Fleet::new(models, &load, attended, 3, resources)
}

fn three_are_busy() -> NoRoom {
    NoRoom::MaxLocal { max: 3, others: named(&["m1", "m2", "m3"]) }
}

#[test]
fn a_fourth_local_model_waits_while_three_others_are_busy() {
    let models: Vec<_> = (1..=4).map(|id| model(id, ModelKind::Local)).collect();
    let fleet = fleet(&models, &[1, 2, 3], Resources::default());
    assert_eq!(fleet.room_for(&models[3]), Err(three_are_busy()));
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
    assert_eq!(fleet(&[1, 2, 3, 4]).room_for(&models[3]), Err(three_are_busy()));
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

    let fleet = |gpus: &[u64], load: &[ModelLoad]| {
        let gpus = Some(gpus.iter().map(|free| card(*free)).collect());
        let resources = Resources { gpus, free_memory: Some(Mebibytes(5000)), ..Resources::default() };
        Fleet::new(&models, load, models.iter().map(|model| model.id).collect(), 3, resources)
    };
    let full = Err(NoRoom::Vram { needs: Mebibytes(6000), free: Mebibytes(4000), beside: named(&["m1"]) });
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

    let with = |gpus| fleet(&[], &[], Resources { gpus, ..Resources::default() });
    let no_room = NoRoom::Vram { needs: Mebibytes(9000), free: Mebibytes(8000), beside: Vec::new() };
    assert_eq!(with(Some(vec![card(8000), card(2000)])).room_for(&one), Err(no_room));
    assert_eq!(with(Some(vec![card(10_000)])).room_for(&one), Ok(()));
    assert_eq!(with(None).room_for(&one), Ok(()), "not measured is not zero");
}

/// A local model that its provider knows by its own name.
fn sized(id: i32, vram: u64) -> Model {
    let mut model = model(id, ModelKind::Local);
    model.profile.identity = ModelIdentity { provider: "ollama".to_owned(), model: format!("model{id}:latest") };
    model.profile.needs.vram = Mebibytes(vram);
    model
}

/// `model{id}:latest` as Ollama lists it.
fn loaded(id: i32, vram: u64) -> Resident {
    Resident {
        identity: sized(id, 0).profile.identity,
        endpoint: None,
        occupies: Needs { vram: Mebibytes(vram), memory: Mebibytes(0) },
        until: None,
    }
}

fn seen(free: &[u64], resident: Vec<Resident>) -> Resources {
    Resources {
        gpus: Some(free.iter().map(|free| card(*free)).collect()),
        resident: Some(resident),
        watched: vec!["ollama".to_owned()],
        ..Resources::default()
    }
}

/// All of them attended.
fn all(models: &[Model], load: &[ModelLoad], sight: impl Into<Sight>) -> Fleet {
    Fleet::new(models, load, models.iter().map(|model| model.id).collect(), 3, sight)
}

fn why(fleet: &Fleet, model: &Model) -> String {
    fleet.room_for(model).unwrap_err().to_string()
}

#[test]
fn a_loaded_model_needs_no_further_memory() {
    let models = [sized(1, 6000), sized(2, 6000)];
    let mut fleet = all(&models, &[], seen(&[4000], vec![loaded(1, 6000)]));
    assert_eq!(fleet.room_for(&models[0]), Ok(()));
    let no_room = "needs 6000 MiB of GPU memory, 4000 MiB are free on one GPU beside m1";
    assert_eq!(why(&fleet, &models[1]), no_room);
    fleet.occupy(&models[0]);
    assert_eq!(why(&fleet, &models[1]), no_room, "nothing was set aside for it");
}

#[test]
fn a_model_larger_than_every_gpu_is_told_that_it_will_never_fit() {
    let large = sized(1, 20_000);
    let with = |gpus: &[u64]| all(std::slice::from_ref(&large), &[], seen(gpus, Vec::new()));
    assert_eq!(
        why(&with(&[11_000, 11_000]), &large),
        "needs 20000 MiB of GPU memory and will never fit: the largest GPU (GTX 1080 Ti) has 11264 MiB"
    );
    assert_eq!(why(&with(&[]), &large), "needs 20000 MiB of GPU memory and will never fit: there is no GPU");
    let mut huge = sized(2, 0);
    huge.profile.needs.memory = Mebibytes(9000);
    let host = Resources { total_memory: Some(Mebibytes(8000)), ..Resources::default() };
    assert_eq!(
        why(&fleet(std::slice::from_ref(&huge), &[], host), &huge),
        "needs 9000 MiB of memory and will never fit: the host has 8000 MiB"
    );
}

#[test]
fn loaded_models_count_towards_max_local_and_are_named_with_their_end() {
    let models = [sized(1, 0), sized(2, 0), sized(4, 0)];
    let mut second = loaded(2, 0);
    second.until = DateTime::from_timestamp(12 * 3600 + 3 * 60, 0);
    let busy = ModelLoad { model: ModelId(1), assigned: 0, in_progress: 1 };
    let resident = vec![loaded(1, 0), second, loaded(3, 0)];
    let fleet = all(&models, &[busy], seen(&[9000], resident.clone()));
    assert_eq!(
        why(&fleet, &models[2]),
        "3 other local models are loaded or busy (m1, m2 until 12:03 UTC, model3:latest), and max_local is 3"
    );
    assert_eq!(fleet.room_for(&models[1]), Ok(()), "it is one of the three");
    let fleet = all(&models, &[busy], seen(&[9000], resident[1..].to_vec()));
    assert!(why(&fleet, &models[2]).starts_with("3 other"), "m1 is busy, so it is being loaded");
}

#[test]
fn a_loaded_model_still_waits_while_max_local_others_are_busy() {
    let models: Vec<_> = (1..=4).map(|id| sized(id, 0)).collect();
    let load: Vec<_> = (1..=3).map(|id| ModelLoad { model: ModelId(id), assigned: 0, in_progress: 1 }).collect();
    let resident = (1..=4).map(|id| loaded(id, 0)).collect();
    let no_room = all(&models, &load, seen(&[9000], resident)).room_for(&models[3]);
    assert_eq!(no_room, Err(three_are_busy()));
}

#[test]
fn a_cloud_model_that_a_local_server_shows_is_not_loaded_here() {
    let mut models: Vec<_> = (1..=4).map(|id| sized(id, 0)).collect();
    models[0].profile.kind = ModelKind::Cloud;
    let resident = (1..=3).map(|id| loaded(id, 0)).collect();
    assert_eq!(all(&models, &[], seen(&[9000], resident)).room_for(&models[3]), Ok(()));
}

#[test]
fn what_a_model_was_seen_to_occupy_replaces_what_was_expected() {
    let models = [sized(1, 59_000), sized(2, 1000)];
    let mut measured = Measured::default();
    measured.learn(&seen(&[0], vec![loaded(1, 6000), loaded(2, 9000)]));
    measured.learn(&seen(&[0], vec![loaded(1, 0)]));
    let fleet = all(&models, &[], Sight { measured, ..Sight::from(seen(&[8000], Vec::new())) });
    assert_eq!(fleet.room_for(&models[0]), Ok(()), "estimated too high, and nothing measured takes nothing back");
    assert!(why(&fleet, &models[1]).starts_with("needs 9000 MiB"), "estimated too low");
}

#[test]
fn a_model_that_is_still_being_loaded_keeps_its_memory_where_somebody_watches() {
    let models = [sized(1, 6000), sized(2, 6000)];
    let works = ModelLoad { model: ModelId(1), assigned: 0, in_progress: 1 };
    let room = |resources| all(&models, &[works], resources).room_for(&models[1]);
    assert!(room(seen(&[10_000], Vec::new())).is_err());
    assert_eq!(room(seen(&[10_000], vec![loaded(1, 6000)])), Ok(()), "loaded: what is free leaves it out");
    assert_eq!(room(Resources { watched: Vec::new(), ..seen(&[10_000], Vec::new()) }), Ok(()), "nobody watches");
}

/// Models, which of them are loaded, which work already, in which order they are asked, and the free memory.
type Scene = (Vec<(u64, bool, bool)>, Vec<usize>, Vec<u64>, u64);

fn scenes() -> impl Strategy<Value = Scene> {
    let models = prop::collection::vec((0_u64..14_000, any::<bool>(), prop::bool::weighted(0.2)), 1..8);
    let gpus = prop::collection::vec(0_u64..=11_264, 0..4);
    (models, prop::collection::vec(0_usize..8, 1..24), gpus, 0_u64..20_000)
}

proptest! {
    #[test]
    fn one_pass_gives_no_memory_twice_and_never_more_models_than_max_local((drawn, asked, gpus, memory) in scenes()) {
        let mut models: Vec<_> = (0..).zip(&drawn).map(|(id, (vram, _, _))| sized(id, *vram)).collect();
        for model in &mut models {
            model.profile.needs.memory = Mebibytes(model.profile.needs.vram.0 / 3);
            model.profile.concurrency = 2;
        }
        let resident: Vec<_> = (0..).zip(&drawn).filter(|(_, d)| d.1).map(|(id, (vram, _, _))| loaded(id, *vram)).collect();
        let is_resident = |model: &Model| resident.iter().any(|r| r.identity == model.profile.identity);
        let load: Vec<_> = (0..).zip(&drawn).filter(|(_, d)| d.2)
            .map(|(id, _)| ModelLoad { model: ModelId(id), assigned: 0, in_progress: 1 }).collect();
        let mut resources = seen(&gpus, resident.clone());
        resources.free_memory = Some(Mebibytes(memory));
        let mut fleet = all(&models, &load, resources);

        // What the pass may still give, counted apart from the fleet.
        let (mut free, mut memory) = (gpus.clone(), memory);
        let mut at_work: HashSet<_> = load.iter().map(|load| load.model).collect();
        for model in models.iter().filter(|model| at_work.contains(&model.id) && !is_resident(model)) {
            if let Some(most) = free.iter_mut().max() {
                *most = most.saturating_sub(model.profile.needs.vram.0);
            }
            memory = memory.saturating_sub(model.profile.needs.memory.0);
        }
        let in_memory = |at_work: &HashSet<ModelId>| {
            models.iter().filter(|model| at_work.contains(&model.id) || is_resident(model)).count()
        };
        let (loaded_before, at_work_before) = (in_memory(&at_work), at_work.len());
        for model in asked.iter().filter_map(|index| models.get(*index)) {
            match fleet.room_for(model) {
                Ok(()) => fleet.occupy(model),
                Err(no_room) => {
                    let is_about_memory = !matches!(no_room, NoRoom::Full { .. } | NoRoom::MaxLocal { .. });
                    prop_assert!(!(is_resident(model) && is_about_memory), "{no_room}");
                    continue;
                }
            }
            if at_work.insert(model.id) && !is_resident(model) {
                let needs = model.profile.needs;
                if needs.vram.0 > 0 {
                    let most = free.iter_mut().max().unwrap();
                    prop_assert!(needs.vram.0 <= *most);
                    *most -= needs.vram.0;
                }
                prop_assert!(needs.memory.0 <= memory);
                memory -= needs.memory.0;
            }
            prop_assert!(at_work.len() <= at_work_before.max(3));
            prop_assert!(in_memory(&at_work) <= loaded_before.max(3));
        }
    }
}

/// On a box of its own, beside a small and crowded card of the manager's.
#[test]
fn what_this_machine_has_left_binds_no_model_that_runs_elsewhere() {
    let mut models: Vec<_> = (1..=2).map(|id| model(id, ModelKind::Local)).collect();
    models.iter_mut().for_each(|model| model.profile.needs.vram = Mebibytes(20_000));
    let loaded = ["a", "b", "c"].map(|name| Resident {
        identity: ModelIdentity { provider: "ollama".to_owned(), model: name.to_owned() },
        endpoint: None,
        occupies: Needs::default(),
        until: None,
    });
    let load = [ModelLoad { model: ModelId(1), assigned: 0, in_progress: 1 }];
    let mut sight = Sight::from(seen(&[3000], loaded.to_vec()));
    sight.elsewhere = [ModelId(1), ModelId(2)].into();
    let fleet = Fleet::new(&models, &load, [ModelId(1)].into(), 3, sight.clone());
    assert_eq!(fleet.room_for(&models[1]), Ok(()));
    // And it takes nothing from those that run here.
    let mut here = model(3, ModelKind::Local);
    here.profile.needs.vram = Mebibytes(3000);
    let fleet = Fleet::new(&models, &load, [ModelId(1)].into(), 9, sight);
    assert_eq!(fleet.room_for(&here), Ok(()));
}
