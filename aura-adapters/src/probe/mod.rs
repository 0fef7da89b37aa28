//! What the machine has left.

mod fixed;
#[cfg(feature = "host")]
mod host;
#[cfg(feature = "nvml")]
mod nvml;
#[cfg(feature = "ollama")]
mod ollama;
mod several;

pub use fixed::FixedProbe;
#[cfg(feature = "host")]
pub use host::HostProbe;
#[cfg(feature = "nvml")]
pub use nvml::NvmlProbe;
#[cfg(feature = "ollama")]
pub use ollama::OllamaProbe;
pub use several::Probes;
