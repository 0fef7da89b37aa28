//! The sandbox keeps every promise of `aura_core::conformance` behind each of its back ends.

#![cfg(unix)]
#![expect(clippy::panic, reason = "a sandbox that cannot be made has failed every promise")]

use aura_sandbox::{BackEnd, LocalSandbox};

fn behind(back_end: BackEnd) -> LocalSandbox {
    LocalSandbox::builder().back_ends([back_end]).build().unwrap_or_else(|error| panic!("{error}"))
}

aura_core::sandbox_conformance!(unconfined, behind(BackEnd::Unconfined));
#[cfg(target_os = "linux")]
aura_core::sandbox_conformance!(landlock, behind(BackEnd::Landlock));
#[cfg(target_os = "linux")]
aura_core::sandbox_conformance!(bubblewrap, behind(BackEnd::Bubblewrap));
