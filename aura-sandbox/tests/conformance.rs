//! The process sandbox keeps every promise of `aura_core::conformance`.

#![cfg(unix)]

aura_core::sandbox_conformance!(process, aura_sandbox::ProcessSandbox::new().expect("a folder for workspaces"));
