//! Workspaces, patches, snapshots and test runs for code that a model wrote.
//!
//! [`LocalSandbox`] is the [`Sandbox`](aura_core::Sandbox) to start with: it takes the strongest [`BackEnd`] that proves
//! itself on this machine. The way of a piece of work through it:
//!
//! 1. `prepare` makes a fresh folder with the user's files;
//! 2. `apply` puts the model's files and patches into it, all or nothing: paths cannot leave the folder, and files
//!    that steer tests or tools are refused as hostile;
//! 3. `snapshot` packs what is there;
//! 4. `run_tests` writes the suite's files over the work, runs its command within limits, and reads its report;
//! 5. `discard` removes the folder.

mod beneath;
mod confinement;
#[cfg(fuzzing)]
pub mod fuzzing;
mod limits;
mod local_sandbox;
mod patch;
mod path;
mod report;
mod runner;
mod snapshot;
mod steering;
mod temporary;
mod work;
mod workspace;

pub use confinement::{BackEnd, Refusal};
pub use limits::Limits;
pub use local_sandbox::{LocalSandbox, LocalSandboxBuilder};

use aura_core::SandboxError;

/// Does work on files off the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(SandboxError::Io { action: "finish work on files".to_owned(), source: error.into() })
    })
}
