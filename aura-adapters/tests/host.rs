//! `HostProbe` within the limits of containers, whose files each test writes for itself.
#![cfg(all(feature = "host", unix))]
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{fs, thread};

use aura_adapters::HostProbe;
use aura_core::{Mebibytes, ResourceProbe, Resources};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// How the kernel tells a mount of version 2 with everything in it.
const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
/// Controllers of version 1, each with its own mount, beside an empty version 2.
const V1: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 23 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
32 23 0:29 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw";

/// A folder in place of `/`, where the process is in these cgroups of these mounts.
struct Tree(TempDir);

impl Tree {
    fn new(cgroup: &str, mountinfo: &str) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.with("proc/self/cgroup", cgroup).with("proc/self/mountinfo", mountinfo)
    }

    fn with(self, path: &str, text: impl ToString) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.to_string()).unwrap();
        self
    }

    /// A cgroup of version 2 with these limits, of which so much is used.
    fn group(self, folder: &str, max: impl ToString, current: u64, cpu: &str) -> Self {
        let file = |name| format!("sys/fs/cgroup{folder}/{name}");
        self.with(&file("memory.max"), max).with(&file("memory.current"), current).with(&file("cpu.max"), cpu)
    }

    async fn seen(&self) -> Resources {
        HostProbe::with_root(self.0.path()).snapshot().await.unwrap()
    }

    async fn memory(&self) -> (u64, u64) {
        let seen = self.seen().await;
        (seen.total_memory.unwrap().0, seen.free_memory.unwrap().0)
    }
}

fn cores_here() -> u16 {
    u16::try_from(thread::available_parallelism().unwrap().get()).unwrap()
}

async fn unlimited() -> Resources {
    HostProbe::with_root("/no/such/folder").snapshot().await.unwrap()
}

/// Nothing limits what the tree's process may have.
async fn assert_unlimited(tree: &Tree) {
    let (seen, host) = (tree.seen().await, unlimited().await);
    assert_eq!((seen.total_memory, seen.cores), (host.total_memory, host.cores));
    assert!(seen.free_memory.unwrap() > Mebibytes(0));
}

#[tokio::test]
async fn the_host_tells_its_memory_and_cores_and_nothing_of_gpus() {
    let seen = unlimited().await;
    assert!(seen.free_memory.unwrap() > Mebibytes(0) && seen.free_memory <= seen.total_memory);
    assert_eq!(seen.cores, Some(cores_here()));
    assert_eq!((seen.gpus, seen.resident), (None, None));
}

#[tokio::test]
async fn a_container_of_version_2_limits_memory_and_cores() {
    let tree = Tree::new("0::/\n", V2)
        .group("", 64 * MIB, 50 * MIB, "150000 100000\n")
        .with("sys/fs/cgroup/memory.stat", format!("anon 1\ninactive_file {}\nactive_file 9\n", 30 * MIB));
    assert_eq!(tree.memory().await, (64, 44), "files that were read can be dropped");
    assert_eq!(tree.seen().await.cores, Some(1));
}

#[tokio::test]
async fn less_than_one_core_is_one() {
    let tree = Tree::new("0::/", V2).group("", "max", 0, "20000 100000");
    assert_eq!(tree.seen().await.cores, Some(1));
}

#[tokio::test]
async fn the_limits_of_every_cgroup_above_hold_too() {
    let tree = Tree::new("0::/outer/in ner", V2).group("/outer", 32 * MIB, 30 * MIB, "max 100000").group(
        "/outer/in ner",
        48 * MIB,
        10 * MIB,
        "100000 100000",
    );
    assert_eq!(tree.memory().await, (32, 2));
    assert_eq!(tree.seen().await.cores, Some(1));
}

#[tokio::test]
async fn max_is_no_limit() {
    assert_unlimited(&Tree::new("0::/a", V2).group("/a", "max\n", 50 * MIB, "max 100000\n")).await;
}

#[tokio::test]
async fn more_than_the_host_has_is_no_limit() {
    assert_unlimited(&Tree::new("0::/a", V2).group("/a", u64::MAX / 2, MIB, "99900000 1000")).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_no_limit() {
    assert_unlimited(&Tree::new("", "")).await;
    assert_unlimited(&Tree::new("0::/gone", V2)).await;
    assert_unlimited(&Tree::new("nonsense\n::\n", "nonsense - \n - cgroup2\n")).await;
    assert_unlimited(&Tree::new("0::/a", V2).group("/a", "many", 0, "some 0")).await;
    assert_unlimited(&Tree::new("0::/a", V2).group("/a", "max", 0, "100000 0")).await;
    // A folder in place of a file: nobody can read that, not even root.
    let folders = Tree::new("0::/a", V2);
    for file in ["memory.max", "memory.current", "cpu.max"] {
        fs::create_dir_all(folders.0.path().join("sys/fs/cgroup/a").join(file)).unwrap();
    }
    assert_unlimited(&folders).await;
}

#[tokio::test]
async fn a_limit_holds_although_what_is_used_cannot_be_read() {
    let tree = Tree::new("0::/", V2).with("sys/fs/cgroup/memory.max", 64 * MIB);
    assert_eq!(tree.memory().await, (64, 64));
}

/// Writes a container of version 1 below the controllers' folders.
fn version_1(tree: Tree, below: &str) -> Tree {
    let memory = |name| format!("sys/fs/cgroup/memory{below}/{name}");
    let cpu = |name| format!("sys/fs/cgroup/cpu,cpuacct{below}/{name}");
    tree.with(&memory("memory.limit_in_bytes"), 64 * MIB)
        .with(&memory("memory.usage_in_bytes"), 20 * MIB)
        .with(&memory("memory.stat"), format!("inactive_file 1\ntotal_inactive_file {}\n", 4 * MIB))
        .with(&cpu("cpu.cfs_quota_us"), 100_000)
        .with(&cpu("cpu.cfs_period_us"), 100_000)
}

const V1_GROUP: &str = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n0::/x\n";

#[tokio::test]
async fn a_container_of_version_1_limits_memory_and_cores() {
    let unlimited_above = |tree: Tree| {
        tree.with("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
            .with("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1")
            .with("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
    };
    let tree = unlimited_above(version_1(Tree::new(V1_GROUP, V1), "/docker/abc"));
    assert_eq!(tree.memory().await, (64, 48));
    assert_eq!(tree.seen().await.cores, Some(1));
    assert_unlimited(&unlimited_above(Tree::new(V1_GROUP, V1))).await;
}

#[tokio::test]
async fn a_container_that_sees_only_its_own_cgroup_finds_it_at_the_mount_point() {
    // The name in `cgroup` is the host's; what is mounted is the container's own part of it.
    let own = V1.replace("0:27 / ", "0:27 /docker/abc ").replace("0:28 / ", "0:28 /docker/abc ");
    assert_eq!(version_1(Tree::new(V1_GROUP, &own), "").memory().await, (64, 48));
    let outside = Tree::new("0::/../../elsewhere", V2).group("", 64 * MIB, 0, "max 100000");
    assert_eq!(outside.memory().await, (64, 64));
}

#[tokio::test]
async fn a_blank_in_the_mount_point_is_understood() {
    let tree = Tree::new("0::/", &V2.replace("/sys/fs/cgroup", "/sys/fs/my\\040groups"))
        .with("sys/fs/my groups/memory.max", 64 * MIB);
    assert_eq!(tree.memory().await, (64, 64));
}

#[tokio::test]
async fn this_process_can_be_looked_at() {
    let seen = HostProbe::new().snapshot().await.unwrap();
    assert!(seen.total_memory > Some(Mebibytes(0)) && seen.cores >= Some(1));
}
