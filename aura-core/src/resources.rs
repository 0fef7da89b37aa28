//! What the machine has, what is loaded on it, and what a model needs of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::ModelIdentity,
    units::{Fraction, Mebibytes},
};

/// What a loaded model occupies; 0 means unknown or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Needs {
    /// Memory of a GPU.
    pub vram: Mebibytes,
    /// Memory of the host.
    pub memory: Mebibytes,
}

/// One GPU as a probe saw it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gpu {
    /// Its name, e.g. `NVIDIA GeForce GTX 1080 Ti`.
    pub name: String,
    /// Which one it is on this machine, from 0.
    #[serde(default)]
    pub index: Option<u32>,
    /// Which one it is in the world.
    #[serde(default)]
    pub uuid: Option<String>,
    /// All of its memory.
    pub total: Mebibytes,
    /// What is free of it.
    pub free: Mebibytes,
    /// What any process has of it, ours or not. What is neither free nor used, the driver keeps for itself.
    #[serde(default)]
    pub used: Option<Mebibytes>,
    /// The share of the last moments in which it computed.
    #[serde(default)]
    pub utilisation: Option<Fraction>,
}

impl Gpu {
    /// A GPU of which only its memory is known.
    pub fn new(name: impl Into<String>, total: Mebibytes, free: Mebibytes) -> Self {
        Self { name: name.into(), total, free, ..Self::default() }
    }
}

/// A model that is loaded, whoever loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// Which model it is, as an adapter's profile names it: with Ollama by its full name, such as `llama3:latest`.
    #[serde(flatten)]
    pub identity: ModelIdentity,
    /// Who has it loaded, without credentials.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What it occupies.
    #[serde(flatten)]
    pub occupies: Needs,
    /// When it will be unloaded unless it is asked again; absent when it stays, or nobody says.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
}

/// What a probe saw at one moment. An absent value was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// The GPUs; absent when nobody could look, empty when there are none.
    pub gpus: Option<Vec<Gpu>>,
    /// Memory of the host, or what of it this process may have.
    pub total_memory: Option<Mebibytes>,
    /// Free memory of the host, or what of it this process may still take.
    pub free_memory: Option<Mebibytes>,
    /// Processor cores that this process may use.
    pub cores: Option<u16>,
    /// The models that are loaded; absent when nobody could look.
    pub resident: Option<Vec<Resident>>,
    /// The providers of whom `resident` names every loaded model: one of theirs that is not in it is not loaded.
    pub watched: Vec<String>,
}

impl Resources {
    /// What two probes of the same machine saw, as one.
    ///
    /// A value that one of them did not measure is the other's; of two the smaller counts, so that nothing is given away that one
    /// of them saw taken. A GPU counts once: two are told apart by their uuid, and where one has none, the GPUs are those of `self`.
    ///
    /// # Examples
    /// ```
    /// use aura_core::{Gpu, Mebibytes, Resources};
    /// let gpu = Gpu::new("GTX 1080 Ti", Mebibytes(11_264), Mebibytes(10_000));
    /// let driver = Resources { gpus: Some(vec![gpu]), ..Resources::default() };
    /// let host = Resources { free_memory: Some(Mebibytes(4096)), ..Resources::default() };
    /// let both = driver.merged(host);
    /// assert_eq!(both.gpus.map(|gpus| gpus.len()), Some(1));
    /// assert_eq!(both.free_memory, Some(Mebibytes(4096)));
    /// assert_eq!(both.resident, None);
    /// ```
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let mut watched = self.watched;
        for provider in other.watched {
            if !watched.contains(&provider) {
                watched.push(provider);
            }
        }
        Self {
            gpus: either(self.gpus, other.gpus, merged_gpus),
            total_memory: either(self.total_memory, other.total_memory, Ord::min),
            free_memory: either(self.free_memory, other.free_memory, Ord::min),
            cores: either(self.cores, other.cores, Ord::min),
            resident: either(self.resident, other.resident, merged_residents),
            watched,
        }
    }
}

fn either<T>(one: Option<T>, other: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}

fn merged_gpus(mut gpus: Vec<Gpu>, others: Vec<Gpu>) -> Vec<Gpu> {
    if gpus.is_empty() {
        return others;
    }
    // Where one has no uuid, another one may be the same: what is counted twice would be given away twice.
    let can_be_told_apart = gpus.iter().all(|gpu| gpu.uuid.is_some());
    for other in others.into_iter().filter(|other| other.uuid.is_some()) {
        match gpus.iter_mut().find(|gpu| gpu.uuid == other.uuid) {
            Some(same) => same.free = same.free.min(other.free),
            None if can_be_told_apart => gpus.push(other),
            None => {}
        }
    }
    gpus
}

fn merged_residents(mut residents: Vec<Resident>, others: Vec<Resident>) -> Vec<Resident> {
    for other in others {
        if !residents.iter().any(|known| known.identity == other.identity && known.endpoint == other.endpoint) {
            residents.push(other);
        }
    }
    residents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(uuid: Option<&str>, free: u64) -> Gpu {
        Gpu { uuid: uuid.map(str::to_owned), ..Gpu::new("gpu", Mebibytes(11_264), Mebibytes(free)) }
    }

    fn resident(model: &str, endpoint: &str) -> Resident {
        let identity = ModelIdentity { provider: "ollama".to_owned(), model: model.to_owned() };
        Resident { identity, endpoint: Some(endpoint.to_owned()), occupies: Needs::default(), until: None }
    }

    #[test]
    fn what_an_older_version_wrote_still_reads() {
        let old = r#"{"gpus":[{"name":"gpu","total":11264,"free":8000}],"free_memory":512,"cores":4}"#;
        let read: Resources = serde_json::from_str(old).unwrap();
        let gpus = Some(vec![gpu(None, 8000)]);
        let now = Resources { gpus, free_memory: Some(Mebibytes(512)), cores: Some(4), ..Resources::default() };
        assert_eq!(read, now);
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut loaded = resident("llama3:latest", "http://127.0.0.1:11434");
        loaded.occupies = Needs { vram: Mebibytes(5000), memory: Mebibytes(100) };
        loaded.until = Some(DateTime::UNIX_EPOCH);
        let mut gpu = gpu(Some("GPU-1"), 8000);
        gpu.utilisation = Fraction::of(43, 100);
        let seen = Resources { gpus: Some(vec![gpu]), resident: Some(vec![loaded]), ..Resources::default() };
        let text = serde_json::to_string(&seen).unwrap();
        assert!(text.contains(r#""provider":"ollama","model":"llama3:latest""#), "{text}");
        assert_eq!(serde_json::from_str::<Resources>(&text).unwrap(), seen);
    }

    #[test]
    fn of_two_values_the_smaller_counts_and_an_absent_one_takes_nothing_away() {
        let with = |free, cores| Resources { free_memory: free, cores, ..Resources::default() };
        let merged = with(Some(Mebibytes(9)), None).merged(with(Some(Mebibytes(4)), Some(2)));
        assert_eq!(merged, with(Some(Mebibytes(4)), Some(2)));
        assert_eq!(Resources::default().merged(merged.clone()), merged);
        assert_eq!(merged.clone().merged(Resources::default()), merged);
    }

    #[test]
    fn no_gpu_is_counted_twice() {
        let free = |ours: Vec<Gpu>, theirs: Vec<Gpu>| {
            let with = |gpus| Resources { gpus: Some(gpus), ..Resources::default() };
            let gpus = with(ours).merged(with(theirs)).gpus.unwrap();
            gpus.iter().map(|gpu| gpu.free.0).collect::<Vec<_>>()
        };
        assert_eq!(free(vec![gpu(Some("a"), 9)], vec![gpu(Some("a"), 4), gpu(Some("b"), 7)]), [4, 7]);
        assert_eq!(free(vec![gpu(Some("a"), 9)], vec![gpu(None, 4)]), [9]);
        assert_eq!(free(vec![gpu(None, 9)], vec![gpu(Some("a"), 4)]), [9]);
        assert_eq!(free(vec![], vec![gpu(None, 4), gpu(None, 4)]), [4, 4]);
    }

    #[test]
    fn a_model_loaded_on_two_servers_is_there_twice_and_on_one_once() {
        let with = |residents| Resources { resident: Some(residents), ..Resources::default() };
        let ours = with(vec![resident("a", "x")]);
        let merged = ours.clone().merged(with(vec![resident("a", "x"), resident("a", "y")]));
        assert_eq!(merged.resident.unwrap().len(), 2);
        assert_eq!(ours.merged(Resources::default()).resident.unwrap().len(), 1);
    }
}
