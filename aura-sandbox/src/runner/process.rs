//! A command in a process group of its own, and the end of that group.

use std::{io, time::Duration};

use aura_core::units::Mebibytes;
use tokio::process::Child;

#[cfg(target_os = "linux")]
use crate::confinement::Cgroup;
use crate::confinement::Confined;

/// How long the group's processes are waited for once they are killed.
const DEAD_WITHIN: Duration = Duration::from_millis(300);
/// How often they are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a run used, where it was measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) peak_memory: Option<Mebibytes>,
    pub(super) cpu: Option<Duration>,
    /// Processes that the kernel ended because the run had come to its bound on memory.
    pub(super) killed_for_memory: Option<u64>,
}

impl Used {
    /// What two runs one after the other used together.
    pub(super) fn and(self, next: Self) -> Self {
        Self {
            peak_memory: self.peak_memory.max(next.peak_memory),
            cpu: either(self.cpu, next.cpu, Duration::saturating_add),
            killed_for_memory: either(self.killed_for_memory, next.killed_for_memory, u64::saturating_add),
        }
    }
}

fn either<T>(one: Option<T>, other: Option<T>, both: impl FnMut(T, T) -> T) -> Option<T> {
    one.into_iter().chain(other).reduce(both)
}

/// A started command. Dropping it kills its whole group.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    group: Group,
    #[cfg(target_os = "linux")]
    cgroup: Option<Cgroup>,
    #[cfg(target_os = "linux")]
    has_namespace: bool,
}

impl Running {
    pub(super) fn start(mut confined: Confined) -> io::Result<Self> {
        let child = confined.command.spawn()?;
        let group = Group::led_by(&child);
        Ok(Self {
            child,
            group,
            #[cfg(target_os = "linux")]
            cgroup: confined.cgroup,
            #[cfg(target_os = "linux")]
            has_namespace: confined.has_namespace,
        })
    }

    pub(super) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the command itself; gives its exit code, absent when a signal ended it.
    pub(super) async fn wait(&mut self) -> io::Result<Option<i32>> {
        Ok(self.child.wait().await?.code())
    }

    /// Kills what is left of the run, and waits until nothing is.
    pub(super) async fn end(&mut self) -> Used {
        #[cfg(target_os = "linux")]
        if self.has_namespace {
            self.end_namespace().await;
        }
        #[cfg(target_os = "linux")]
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.group.kill();
        // Reaps the leader when it was not waited for; it cannot outlive a kill for long.
        if let Err(error) = self.child.start_kill() {
            tracing::trace!(%error, "the command had ended already");
        }
        if tokio::time::timeout(DEAD_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!("a killed test command has not ended yet");
        }
        let gone = async {
            while self.group.lives() || self.has_members() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(DEAD_WITHIN, gone).await.is_err() {
            // Seen where process 1 does not reap: the dead stay listed as zombies.
            tracing::debug!("processes of a killed group are still listed");
        }
        self.used()
    }

    #[cfg(target_os = "linux")]
    fn used(&self) -> Used {
        let cgroup = self.cgroup.as_ref();
        Used {
            peak_memory: cgroup.and_then(Cgroup::peak_memory),
            cpu: cgroup.and_then(Cgroup::cpu),
            killed_for_memory: cgroup.and_then(Cgroup::killed_for_memory),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn used(&self) -> Used {
        Used::default()
    }

    /// Whether the control group holds a process; one that has just been forked is killed again.
    #[cfg(target_os = "linux")]
    fn has_members(&self) -> bool {
        let members = self.cgroup.as_ref().filter(|cgroup| !cgroup.is_empty());
        members.inspect(|cgroup| cgroup.kill()).is_some()
    }

    #[cfg(not(target_os = "linux"))]
    const fn has_members(&self) -> bool {
        false
    }

    /// Ends process 1 of the namespace, and waits for the command that waits for it: the kernel lets process 1 go only
    /// when all others of its namespace are dead.
    #[cfg(target_os = "linux")]
    async fn end_namespace(&mut self) {
        let Some(id) = self.child.id() else { return };
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let first = children.split_whitespace().flat_map(str::parse).filter_map(rustix::process::Pid::from_raw);
        for process in first {
            // It may be dead already; its number cannot be another's before the command has waited for it.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        if tokio::time::timeout(DEAD_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!("a killed sandbox has not ended yet");
        }
    }
}

/// The process group of a command.
#[cfg(unix)]
#[derive(Debug)]
struct Group(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Group {
    fn led_by(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // An error means that no process is left in it. The number cannot have gone to a new group while one is;
            // when none is, only a wrap-around of all process numbers since the leader's end could make it another's.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    fn lives(&self) -> bool {
        self.0.is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
    }
}

/// Where there are no process groups, the command itself is all that can be killed.
#[cfg(not(unix))]
#[derive(Debug)]
struct Group;

#[cfg(not(unix))]
impl Group {
    fn led_by(_: &Child) -> Self {
        Self
    }

    fn kill(&self) {}

    fn lives(&self) -> bool {
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group.kill();
    }
}
