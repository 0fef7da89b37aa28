//! The house stands as planned: arrows between crates run one way, every file says what it is for, no drawer is named utils.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Which crates of ours each crate may use in its library.
const ARROWS: &[(&str, &[&str])] = &[
    ("aura-orchestra-core", &[]),
    ("aura-orchestra-scoring", &["aura-orchestra-core"]),
    ("aura-orchestra-adapters", &["aura-orchestra-core"]),
    ("aura-orchestra-store", &["aura-orchestra-core"]),
    ("aura-orchestra-sandbox", &["aura-orchestra-core"]),
    ("aura-orchestra-http", &["aura-orchestra-core"]),
    ("aura-orchestra-testbed", &[]),
    (
        "aura-orchestra",
        &[
            "aura-orchestra-adapters",
            "aura-orchestra-core",
            "aura-orchestra-http",
            "aura-orchestra-sandbox",
            "aura-orchestra-scoring",
            "aura-orchestra-store",
        ],
    ),
];

/// What aura-core must not know: databases, HTTP, processes, vendors, similarity.
const NOT_IN_CORE: &[&str] = &[
    "sqlx",
    "reqwest",
    "axum",
    "hyper",
    "async-openai",
    "ollama-rs",
    "nvml-wrapper",
    "sysinfo",
    "rapidfuzz",
    "strsim",
    "process-wrap",
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn library_dependencies(package: &Value) -> Vec<String> {
    let of_library = |dependency: &&Value| dependency["kind"].is_null();
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    let mut names: Vec<_> =
        dependencies.iter().filter(of_library).map(|d| d["name"].as_str().expect("name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn arrows_between_crates_run_one_way() {
    let packages = packages();
    assert_eq!(packages.len(), ARROWS.len(), "a crate is missing from ARROWS");
    for (name, allowed) in ARROWS {
        let package = packages.iter().find(|package| package["name"] == *name).expect(name);
        let ours: Vec<_> =
            library_dependencies(package).into_iter().filter(|name| name.starts_with("aura-orchestra")).collect();
        assert_eq!(ours, *allowed, "{name}");
    }
}

#[test]
fn the_core_knows_no_database_http_process_vendor_or_similarity() {
    let packages = packages();
    let core = packages.iter().find(|package| package["name"] == "aura-orchestra-core").expect("core");
    for name in library_dependencies(core) {
        assert!(!NOT_IN_CORE.contains(&name.as_str()), "aura-core depends on {name}");
    }
    for file in rust_files("aura-core/src") {
        let text = fs::read_to_string(&file).expect("readable");
        for word in ["std::process::Command", "std::net::", "tokio::net", "tokio::process", "std::fs::"] {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn every_file_opens_with_a_line_that_says_what_it_is_for() {
    for folder in FOLDERS {
        for file in rust_files(folder) {
            let text = fs::read_to_string(&file).expect("readable");
            let first = text.lines().next().unwrap_or_default();
            let says = first.starts_with("//! ") || first.starts_with("#![doc = include_str!");
            assert!(says, "{} opens with {first:?}", file.display());
        }
    }
}

#[test]
fn no_drawer_is_named_for_having_no_subject() {
    for folder in FOLDERS {
        for file in rust_files(folder) {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            assert!(!["utils", "util", "common", "helpers", "helper", "misc"].contains(&name), "{}", file.display());
        }
    }
}

#[test]
fn no_file_has_outgrown_its_room() {
    for folder in FOLDERS {
        for file in rust_files(folder) {
            let lines = fs::read_to_string(&file).expect("readable").lines().count();
            assert!(lines <= 700, "{} has {lines} lines: there is a second subject in it", file.display());
        }
    }
}

const FOLDERS: &[&str] = &[
    "src",
    "examples",
    "tests",
    "benches",
    "aura-core",
    "aura-scoring",
    "aura-adapters",
    "aura-store",
    "aura-sandbox",
    "aura-http",
    "aura-testbed",
];

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("entry").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
