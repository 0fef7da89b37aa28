//! Which back end runs the tests: the first on a list that proves itself on this machine.

use std::{fmt, str::FromStr};

use aura_core::SandboxError;

use super::{Confinement, Wrap, capabilities};

/// What can stand between a test command and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackEnd {
    /// Namespaces, an empty read-only root, a filter for system calls, another user: the program `bwrap` on Linux.
    Bubblewrap,
    /// Landlock and a filter for system calls, which a process puts on itself: nothing to install, on Linux.
    Landlock,
    /// A process group with limits, and no isolation: for code that you would run by hand.
    Unconfined,
}

impl BackEnd {
    /// The back ends that isolate, strongest first.
    pub const ISOLATING: [Self; 2] = [Self::Bubblewrap, Self::Landlock];

    /// Its name in settings and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock",
            Self::Unconfined => "none",
        }
    }
}

impl fmt::Display for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for BackEnd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Bubblewrap, Self::Landlock, Self::Unconfined];
        all.into_iter()
            .find(|one| one.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no sandbox: there are bubblewrap, landlock and none"))
    }
}

/// A back end that was tried and not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Which.
    pub back_end: BackEnd,
    /// What is missing or was seen to be open, and how to get it.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.back_end, self.reason)
    }
}

/// Takes the first back end that proves itself, and says why those before it were not taken.
///
/// # Errors
/// [`SandboxError::Unavailable`] when none does.
pub(crate) fn choose(wanted: &[BackEnd]) -> Result<(Confinement, Vec<Refusal>), SandboxError> {
    let mut refused: Vec<Refusal> = Vec::new();
    for back_end in wanted {
        match attempt(*back_end) {
            Ok(mut confinement) => {
                confinement.capabilities.missing = refused.iter().map(Refusal::to_string).collect();
                return Ok((confinement, refused));
            }
            Err(reason) => refused.push(Refusal { back_end: *back_end, reason }),
        }
    }
    let reasons: Vec<String> = refused.iter().map(Refusal::to_string).collect();
    Err(SandboxError::Unavailable(format!("no sandbox works on this machine ({})", reasons.join("; "))))
}

fn attempt(back_end: BackEnd) -> Result<Confinement, String> {
    #[cfg(target_os = "linux")]
    return linux(back_end);
    #[cfg(not(target_os = "linux"))]
    {
        match back_end {
            BackEnd::Unconfined => {
                Ok(Confinement { wrap: Wrap::Unconfined, capabilities: capabilities::unconfined(None) })
            }
            _ => Err(format!(
                "it needs Linux, and this is {}: run the server or its workers on Linux, in a virtual machine or a \
                 container",
                std::env::consts::OS
            )),
        }
    }
}

#[cfg(target_os = "linux")]
fn linux(back_end: BackEnd) -> Result<Confinement, String> {
    use super::{bubblewrap::Programs, cgroup::Cgroups, filter, identity, landlock::Locked, probe};

    let cgroups = Cgroups::find();
    let cgroup = cgroups.as_ref().map(Cgroups::name);
    let filters = |reach| filter::programs(reach).map_err(|error| format!("no filter for system calls: {error}"));
    let wrap = match back_end {
        BackEnd::Unconfined => {
            return Ok(Confinement { wrap: Wrap::Unconfined, cgroups, capabilities: capabilities::unconfined(cgroup) });
        }
        BackEnd::Bubblewrap => Wrap::Bubblewrap {
            programs: Programs::find(identity::can_change())?,
            filters: filters(filter::Reach::Namespaces)?,
        },
        BackEnd::Landlock => {
            let filters = std::sync::Arc::new(filters(filter::Reach::Alone)?);
            Locked::new(&[], &[], std::sync::Arc::clone(&filters), None).map_err(|error| error.to_string())?;
            Wrap::Landlock { filters }
        }
    };
    let mut confinement = Confinement { wrap, cgroups, capabilities: capabilities::unconfined(None) };
    let through = probe::reached(&confinement).map_err(|reason| match back_end {
        BackEnd::Bubblewrap => format!(
            "{reason} (it needs root, or user namespaces: sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0)"
        ),
        _ => reason,
    })?;
    if !through.is_empty() {
        let remedy = match back_end {
            BackEnd::Landlock => " (a newer kernel keeps more: files from Linux 6.2 on, signals from 6.12)",
            _ => "",
        };
        return Err(format!("a hostile program got through: {}{remedy}", through.join(", ")));
    }
    confinement.capabilities = match back_end {
        BackEnd::Bubblewrap => capabilities::bubblewrap(cgroup),
        _ => capabilities::landlock(cgroup, identity::can_change()),
    };
    Ok(confinement)
}
