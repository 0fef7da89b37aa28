//! What this machine has left, as far as it can be read without a driver's library.

use std::{process::Stdio, time::Duration};

use aura_orchestra::{
    core::{contract::ProbeError, resources::Gpu},
    prelude::*,
};

/// How long `nvidia-smi` may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads `/proc/meminfo`, and asks `nvidia-smi` where there is one. What cannot be read is absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine;

#[async_trait::async_trait]
impl ResourceProbe for Machine {
    async fn snapshot(&self) -> std::result::Result<Resources, ProbeError> {
        let cores = std::thread::available_parallelism().ok().and_then(|cores| u16::try_from(cores.get()).ok());
        let memory = tokio::fs::read_to_string("/proc/meminfo").await.ok();
        let free_memory = memory.as_deref().and_then(free_memory);
        Ok(Resources { gpus: gpus().await, free_memory, cores })
    }
}

fn free_memory(meminfo: &str) -> Option<Mebibytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Mebibytes(kibibytes / 1024))
}

async fn gpus() -> Option<Vec<Gpu>> {
    let asked = tokio::process::Command::new("nvidia-smi")
        .args(["--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let text = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())?;
    text.lines().map(gpu).collect()
}

fn gpu(line: &str) -> Option<Gpu> {
    let mut parts = line.split(',').map(str::trim);
    let name = parts.next()?.to_owned();
    let total = Mebibytes(parts.next()?.parse().ok()?);
    let free = Mebibytes(parts.next()?.parse().ok()?);
    Some(Gpu { name, total, free })
}
