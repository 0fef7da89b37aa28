//! `NvmlProbe` without a GPU: against small libraries that the tests build and that tell what NVIDIA's would.
#![cfg(all(feature = "nvml", unix))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use aura_adapters::NvmlProbe;
use aura_core::{Fraction, Gpu, Mebibytes, ResourceProbe};

/// Builds the variant of the library that `cfg` chooses; `as_usual` is the one that lacks nothing.
fn library(cfg: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml/fake_library.rs");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libfake_nvml_{cfg}.so"));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let name = format!("fake_nvml_{cfg}");
    let built = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", &name, "--cfg", cfg])
        .arg(source)
        .arg("-o")
        .arg(&library)
        .output()
        .unwrap_or_else(|error| panic!("rustc cannot be started, set RUSTC to it: {error}"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

async fn gpus(cfg: &str) -> Vec<Gpu> {
    NvmlProbe::with_library(library(cfg)).snapshot().await.unwrap().gpus.unwrap()
}

fn gtx_1080_ti() -> Gpu {
    Gpu {
        name: "NVIDIA GeForce GTX 1080 Ti".to_owned(),
        index: Some(0),
        uuid: Some("GPU-11111111-2222-3333-4444-555555555555".to_owned()),
        total: Mebibytes(11_264),
        free: Mebibytes(8177),
        used: Some(Mebibytes(3001)),
        utilisation: Fraction::of(43, 100),
    }
}

#[tokio::test]
async fn every_gpu_tells_its_memory_whoever_has_it_and_how_busy_it_is() {
    let probe = NvmlProbe::with_library(library("as_usual"));
    for _ in 0..2 {
        let seen = probe.snapshot().await.unwrap();
        let gpus = seen.gpus.unwrap();
        assert_eq!(gpus.first(), Some(&gtx_1080_ti()));
        let second = gpus.get(1).map(|gpu| (gpu.name.as_str(), gpu.free, gpu.used, gpu.utilisation));
        let idle = Some(Fraction::ZERO);
        assert_eq!(second, Some(("NVIDIA GeForce GTX 1060", Mebibytes(6144), Some(Mebibytes(0)), idle)));
        assert_eq!((seen.free_memory, seen.resident), (None, None), "of the rest it knows nothing");
    }
}

#[tokio::test]
async fn without_the_drivers_library_gpus_are_absent_and_that_is_no_error() {
    let missing = NvmlProbe::with_library("/no/such/libnvidia-ml.so.1");
    assert_eq!(missing.snapshot().await.unwrap().gpus, None);
}

#[tokio::test]
async fn a_library_whose_driver_is_not_loaded_is_an_absence() {
    let probe = NvmlProbe::with_library(library("no_driver"));
    assert_eq!(probe.snapshot().await.unwrap().gpus, None);
}

#[tokio::test]
async fn a_driver_that_does_not_answer_is_an_error_and_never_a_machine_without_gpus() {
    for cfg in ["mismatch", "no_memory"] {
        let probe = NvmlProbe::with_library(library(cfg));
        for _ in 0..2 {
            let error = probe.snapshot().await.unwrap_err();
            assert!(error.message.starts_with("the NVIDIA driver does not"), "{cfg}: {error}");
            assert!(error.source.is_some(), "{cfg}");
        }
    }
}

#[tokio::test]
async fn what_an_older_driver_cannot_tell_is_absent() {
    let expected = Gpu { uuid: None, utilisation: None, ..gtx_1080_ti() };
    assert_eq!(gpus("no_extras").await.first(), Some(&expected));
}

#[tokio::test]
async fn a_gpu_that_is_lost_takes_the_others_not_along() {
    assert_eq!(gpus("one_lost").await, [gtx_1080_ti()]);
}
