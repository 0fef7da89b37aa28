//! The worker's settings, read from the environment and the command line, and checked.

use std::{env, fs, process, time::Duration};

use aura_orchestra::{http, prelude::*};
use clap::Parser;

use crate::{
    hiring::{self, Access, Hired, Post},
    house::House,
    one_line::one_line,
};

/// Works for a manager on this machine or on another one. docs/workers.md tells more.
#[derive(Parser)]
#[command(name = "worker")]
struct CommandLine {
    /// Where the manager is [default http://127.0.0.1:8000]
    #[arg(long, value_name = "URL", env = "MANAGER_URL", hide_env_values = true)]
    manager_url: Option<String>,
    /// Who does the work: ollama, openai, gemini or offline, or a model's name such as llama3:8b, gpt-4o-mini or gemini-2.5-flash
    #[arg(long, value_name = "NAME", env = "MODEL_BACKEND")]
    model_backend: Option<String>,
    /// The employee's name at the manager [default employee_BACKEND]
    #[arg(long, value_name = "NAME", env = "WORKER_MODEL_NAME")]
    model_name: Option<String>,
    /// This worker's name, which no other one may have [default the machine's name and the process's number]
    #[arg(long, value_name = "NAME", env = "WORKER_ID")]
    worker_id: Option<String>,
    /// Jobs that this worker does at once, 1 to 1000 [default 1]
    #[arg(long, value_name = "NUMBER", env = "WORKER_CONCURRENCY")]
    concurrency: Option<String>,
    /// Jobs that all workers of the model do at once, where this one is the first to name it to the manager [default CONCURRENCY]
    #[arg(long, value_name = "NUMBER", env = "WORKER_MODEL_CONCURRENCY")]
    model_concurrency: Option<String>,
    /// How long running work may take after the signal to stop, before it is handed back [default 20]
    #[arg(long, value_name = "SECONDS", env = "WORKER_GRACE")]
    grace: Option<String>,
    /// Ollama's address [default http://127.0.0.1:11434]
    #[arg(long, value_name = "URL", env = "OLLAMA_HOST", hide_env_values = true)]
    ollama_host: Option<String>,
    /// The model on Ollama [default llama3]
    #[arg(long, value_name = "NAME", env = "OLLAMA_MODEL")]
    ollama_model: Option<String>,
    /// A server that speaks OpenAI's chat completions, with its /v1 [default OpenAI; its key stands in OPENAI_API_KEY]
    #[arg(long, value_name = "URL", env = "OPENAI_BASE_URL", hide_env_values = true)]
    openai_base_url: Option<String>,
    /// The model there [default gpt-4o-mini]
    #[arg(long, value_name = "NAME", env = "OPENAI_MODEL")]
    openai_model: Option<String>,
    /// A server that speaks Gemini's API [default Google; its key stands in GEMINI_API_KEY]
    #[arg(long, value_name = "URL", env = "GEMINI_BASE_URL", hide_env_values = true)]
    gemini_base_url: Option<String>,
    /// The model there [default gemini-2.5-flash]
    #[arg(long, value_name = "NAME", env = "GEMINI_MODEL")]
    gemini_model: Option<String>,
    /// How well the offline employee works: careful, hasty or sloppy [default careful]
    #[arg(long, value_name = "SKILL", env = "OFFLINE_SKILL")]
    offline_skill: Option<String>,
    /// How long the offline employee takes for a job [default 0]
    #[arg(long, value_name = "SECONDS", env = "OFFLINE_LATENCY")]
    offline_latency: Option<String>,
}

/// All that can be set.
pub(crate) struct WorkerSettings {
    pub(crate) manager: http::HttpManager,
    pub(crate) worker: WorkerId,
    pub(crate) concurrency: u32,
    pub(crate) grace: Duration,
    pub(crate) adapter: std::sync::Arc<dyn ModelAdapter>,
    /// What the manager is told of the adapter.
    pub(crate) profile: ModelProfile,
    /// What the manager is told of the machine.
    pub(crate) probes: Probes,
}

/// Who does the work.
#[derive(Clone, Copy)]
enum Backend {
    Ollama,
    OpenAi,
    Gemini,
    Offline,
}

/// What MODEL_BACKEND asks for.
struct Wanted {
    backend: Backend,
    /// The model, where it is named.
    model: Option<String>,
    /// Name of the employee.
    name: String,
}

impl WorkerSettings {
    /// Reads and checks everything; an error is one line that names the variable and the way out. Ends the process where clap does:
    /// for `--help`, and for an option that there is not.
    pub(crate) fn read() -> Result<Self, String> {
        let given = CommandLine::parse();
        let concurrency = at_once("WORKER_CONCURRENCY", &given.concurrency, 1)?;
        let over_all = at_once("WORKER_MODEL_CONCURRENCY", &given.model_concurrency, concurrency)?;
        let worker = filled(&given.worker_id).unwrap_or_else(own_name);
        let worker = WorkerId::new(&worker).map_err(|error| format!("WORKER_ID is {worker:?}: {error}"))?;
        let grace = seconds("WORKER_GRACE", &given.grace, 20.0)?;
        let manager = manager(filled(&given.manager_url))?;
        let adapter = given.hire(over_all)?;
        let profile = adapter.profile().clone();
        let probes = given.probes(&profile)?;
        Ok(Self { manager, worker, concurrency: concurrency.into(), grace, adapter, profile, probes })
    }
}

impl CommandLine {
    fn hire(&self, concurrency: u16) -> Result<std::sync::Arc<dyn ModelAdapter>, String> {
        let Wanted { backend, model, name } = self.wanted()?;
        let name = filled(&self.model_name).unwrap_or(name);
        let post = Post { name: Some(name), concurrency, house: House::read()? };
        let or = |setting: &Option<String>, default: &str| {
            model.clone().or_else(|| filled(setting)).unwrap_or_else(|| default.to_owned())
        };
        let hired: Hired = match backend {
            Backend::Ollama => {
                let model = or(&self.ollama_model, hiring::OLLAMA_MODEL);
                hiring::ollama(post, &model, filled(&self.ollama_host).as_deref())
            }
            Backend::OpenAi => {
                let access = access("OPENAI_API_KEY", filled(&self.openai_base_url));
                hiring::openai(post, &or(&self.openai_model, hiring::OPENAI_MODEL), &access)
            }
            Backend::Gemini => {
                let access = access("GEMINI_API_KEY", filled(&self.gemini_base_url));
                hiring::gemini(post, &or(&self.gemini_model, hiring::GEMINI_MODEL), &access)
            }
            Backend::Offline => {
                let skill = model.clone().or_else(|| filled(&self.offline_skill));
                let latency = seconds("OFFLINE_LATENCY", &self.offline_latency, 0.0)?;
                hiring::offline(post, skill_named(skill.as_deref().unwrap_or("careful"))?, latency)
            }
        };
        hired.map_err(|error| one_line(error.as_ref()))
    }

    fn probes(&self, profile: &ModelProfile) -> Result<Probes, String> {
        let probes = Probes::new().and(NvmlProbe::new()).and(HostProbe::new());
        if profile.identity.provider != "ollama" {
            return Ok(probes);
        }
        let url = filled(&self.ollama_host).map_or_else(|| profile.endpoint.clone(), |host| hiring::ollama_url(&host));
        let server = OllamaServer::new(url, None).map_err(|error| format!("OLLAMA_HOST: {error}"))?;
        Ok(probes.and(OllamaProbe::new(server)))
    }

    /// Reads MODEL_BACKEND: a backend, an employee's name, or a model's name that says whose it is.
    fn wanted(&self) -> Result<Wanted, String> {
        let way_out = "it must be ollama, openai, gemini or offline, or a model's name such as llama3:8b, gpt-4o-mini or \
                       gemini-2.5-flash";
        let Some(text) = filled(&self.model_backend) else {
            return Err(format!("MODEL_BACKEND is not set: {way_out}"));
        };
        let short = text.strip_prefix("employee_").unwrap_or(&text);
        let (backend, backend_name, model) = match short {
            "ollama" => (Backend::Ollama, "ollama", None),
            "openai" => (Backend::OpenAi, "openai", None),
            "gemini" => (Backend::Gemini, "gemini", None),
            "offline" => (Backend::Offline, "offline", None),
            // The server's own offline employees have such names.
            "careful" | "hasty" | "sloppy" => (Backend::Offline, short, Some(short.to_owned())),
            _ if short.starts_with("gemini-") => (Backend::Gemini, "gemini", Some(short.to_owned())),
            _ if short.starts_with("gpt-") => (Backend::OpenAi, "openai", Some(short.to_owned())),
            _ if short.contains(':') => (Backend::Ollama, "ollama", Some(short.to_owned())),
            _ => return Err(format!("MODEL_BACKEND is {text:?}: {way_out}")),
        };
        Ok(Wanted { backend, model, name: format!("employee_{backend_name}") })
    }
}

fn manager(url: Option<String>) -> Result<http::HttpManager, String> {
    let mut builder = http::HttpManager::builder(url.unwrap_or_else(|| "http://127.0.0.1:8000".to_owned()));
    if let Some(token) = text("AURA_TOKEN") {
        builder = builder.token(http::Token::new(token).map_err(|error| format!("AURA_TOKEN: {error}"))?);
    }
    builder.build().map_err(|error| format!("MANAGER_URL: {}", one_line(&error)))
}

/// The key of a vendor is read from the environment alone: other users of this machine can read a command line. Without one, and
/// without another address, the employee is a stub that says so.
fn access(key: &str, base_url: Option<String>) -> Access {
    Access { key: ApiKey::from_env(key), base_url }
}

fn skill_named(name: &str) -> Result<Skill, String> {
    let skills = [Skill::Careful, Skill::Hasty, Skill::Sloppy];
    let skill = skills.into_iter().find(|skill| skill.as_str() == name);
    skill.ok_or_else(|| format!("OFFLINE_SKILL is {name:?}: it must be careful, hasty or sloppy"))
}

/// The machine's name and the process's number, in characters that a worker's id may have.
fn own_name() -> String {
    let host = text("HOSTNAME").or_else(|| fs::read_to_string("/proc/sys/kernel/hostname").ok()).unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(64).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{}", process::id())
}

/// An unset variable and an empty one are the same.
fn text(name: &str) -> Option<String> {
    filled(&env::var(name).ok())
}

fn filled(value: &Option<String>) -> Option<String> {
    value.as_ref().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr + std::fmt::Display>(
    name: &str,
    given: &Option<String>,
    default: T,
) -> Result<T, String> {
    match filled(given) {
        None => Ok(default),
        Some(value) => {
            value.parse().map_err(|_| format!("{name} is {value:?}: it must be a number, as in {name}={default}"))
        }
    }
}

/// How many jobs at once.
fn at_once(name: &str, given: &Option<String>, default: u16) -> Result<u16, String> {
    let asked: u64 = number(name, given, default.into())?;
    let fitting = u16::try_from(asked).ok().filter(|jobs| (1..=1000).contains(jobs));
    fitting.ok_or_else(|| format!("{name} is {asked}: it must be 1 to 1000"))
}

fn seconds(name: &str, given: &Option<String>, default: f64) -> Result<Duration, String> {
    let seconds: f64 = number(name, given, default)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds <= 86_400.0 => Ok(duration),
        _ => Err(format!("{name} is {seconds}: it must be 0 to 86400 seconds")),
    }
}
