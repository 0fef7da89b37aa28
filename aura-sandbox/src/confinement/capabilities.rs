//! What each back end says of itself: only what was seen when it was tried, and what is known to get past it.

#[cfg(target_os = "linux")]
use aura_core::Isolation;
use aura_core::contract::{Capabilities, Enforcement};

use super::BackEnd;

/// What every back end does.
const ALWAYS: &str = "enforced: wall time, amount of output, size of each file, a cleared environment, no input; paths of \
                      the work stay in the workspace";

/// Nothing stands between: what is limited all the same.
pub(super) fn unconfined(cgroup: Option<&str>) -> Capabilities {
    let mut notes = vec![
        "no isolation: code under test runs as this process's user, can read that user's files, reach the network, and \
         see other processes and their environment"
            .to_owned(),
        ALWAYS.to_owned(),
    ];
    notes.push(match cgroup {
        Some(name) => {
            format!("memory and the number of processes are bounded, and all are killed at the end, by {name}")
        }
        None if cfg!(unix) => {
            "the command's process group is killed at the end; a process that leaves it (setsid) is not \
                               found and may live on; memory and processor time are bounded for each process alone"
                .to_owned()
        }
        None => "not on this system: size of written files; only the command itself is killed".to_owned(),
    });
    notes.push("the workspace's total size is looked at twice a second".to_owned());
    let nothing = Capabilities::nothing(BackEnd::Unconfined.as_str(), notes);
    Capabilities { time: Enforcement::Enforced, memory: by(cgroup), ..nothing }
}

const fn by(cgroup: Option<&str>) -> Enforcement {
    match cgroup {
        Some(_) => Enforcement::Enforced,
        None if cfg!(unix) => Enforcement::BestEffort,
        None => Enforcement::None,
    }
}

#[cfg(target_os = "linux")]
fn memory_note(cgroup: Option<&str>) -> String {
    match cgroup {
        Some(name) => format!("memory and the number of processes of a whole run are bounded by {name}"),
        None => {
            "no control group can be made here, so memory is bounded for each process alone (rlimits): run the server \
                 as root, or give it a delegated group (systemd: Delegate=yes)"
                .to_owned()
        }
    }
}

/// Namespaces around it, as the probe saw.
#[cfg(target_os = "linux")]
pub(super) fn bubblewrap(cgroup: Option<&str>) -> Capabilities {
    use Enforcement::Enforced;
    Capabilities {
        isolation: Isolation::Strong,
        back_end: BackEnd::Bubblewrap.as_str().to_owned(),
        network: Enforced,
        files: Enforced,
        processes: Enforced,
        memory: by(cgroup),
        time: Enforced,
        ipc: Enforced,
        notes: vec![
            ALWAYS.to_owned(),
            "bubblewrap: own namespaces, an empty read-only root with the system's programs and the tools of the command, \
             a workspace in memory whose size is bounded, no rights, a filter for system calls; tests run on a copy of \
             the work"
                .to_owned(),
            memory_note(cgroup),
        ],
        missing: Vec::new(),
    }
}

/// Locked in by its own hand, as the probe saw.
#[cfg(target_os = "linux")]
pub(super) fn landlock(cgroup: Option<&str>, lends_user: bool) -> Capabilities {
    use Enforcement::{BestEffort, Enforced};
    let mut notes = vec![
        ALWAYS.to_owned(),
        "landlock: only the system's programs, the tools and the workspace can be read, only the workspace written; no \
         sockets, no signals to others, no session of its own, no shared memory; names and sizes of the host's files can \
         still be asked for"
            .to_owned(),
        "the workspace's total size is looked at twice a second".to_owned(),
        memory_note(cgroup),
    ];
    notes.push(if lends_user {
        "runs as another user than the server".to_owned()
    } else {
        "runs as the server's user: permissions and times of that user's files can be changed, their content cannot"
            .to_owned()
    });
    Capabilities {
        isolation: Isolation::Partial,
        back_end: BackEnd::Landlock.as_str().to_owned(),
        network: Enforced,
        files: BestEffort,
        processes: Enforced,
        memory: by(cgroup),
        time: Enforced,
        ipc: Enforced,
        notes,
        missing: Vec::new(),
    }
}
