//! The limits of our own cgroup, as Linux tells them in files.
//!
//! Which cgroup this process is in stands in `/proc/self/cgroup`, where its files are in `/proc/self/mountinfo` (proc(5), cgroups(7)).
//! The limits of every cgroup above it hold as well. Version 2 is one tree for all controllers, in version 1 each may have its own.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// What a container may have; absent where nothing limits it, or nothing can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) memory: Option<u64>,
    /// In bytes.
    pub(super) free_memory: Option<u64>,
    /// Whole cores; a share of one counts as one.
    pub(super) cores: Option<u16>,
}

impl Limits {
    /// Both limits hold.
    fn and(self, other: Self) -> Self {
        fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            memory: smaller(self.memory, other.memory),
            free_memory: smaller(self.free_memory, other.free_memory),
            cores: smaller(self.cores, other.cores),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where a tree of cgroups is mounted.
#[derive(Debug)]
struct Mount {
    version: Version,
    /// Which cgroup is seen at `point`.
    root: PathBuf,
    point: PathBuf,
    /// In version 1 it names the controllers, among others.
    options: String,
}

/// The limits of the cgroup that the process is in whose `/proc` and `/sys` are below `root`.
pub(super) fn limits(root: &Path) -> Limits {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (memberships, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mounts: Vec<_> = mounts.lines().filter_map(mount).collect();
    let of = |controller, read: fn(Version, &Path) -> Limits| {
        let Some((version, folders)) = folders(root, &memberships, &mounts, controller) else {
            return Limits::default();
        };
        folders.iter().map(|folder| read(version, folder)).fold(Limits::default(), Limits::and)
    };
    of("memory", memory).and(of("cpu", cores))
}

/// The folders of our cgroup and those above it, for one controller.
fn folders(root: &Path, memberships: &str, mounts: &[Mount], controller: &str) -> Option<(Version, Vec<PathBuf>)> {
    let names = |list: &str| list.split(',').any(|name| name == controller);
    let find = |version| {
        let group = memberships.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let is_ours = match version {
                Version::One => names(controllers),
                Version::Two => hierarchy == "0" && controllers.is_empty(),
            };
            is_ours.then_some(path)
        })?;
        let mount = mounts.iter().find(|m| m.version == version && (version == Version::Two || names(&m.options)))?;
        Some((version, lineage(root, mount, Path::new(group))))
    };
    // Where both are mounted, a controller that version 1 has is not in version 2.
    find(Version::One).or_else(|| find(Version::Two))
}

/// From our cgroup up to the mount point. A cgroup that is not below what is mounted, as in a container that sees only its own, is
/// the mount point itself.
fn lineage(root: &Path, mount: &Mount, group: &Path) -> Vec<PathBuf> {
    let below = group.strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let below = if below.components().all(|part| matches!(part, Component::Normal(_))) { below } else { Path::new("") };
    let point = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
    below.ancestors().map(|part| point.join(part)).collect()
}

/// Reads a line of `mountinfo`: `36 35 0:30 /root /mount/point rw,noatime master:1 - cgroup source rw,memory`.
fn mount(line: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let version = match kind.next()? {
        "cgroup" => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    let options = kind.nth(1).unwrap_or_default().to_owned();
    Some(Mount { version, root: unescaped(root), point: unescaped(point), options })
}

/// The kernel writes a blank in a path as `\040`, and so on.
fn unescaped(path: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(path.to_owned(), |path, (escaped, plain)| path.replace(escaped, plain)).into()
}

/// A number in a file of its own; absent for `max`, and for what cannot be read.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn memory(version: Version, folder: &Path) -> Limits {
    let (limit, usage, idle) = match version {
        Version::One => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        Version::Two => ("memory.max", "memory.current", "inactive_file"),
    };
    let Some(limit) = number(&folder.join(limit)) else { return Limits::default() };
    // Files that were read count as used, a whole model among them, although the kernel takes their pages back when it needs them.
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let idle = stat.lines().find_map(|line| line.strip_prefix(idle)?.strip_prefix(' ')?.trim().parse().ok());
    let used = number(&folder.join(usage)).unwrap_or(0).saturating_sub(idle.unwrap_or(0));
    Limits { memory: Some(limit), free_memory: Some(limit.saturating_sub(used)), cores: None }
}

fn cores(version: Version, folder: &Path) -> Limits {
    let (quota, period) = match version {
        Version::One => (number(&folder.join("cpu.cfs_quota_us")), number(&folder.join("cpu.cfs_period_us"))),
        Version::Two => {
            let text = fs::read_to_string(folder.join("cpu.max")).unwrap_or_default();
            let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
            (numbers.next().flatten(), numbers.next().flatten())
        }
    };
    // Without a limit the quota is -1 in version 1 and `max` in version 2: neither is a number here.
    let cores = quota.zip(period).and_then(|(quota, period): (u64, u64)| quota.checked_div(period));
    Limits { cores: cores.map(|cores| u16::try_from(cores).unwrap_or(u16::MAX).max(1)), ..Limits::default() }
}
