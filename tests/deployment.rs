//! The files for containers, as compose itself reads them: limits, runtimes, health checks, what is published, and that every variable is
//! one that the program knows. No container engine is needed.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

use std::{fs, path::Path, process::Command};

use yaml_rust2::{Yaml, YamlLoader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What compose makes of these files, with every extension and override put together.
fn config(files: &[&str]) -> Yaml {
    let mut arguments: Vec<&str> = files.iter().flat_map(|file| ["-f", file]).collect();
    arguments.push("config");
    let compose: [&[&str]; 2] = [&["docker-compose"], &["docker", "compose"]];
    let mut said = Vec::new();
    for program in compose {
        let mut command = Command::new(program[0]);
        match command.args(&program[1..]).args(&arguments).current_dir(root()).output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8(output.stdout).expect("UTF-8");
                return YamlLoader::load_from_str(&text).expect("YAML").remove(0);
            }
            Ok(output) => said.push(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => said.push(format!("{}: {error}", program[0])),
        }
    }
    panic!("{}; install Debian's docker-compose, or Docker's compose plugin", said.join("; "))
}

fn with_card() -> Yaml {
    config(&["docker-compose.yml"])
}

fn without_card() -> Yaml {
    config(&["docker-compose.yml", "docker-compose.override.yml"])
}

/// Processors, memory and runtime of a service. Versions of compose write numbers in different ways.
fn limits(config: &Yaml, service: &str) -> (f64, String, Option<String>) {
    let service = &config["services"][service];
    let limits = &service["deploy"]["resources"]["limits"];
    let number = |yaml: &Yaml| match yaml {
        Yaml::Integer(number) => f64::from(i32::try_from(*number).expect("small")),
        Yaml::Real(text) | Yaml::String(text) => text.parse().expect("a number"),
        other => panic!("{other:?} is no number of processors"),
    };
    let memory = match &limits["memory"] {
        Yaml::String(text) => match text.parse::<u64>() {
            Ok(bytes) => format!("{}G", bytes >> 30),
            Err(_) => text.clone(),
        },
        other => panic!("{other:?} is no amount of memory"),
    };
    (number(&limits["cpus"]), memory, service["runtime"].as_str().map(str::to_owned))
}

fn services(config: &Yaml) -> Vec<(String, Yaml)> {
    let services = config["services"].as_hash().expect("services");
    services.iter().map(|(name, service)| (name.as_str().expect("a name").to_owned(), service.clone())).collect()
}

#[test]
fn each_worker_has_its_limits_and_the_card_where_it_needs_one() {
    let limit = |cpus, memory: &str, runtime: Option<&str>| (cpus, memory.to_owned(), runtime.map(str::to_owned));
    let config = with_card();
    assert_eq!(limits(&config, "worker-ollama"), limit(2.0, "7G", Some("nvidia")));
    assert_eq!(limits(&config, "worker-openai"), limit(1.0, "2G", None));
    assert_eq!(limits(&config, "worker-gemini"), limit(1.0, "2G", None));
    assert_eq!(config["services"]["ollama"]["runtime"].as_str(), Some("nvidia"));
}

#[test]
fn on_windows_or_without_a_card_nothing_asks_for_one() {
    let config = without_card();
    assert_eq!(limits(&config, "worker-ollama"), (1.0, "2G".to_owned(), Some("runc".to_owned())));
    for (name, service) in services(&config) {
        assert_ne!(service["runtime"].as_str(), Some("nvidia"), "{name}");
    }
}

#[test]
fn every_service_has_a_health_check_and_nothing_is_published_beyond_this_machine() {
    for (name, service) in services(&with_card()) {
        assert!(!service["healthcheck"]["test"].is_badvalue(), "{name} has no health check");
        assert!(service["privileged"].is_badvalue(), "{name} is privileged");
        for port in service["ports"].as_vec().into_iter().flatten() {
            let loopback = match port {
                Yaml::String(text) => text.starts_with("127.0.0.1:"),
                long => long["host_ip"].as_str() == Some("127.0.0.1"),
            };
            assert!(loopback, "{name} publishes {port:?} on every address");
        }
    }
}

#[test]
fn every_variable_of_a_worker_and_of_the_manager_is_one_that_the_program_reads() {
    let source = |folders: &[&str]| {
        let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).expect("a folder"));
        let read =
            |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.expect("entry").path()).unwrap_or_default();
        files.map(read).collect::<String>()
    };
    let worker = source(&["examples/worker", "examples/staff"]);
    let manager = source(&["examples/server", "examples/staff"]);
    for (name, service) in services(&with_card()) {
        let program = match name.as_str() {
            "manager" => &manager,
            name if name.starts_with("worker-") => &worker,
            _ => continue,
        };
        let variables: Vec<String> = match &service["environment"] {
            Yaml::Hash(hash) => hash.keys().filter_map(Yaml::as_str).map(str::to_owned).collect(),
            Yaml::Array(list) => list
                .iter()
                .filter_map(Yaml::as_str)
                .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
                .collect(),
            other => panic!("{name}: {other:?}"),
        };
        for variable in variables.iter().filter(|variable| !variable.starts_with("NVIDIA_")) {
            assert!(program.contains(&format!("\"{variable}\"")), "{name} is given {variable}, which nothing reads");
        }
    }
}

#[test]
fn the_images_run_as_nobody_in_particular_and_are_built_from_the_examples_that_there_are() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).expect("a Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").collect();
    for stage in stages.iter().filter(|stage| stage.starts_with("base AS ")) {
        let users: Vec<&str> = stage.lines().filter_map(|line| line.strip_prefix("USER ")).collect();
        // What is inherited is the user that the base ends with.
        assert!(users.last().is_none_or(|user| *user == "aura"), "{stage}");
        assert!(stage.contains("ENTRYPOINT ["), "{stage}");
    }
    assert!(dockerfile.contains("\nUSER aura\n") && dockerfile.contains("--uid 10001"));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    assert!(
        dockerfile.contains(&format!("FROM rust:{}-slim", version.trim_matches('"'))),
        "the image builds with another Rust"
    );
    for example in ["server", "worker"] {
        assert!(dockerfile.contains(&format!("--example {example}")) && root().join("examples").join(example).exists());
    }
}
