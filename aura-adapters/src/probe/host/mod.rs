//! Memory and cores of the host, within the limits of our own container.

mod cgroup;

use std::{path::PathBuf, thread};

use async_trait::async_trait;
use aura_core::{Mebibytes, ResourceProbe, Resources, contract::ProbeError};
use sysinfo::System;

/// Looks at the host, and at the limits that a container (a cgroup of Linux, of either version) sets for this process.
///
/// Of two values the smaller counts: a container of 4 GiB on a host of 64 has 4. What a container could give back at once, such as
/// files that were read long ago, counts as free. Limits that cannot be read count as none.
///
/// # Examples
/// ```
/// use aura_adapters::HostProbe;
/// use aura_core::ResourceProbe;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let seen = HostProbe::new().snapshot().await?;
/// assert!(seen.free_memory <= seen.total_memory);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HostProbe {
    root: PathBuf,
}

impl HostProbe {
    /// This host, and the limits of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::with_root("/")
    }

    /// Reads the limits below this folder instead of `/`, such as where another system's `/proc` and `/sys` are mounted. The host's
    /// own memory and cores are this system's.
    #[must_use]
    pub fn with_root(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn look(&self) -> Resources {
        let memory = System::new().ok().map(|mut system| {
            system.refresh_memory();
            (system.total_memory(), system.available_memory())
        });
        // A system of which nothing can be read has no memory at all.
        let memory = memory.filter(|(total, _)| *total > 0);
        let cores = thread::available_parallelism().ok().map(|cores| u16::try_from(cores.get()).unwrap_or(u16::MAX));
        let limits = cgroup::limits(&self.root);
        let mebibytes = |bytes: u64| Mebibytes(bytes >> 20);
        Resources {
            total_memory: smaller(memory.map(|(total, _)| total), limits.memory).map(mebibytes),
            free_memory: smaller(memory.map(|(_, available)| available), limits.free_memory).map(mebibytes),
            cores: smaller(cores, limits.cores),
            ..Resources::default()
        }
    }
}

impl Default for HostProbe {
    fn default() -> Self {
        Self::new()
    }
}

fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

#[async_trait]
impl ResourceProbe for HostProbe {
    async fn snapshot(&self) -> Result<Resources, ProbeError> {
        let probe = self.clone();
        let ended = |error: tokio::task::JoinError| ProbeError {
            message: "the look at the host ended early".to_owned(),
            source: Some(error.into()),
        };
        tokio::task::spawn_blocking(move || probe.look()).await.map_err(ended)
    }
}
