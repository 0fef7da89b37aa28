//! What stands between a test command and the host: how the command is wrapped, and what that was seen to enforce.

#[cfg(unix)]
mod before_exec;
#[cfg(target_os = "linux")]
mod bubblewrap;
mod capabilities;
#[cfg(target_os = "linux")]
mod cgroup;
mod choice;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod reach;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use aura_core::contract::Capabilities;
use tokio::process::Command;

use crate::{Limits, path::WorkPath};
#[cfg(target_os = "linux")]
pub(crate) use cgroup::Cgroup;
pub(crate) use choice::choose;
pub use choice::{BackEnd, Refusal};
#[cfg(target_os = "linux")]
pub(crate) use reach::tools;

/// A command, and the folders that it works in.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    /// The program by its absolute path, and its arguments.
    pub(crate) argv: &'a [String],
    /// Its whole environment.
    pub(crate) variables: &'a [(&'static str, OsString)],
    /// Folders besides the system's that it needs to read.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "everything can be read there"))]
    pub(crate) tools: &'a [PathBuf],
    /// The attempt's own folder, with the workspace and the private folders in it.
    pub(crate) slot: &'a Path,
    /// Bounds.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are none for a process there"))]
    pub(crate) limits: &'a Limits,
    /// Whom it runs as, where the server lends another user than its own.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no user is lent there"))]
    pub(crate) user: Option<u32>,
    /// Whether it sees the work and may leave a report; else it runs in an empty folder.
    pub(crate) with_work: bool,
    /// Where in the workspace it leaves word of its coverage.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it is read where it was left there"))]
    pub(crate) coverage: Option<&'a WorkPath>,
}

impl Task<'_> {
    /// Folders below the attempt's own that it may write into besides the report's.
    #[cfg(target_os = "linux")]
    pub(crate) const WRITABLE: &'static [&'static str] = &["work", "home", "tmp", "empty"];

    fn work(&self) -> PathBuf {
        self.slot.join("work")
    }

    #[cfg(target_os = "linux")]
    fn report(&self) -> PathBuf {
        self.slot.join("report").join(crate::runner::REPORT)
    }

    /// Where it runs.
    fn folder(&self) -> PathBuf {
        if self.with_work { self.work() } else { self.slot.join("empty") }
    }
}

/// A command that is ready to be started, and what ends it.
#[derive(Debug)]
pub(crate) struct Confined {
    pub(crate) command: Command,
    /// Holds all its processes.
    #[cfg(target_os = "linux")]
    pub(crate) cgroup: Option<Cgroup>,
    /// Whether its first child is process 1 of a namespace, and takes all others along when it ends.
    #[cfg(target_os = "linux")]
    pub(crate) has_namespace: bool,
}

/// How a command is wrapped.
#[derive(Debug)]
enum Wrap {
    #[cfg(target_os = "linux")]
    Bubblewrap {
        programs: bubblewrap::Programs,
        filters: Vec<seccompiler::BpfProgram>,
    },
    #[cfg(target_os = "linux")]
    Landlock {
        filters: std::sync::Arc<Vec<seccompiler::BpfProgram>>,
    },
    Unconfined,
}

/// One way to run a command, tried out on this machine.
#[derive(Debug)]
pub(crate) struct Confinement {
    wrap: Wrap,
    #[cfg(target_os = "linux")]
    cgroups: Option<cgroup::Cgroups>,
    /// What is enforced; filled in by trying.
    capabilities: Capabilities,
}

impl Confinement {
    /// What it enforces.
    pub(crate) const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What does it.
    pub(crate) const fn back_end(&self) -> BackEnd {
        match self.wrap {
            #[cfg(target_os = "linux")]
            Wrap::Bubblewrap { .. } => BackEnd::Bubblewrap,
            #[cfg(target_os = "linux")]
            Wrap::Landlock { .. } => BackEnd::Landlock,
            Wrap::Unconfined => BackEnd::Unconfined,
        }
    }

    /// A user for one workspace, when commands run as another than this process's own.
    pub(crate) fn user(&self) -> Option<u32> {
        #[cfg(target_os = "linux")]
        return self.lends_user().then(identity::unprivileged);
        #[cfg(not(target_os = "linux"))]
        None
    }

    #[cfg(target_os = "linux")]
    fn lends_user(&self) -> bool {
        self.back_end() != BackEnd::Unconfined && identity::can_change()
    }

    /// Whether commands write into the workspace itself, rather than a copy.
    pub(crate) fn works_in_place(&self) -> bool {
        self.back_end() != BackEnd::Bubblewrap
    }

    /// Makes the command that runs a task.
    ///
    /// # Errors
    /// When something that it needs cannot be made.
    pub(crate) fn command(&self, task: &Task<'_>) -> io::Result<Confined> {
        #[cfg(target_os = "linux")]
        return self.confine(task, None);
        #[cfg(not(target_os = "linux"))]
        {
            let command = plain(task)?;
            #[cfg(unix)]
            let command = limited(command, task);
            Ok(Confined { command })
        }
    }

    #[cfg(target_os = "linux")]
    fn confine(&self, task: &Task<'_>, trial: Option<probe::Trial>) -> io::Result<Confined> {
        use std::sync::Arc;

        let is_trial = trial.is_some();
        let mut before = before_exec::BeforeExec { trial, ..before_exec::BeforeExec::default() };
        let cgroup = self.cgroups.as_ref().map(|cgroups| cgroups.make(task.limits)).transpose()?;
        before.groups = cgroup.as_ref().map(Cgroup::doors).transpose()?.unwrap_or_default();
        let mut processes = None;
        let command = match &self.wrap {
            Wrap::Bubblewrap { filters, .. } if is_trial => {
                // What bubblewrap hands to the kernel is tried without bubblewrap.
                before.locked = Some(landlock::Locked::filter_only(Arc::new(filters.clone())));
                plain(task)?
            }
            Wrap::Bubblewrap { programs, filters } => {
                let (program, arguments, kept) = programs.wrap(task, task.user, filters)?;
                before.kept = kept;
                processes = task.user.map(|_| u64::from(task.limits.processes));
                let mut command = Command::new(program);
                command.args(arguments).current_dir("/");
                command
            }
            Wrap::Landlock { filters } => {
                let writable: Vec<PathBuf> =
                    Task::WRITABLE.iter().chain(&["report"]).map(|name| task.slot.join(name)).collect();
                let writable: Vec<&Path> = writable.iter().map(PathBuf::as_path).collect();
                before.locked = Some(landlock::Locked::new(task.tools, &writable, Arc::clone(filters), task.user)?);
                // The host counts a user's processes wherever they are.
                let others = if task.user.is_some() { 0 } else { own_processes() };
                processes = Some(others + u64::from(task.limits.processes));
                plain(task)?
            }
            Wrap::Unconfined => {
                processes = cgroup.is_none().then(|| own_processes() + u64::from(task.limits.processes));
                plain(task)?
            }
        };
        let mut command = clean(command, task);
        if before.locked.is_none() {
            command.process_group(0);
        }
        before.limits = limits(task, processes);
        before.install(command.as_std_mut());
        Ok(Confined { command, cgroup, has_namespace: self.back_end() == BackEnd::Bubblewrap })
    }
}

/// The command as it stands, in its folder.
fn plain(task: &Task<'_>) -> io::Result<Command> {
    let (program, arguments) = task.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(task.folder());
    Ok(clean(command, task))
}

/// Sees the chosen environment only, and dies with its handle.
fn clean(mut command: Command, task: &Task<'_>) -> Command {
    command.env_clear().kill_on_drop(true).envs(task.variables.iter().map(|(name, value)| (name, value)));
    command
}

/// In a process group of its own, with limits.
#[cfg(all(unix, not(target_os = "linux")))]
fn limited(mut command: Command, task: &Task<'_>) -> Command {
    command.process_group(0);
    before_exec::BeforeExec { limits: limits(task, None) }.install(command.as_std_mut());
    command
}

/// The limits of each process.
#[cfg(unix)]
fn limits(task: &Task<'_>, processes: Option<u64>) -> Vec<(rustix::process::Resource, u64)> {
    use rustix::process::Resource;
    let limits = task.limits;
    let mut all = vec![
        (Resource::Core, 0),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Cpu, limits.cpu.as_secs().max(1)),
        // Not the address space: some programs reserve far more of it than they use.
        (Resource::Data, limits.memory_bytes),
        (Resource::Nofile, limits.open_files),
    ];
    all.extend(processes.map(|count| (Resource::Nproc, count)));
    all
}

/// Processes and threads of this process's user.
#[cfg(target_os = "linux")]
fn own_processes() -> u64 {
    let own = rustix::process::getuid().as_raw();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_own = |path: &Path| {
        std::os::unix::fs::MetadataExt::uid(&match path.metadata() {
            Ok(data) => data,
            Err(_) => return false,
        }) == own
    };
    let processes =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
    processes
        .map(|entry| entry.path())
        .filter(|path| is_own(path))
        .map(|path| std::fs::read_dir(path.join("task")).map_or(1, |tasks| tasks.count() as u64))
        .sum()
}
