//! What the machine has, and what a model needs of it.

use serde::{Deserialize, Serialize};

use crate::units::Mebibytes;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its name, e.g. `NVIDIA GeForce GTX 1080 Ti`.
    pub name: String,
    /// All of its memory.
    pub total: Mebibytes,
    /// What is free of it.
    pub free: Mebibytes,
}

/// What a probe saw at one moment. An absent value was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// The GPUs; absent when nobody looked, empty when there are none.
    pub gpus: Option<Vec<Gpu>>,
    /// Free memory of the host.
    pub free_memory: Option<Mebibytes>,
    /// Processor cores.
    pub cores: Option<u16>,
}
