//! The server's settings, read from the environment and the command line, and checked.

use std::{env, net::SocketAddr, str::FromStr, time::Duration};

use aura_orchestra::{
    core::engine::{HrSettings, Settings},
    prelude::{ApiKey, BackEnd},
};
use clap::Parser;

use crate::{
    database::{Database, DatabaseOptions},
    hiring::{self, Access},
    house::House,
};

/// Runs one orchestra with a web page. README.md names the environment variables.
#[derive(Parser)]
#[command(name = "server")]
struct CommandLine {
    #[command(flatten)]
    database: DatabaseOptions,
}

/// All that can be set.
pub(crate) struct ServerSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) database: Database,
    pub(crate) workers: usize,
    /// How long the server is not ready and still serves, before it stops.
    pub(crate) drain: Duration,
    pub(crate) orchestra: Settings,
    /// What to run tests in; none for the strongest that works here.
    pub(crate) sandbox: Option<BackEnd>,
    pub(crate) house: House,
    pub(crate) ollama_host: Option<String>,
    pub(crate) ollama_model: String,
    pub(crate) openai: Access,
    pub(crate) openai_models: Vec<String>,
    pub(crate) gemini: Access,
    pub(crate) gemini_model: String,
}

impl ServerSettings {
    /// Reads and checks both; an error is one line that names the variable and the way out. Ends the process where clap does:
    /// for `--help`, and for an option that there is not.
    pub(crate) fn read() -> Result<Self, String> {
        let given = CommandLine::parse();
        let defaults = HrSettings::default();
        let lease = seconds("AURA_LEASE", 30.0)?;
        let max_local = number("AURA_MAX_LOCAL", None, Settings::default().max_local)?;
        if max_local == 0 {
            return Err("AURA_MAX_LOCAL is 0: it must be at least 1".to_owned());
        }
        let orchestra = Settings {
            max_local,
            lease,
            heartbeat: lease / 3,
            allow_unsandboxed: switch("AURA_ALLOW_UNSANDBOXED")?,
            stall_after: seconds("AURA_STALL_AFTER", 180.0)?,
            hr_interval: seconds("AURA_HR_INTERVAL", 3600.0)?,
            hr: HrSettings {
                window_days: number("HR_WINDOW_DAYS", None, defaults.window_days)?,
                promote_at: number("PROMOTE_THRESHOLD", None, defaults.promote_at)?,
                demote_under: number("DEMOTE_THRESHOLD", None, defaults.demote_under)?,
                ..defaults
            },
            ..Settings::default()
        };
        orchestra.check()?;
        let sandbox = sandbox(orchestra.allow_unsandboxed)?;
        let workers: usize = number("AURA_WORKERS", None, 2)?;
        if workers > 256 {
            return Err(format!("AURA_WORKERS is {workers}: it must be 0 to 256"));
        }
        let listen = text("AURA_LISTEN").unwrap_or_else(|| "127.0.0.1:8000".to_owned());
        let listen = listen.parse().map_err(|_| {
            format!("AURA_LISTEN is {listen:?}: it must be an address and a port, as in 127.0.0.1:8000")
        })?;
        Ok(Self {
            listen,
            database: given.database.read()?,
            workers,
            drain: drain()?,
            orchestra,
            sandbox,
            house: House::read()?,
            ollama_host: text("OLLAMA_HOST"),
            ollama_model: text("OLLAMA_MODEL").unwrap_or_else(|| hiring::OLLAMA_MODEL.to_owned()),
            openai: Access { key: ApiKey::from_env("OPENAI_API_KEY"), base_url: text("OPENAI_BASE_URL") },
            openai_models: openai_models()?,
            gemini: Access { key: ApiKey::from_env("GEMINI_API_KEY"), base_url: text("GEMINI_BASE_URL") },
            gemini_model: text("GEMINI_MODEL").unwrap_or_else(|| hiring::GEMINI_MODEL.to_owned()),
        })
    }
}

/// An unset variable and an empty one are the same.
pub(crate) fn text(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A number; what the command line gave goes over the variable.
pub(crate) fn number<T: FromStr + std::fmt::Display>(
    name: &str,
    given: Option<String>,
    default: T,
) -> Result<T, String> {
    match given.or_else(|| text(name)) {
        None => Ok(default),
        Some(value) => {
            value.parse().map_err(|_| format!("{name} is {value:?}: it must be a number, as in {name}={default}"))
        }
    }
}

fn seconds(name: &str, default: f64) -> Result<Duration, String> {
    let seconds: f64 = number(name, None, default)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration >= Duration::from_millis(100) && seconds <= 86_400.0 * 365.0 => Ok(duration),
        _ => Err(format!("{name} is {seconds}: it must be a number of seconds, at least 0.1")),
    }
}

/// The models at OpenAI, by commas.
fn openai_models() -> Result<Vec<String>, String> {
    let named = text("OPENAI_MODEL").unwrap_or_else(|| hiring::OPENAI_MODEL.to_owned());
    let models: Vec<_> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if models.is_empty() {
        return Err(format!(
            "OPENAI_MODEL is {named:?}: it must name a model, as in OPENAI_MODEL={}",
            hiring::OPENAI_MODEL
        ));
    }
    Ok(models)
}

/// Running without one takes two words, so that no slip of one switch does it.
fn sandbox(allow_unsandboxed: bool) -> Result<Option<BackEnd>, String> {
    let Some(name) = text("AURA_SANDBOX").filter(|name| name != "auto") else { return Ok(None) };
    match name.parse() {
        Ok(BackEnd::Unconfined) if !allow_unsandboxed => Err(
            "AURA_SANDBOX is none, which runs code that models write WITHOUT ISOLATION: set AURA_ALLOW_UNSANDBOXED=1 as \
             well if you accept that, or AURA_SANDBOX=auto"
                .to_owned(),
        ),
        Ok(back_end) => Ok(Some(back_end)),
        Err(_) => Err(format!("AURA_SANDBOX is {name:?}: it must be auto, bubblewrap, landlock or none")),
    }
}

fn drain() -> Result<Duration, String> {
    let seconds: f64 = number("AURA_DRAIN", None, 5.0)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds <= 3600.0 => Ok(duration),
        _ => Err(format!("AURA_DRAIN is {seconds}: it must be 0 to 3600 seconds")),
    }
}

pub(crate) fn switch(name: &str) -> Result<bool, String> {
    match text(name).as_deref() {
        None | Some("0" | "false" | "off" | "no") => Ok(false),
        Some("1" | "true" | "on" | "yes") => Ok(true),
        Some(other) => Err(format!("{name} is {other:?}: it must be 1 or 0")),
    }
}
