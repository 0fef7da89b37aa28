//! Control groups: one bound for the memory and the number of all processes of a run together, and their end as a whole.

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use aura_core::units::Mebibytes;
use rustix::process::{Pid, Signal, kill_process};

use crate::Limits;

/// How the folder of a run's group begins; the process number of its server follows.
const PREFIX: &str = "aura-run-";
/// Processes of the sandbox's own beside those of the code under test.
const OVERHEAD: u64 = 6;
/// How often a group that is still being emptied is asked to go, and how long between.
const REMOVE_TRIES: u32 = 50;
const REMOVE_EVERY: Duration = Duration::from_millis(2);

/// Which interface the kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// One tree for each resource.
    One,
    /// One tree for all.
    Two,
}

/// Where groups for runs can be made.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    version: Version,
    /// With version 2 a single one.
    parents: Vec<PathBuf>,
}

impl Cgroups {
    /// Looks for a place where this process may make groups with a bound on memory and on processes, by making one.
    pub(super) fn find() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let found = candidates(&own, &mounts).into_iter().find(|one| one.make(&Limits::default()).is_ok())?;
        found.parents.iter().for_each(|parent| sweep(parent));
        Some(found)
    }

    /// What people call it.
    pub(super) const fn name(&self) -> &'static str {
        match self.version {
            Version::One => "cgroup v1",
            Version::Two => "cgroup v2",
        }
    }

    /// Makes a group with bounds for one run.
    ///
    /// # Errors
    /// When the kernel refuses the folder or a bound.
    pub(super) fn make(&self, limits: &Limits) -> io::Result<Cgroup> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{PREFIX}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut group = Cgroup { version: self.version, folders: Vec::new() };
        for parent in &self.parents {
            let folder = parent.join(&name);
            fs::create_dir(&folder)?;
            group.folders.push(folder);
        }
        let processes = (u64::from(limits.processes) + OVERHEAD).to_string();
        let memory = limits.memory_bytes.to_string();
        group.set("pids.max", &processes)?;
        match self.version {
            Version::One => {
                group.set("memory.limit_in_bytes", &memory)?;
                // Absent where the kernel does not count swap.
                let _ = group.set("memory.memsw.limit_in_bytes", &memory);
            }
            Version::Two => {
                group.set("memory.max", &memory)?;
                let _ = group.set("memory.swap.max", "0");
                let _ = group.set("memory.oom.group", "1");
            }
        }
        Ok(group)
    }
}

/// The places to try, best first.
fn candidates(own: &str, mounts: &str) -> Vec<Cgroups> {
    // Fields: id, parent, device, root, mount point, options, ..., "-", type, source, options of the file system.
    let mounted = |kind: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            let is_kind = after.next() == Some(kind);
            let has_option = option.is_empty() || after.next_back()?.split(',').any(|one| one == option);
            let point = before.split(' ').nth(4)?;
            (is_kind && has_option).then(|| PathBuf::from(point))
        })
    };
    let path_of = |controller: &str| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let named = fields.next()?;
            let path = fields.next()?;
            named.split(',').any(|one| one == controller).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let mut all = Vec::new();
    if let (Some(point), Some(path)) = (mounted("cgroup2", ""), path_of("")) {
        // A group that holds processes can have no bounded children, so the best place is beside our own.
        let own = point.join(path);
        let beside = own.parent().filter(|parent| parent.starts_with(&point)).map(Path::to_path_buf);
        all.extend(beside.into_iter().chain([own, point]).map(|parent| (Version::Two, vec![parent])));
    }
    // Memory first, since a process counts from when it joins; the account of processor time is wanted, not needed.
    let trees = ["memory", "pids", "cpuacct"].map(|controller| {
        let point = mounted("cgroup", controller)?;
        let inner = point.join(path_of(controller)?);
        Some(if inner.is_dir() { inner } else { point })
    });
    if let [Some(memory), Some(pids), cpu] = trees {
        all.extend(cpu.map(|cpu| (Version::One, vec![memory.clone(), pids.clone(), cpu])));
        all.push((Version::One, vec![memory, pids]));
    }
    all.into_iter().map(|(version, parents)| Cgroups { version, parents }).collect()
}

/// Removes groups of servers that were killed.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let server = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if server.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            let stale = Cgroup { version: Version::One, folders: vec![entry.path()] };
            drop(stale);
        }
    }
}

/// The group of one run. Dropping it ends whatever is left in it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Open files by which a process joins.
    pub(super) fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |folder: &PathBuf| File::options().write(true).open(folder.join("cgroup.procs"));
        self.folders.iter().map(|folder| Ok(open(folder)?.into())).collect()
    }

    /// Lets no process start any more, and kills those that are there.
    pub(crate) fn kill(&self) {
        if self.version == Version::Two && self.set("cgroup.kill", "1").is_ok() {
            return;
        }
        let _ = self.set("pids.max", "0");
        for process in self.processes() {
            // It may be dead already.
            let _ = kill_process(process, Signal::KILL);
        }
    }

    /// Whether nothing runs in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.processes().is_empty()
    }

    /// The most memory that was in use at once.
    pub(crate) fn peak_memory(&self) -> Option<Mebibytes> {
        let bytes: u64 = self.get("memory.max_usage_in_bytes").or_else(|| self.get("memory.peak"))?.parse().ok()?;
        Some(Mebibytes(bytes.div_ceil(1 << 20)))
    }

    /// How many of its processes the kernel ended because all of them together had come to the bound on memory; absent where it does
    /// not tell.
    pub(crate) fn killed_for_memory(&self) -> Option<u64> {
        let text = self.get(match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        })?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
    }

    /// Processor time that was used.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        match self.version {
            Version::One => self.get("cpuacct.usage")?.parse().ok().map(Duration::from_nanos),
            Version::Two => {
                let text = self.get("cpu.stat")?;
                let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
                micros.parse().ok().map(Duration::from_micros)
            }
        }
    }

    fn processes(&self) -> Vec<Pid> {
        let lists =
            self.folders.iter().take(2).filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok());
        let numbers: Vec<i32> = lists.flat_map(|list| list.lines().flat_map(str::parse).collect::<Vec<_>>()).collect();
        numbers.into_iter().filter_map(Pid::from_raw).collect()
    }

    /// Writes into whichever folder has the file.
    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        let place = self.folders.iter().map(|folder| folder.join(file)).find(|path| path.exists());
        // Opened without creating: in a folder that is no control group there must be no such file afterwards.
        let mut open = File::options().write(true).open(place.ok_or(io::ErrorKind::NotFound)?)?;
        io::Write::write_all(&mut open, value.as_bytes())
    }

    fn get(&self, file: &str) -> Option<String> {
        let text = self.folders.iter().find_map(|folder| fs::read_to_string(folder.join(file)).ok())?;
        Some(text.trim().to_owned())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..REMOVE_TRIES {
            if !self.is_empty() {
                self.kill();
            }
            self.folders
                .retain(|folder| fs::remove_dir(folder).is_err_and(|error| error.kind() != io::ErrorKind::NotFound));
            if self.folders.is_empty() {
                return;
            }
            thread::sleep(REMOVE_EVERY);
        }
        tracing::warn!(groups = ?self.folders, "control groups of a run could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 1 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        31 1 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
        32 1 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_place_beside_ones_own_group_comes_first_and_one_tree_each_last() {
        let own = "8:pids:/\n4:memory:/no/such\n0::/user.slice/app.service\n";
        let found = candidates(own, MOUNTS);
        let first = &found[0];
        assert_eq!(
            (first.version, first.parents[0].to_str()),
            (Version::Two, Some("/sys/fs/cgroup/unified/user.slice"))
        );
        let last = &found[found.len() - 1];
        assert_eq!(last.version, Version::One);
        // A path that is not below the mount, as in a container, is replaced by the mount itself.
        assert_eq!(last.parents, ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"].map(PathBuf::from));
    }

    #[test]
    fn garbage_gives_no_place() {
        assert!(candidates("", "").is_empty());
        assert!(candidates("::\n:", "x - y\n - cgroup2").is_empty());
    }
}
