//! The GPUs, as NVIDIA's own library tells of them.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use aura_core::{Fraction, Gpu, Mebibytes, ResourceProbe, Resources, contract::ProbeError, error::BoxError};
use nvml_wrapper::{Device, Nvml, error::NvmlError};

/// Asks NVIDIA's management library (NVML), which comes with the driver.
///
/// - It tells of memory that any process has, ours or not.
/// - Without a driver `gpus` is absent, and that is no error. It is not empty: a machine with a GPU of another maker has no
///   NVIDIA driver either, and an empty list would say that nothing will ever fit there. Empty means: a driver, and no GPU.
/// - A driver that is there but does not answer, such as one that was updated under a running library, is an error.
/// - The library is opened at the first look, and again when it was not there or failed: a driver may come later.
///
/// # Examples
/// ```
/// use aura_adapters::NvmlProbe;
/// use aura_core::ResourceProbe;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let seen = NvmlProbe::with_library("/no/such/library.so").snapshot().await?;
/// assert_eq!(seen.gpus, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct NvmlProbe {
    library: Option<PathBuf>,
    opened: Opened,
}

#[derive(Clone, Default)]
struct Opened(Arc<Mutex<Option<Nvml>>>);

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

impl NvmlProbe {
    /// Asks the driver's library where the system has it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the library at this path.
    #[must_use]
    pub fn with_library(path: impl Into<PathBuf>) -> Self {
        Self { library: Some(path.into()), opened: Opened::default() }
    }

    fn look(&self) -> Result<Resources, ProbeError> {
        let mut opened = self.opened.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It is put back only when all went well: what failed is opened anew next time.
        let nvml = match opened.take().map_or_else(|| self.open(), Ok) {
            Ok(nvml) => nvml,
            Err(error) if is_no_driver(&error) => {
                tracing::debug!(%error, "there is no NVIDIA driver");
                return Ok(Resources::default());
            }
            Err(error) => return Err(failed("the NVIDIA driver does not answer", error)),
        };
        let gpus = gpus(&nvml).map_err(|error| failed("the NVIDIA driver does not tell of its GPUs", error))?;
        *opened = Some(nvml);
        Ok(Resources { gpus: Some(gpus), ..Resources::default() })
    }

    fn open(&self) -> Result<Nvml, NvmlError> {
        match &self.library {
            Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
            None => Nvml::init(),
        }
    }
}

#[async_trait]
impl ResourceProbe for NvmlProbe {
    async fn snapshot(&self) -> Result<Resources, ProbeError> {
        let probe = self.clone();
        let looked = tokio::task::spawn_blocking(move || probe.look()).await;
        looked.unwrap_or_else(|error| Err(failed("the look at the GPUs ended early", error)))
    }
}

/// Whether the error says that there is nothing to ask.
fn is_no_driver(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded)
}

fn failed(message: &str, error: impl Into<BoxError>) -> ProbeError {
    ProbeError { message: message.to_owned(), source: Some(error.into()) }
}

/// Every GPU that tells its memory. One that is lost is left out as long as another one answers.
fn gpus(nvml: &Nvml) -> Result<Vec<Gpu>, NvmlError> {
    let mut gpus = Vec::new();
    let mut silent = None;
    for index in 0..nvml.device_count()? {
        match nvml.device_by_index(index).and_then(|device| gpu(index, &device)) {
            Ok(gpu) => gpus.push(gpu),
            Err(error) => {
                tracing::debug!(index, %error, "a GPU does not tell its memory and is left out");
                silent = Some(error);
            }
        }
    }
    match silent {
        Some(error) if gpus.is_empty() => Err(error),
        _ => Ok(gpus),
    }
}

fn gpu(index: u32, device: &Device<'_>) -> Result<Gpu, NvmlError> {
    let memory = device.memory_info()?;
    // What is free is rounded down, what is used up.
    let mebibytes = |bytes: u64| Mebibytes(bytes >> 20);
    Ok(Gpu {
        name: device.name().unwrap_or_else(|_| format!("GPU {index}")),
        index: Some(index),
        uuid: device.uuid().ok(),
        total: mebibytes(memory.total),
        free: mebibytes(memory.free),
        used: Some(Mebibytes(memory.used.div_ceil(1 << 20))),
        utilisation: device.utilization_rates().ok().and_then(|rates| Fraction::of(rates.gpu.into(), 100)),
    })
}
