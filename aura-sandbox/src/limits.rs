//! How much a workspace, a patch and a test run may use.

use std::time::Duration;

/// Bounds of a [`LocalSandbox`](crate::LocalSandbox). The wall time comes from the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the output's end that a report keeps (default 64 KiB).
    pub output_kept: usize,
    /// Bytes of output after which a test run is ended (default 8 MiB).
    pub output_total: usize,
    /// Largest file that a test run may write, in bytes (default 64 MiB); enforced on Unix only.
    pub file_bytes: u64,
    /// Bytes that all files of a workspace may add up to while tests run (default 1 GiB, since a build folder counts).
    /// Looked at twice a second, so a fast writer can pass it for a moment; with bubblewrap the kernel keeps it.
    pub workspace_bytes: u64,
    /// Bytes for `/tmp`, and as much for `/dev/shm`, of a run that has its own (default 256 MiB).
    pub temporary_bytes: u64,
    /// Bytes of memory that all processes of a run may use together (default 2 GiB, since compilers count); where no
    /// control group can be made, each of them may.
    pub memory_bytes: u64,
    /// Processes and threads of a run (default 128).
    pub processes: u32,
    /// Processor time of each process (default 10 minutes).
    pub cpu: Duration,
    /// Files that one process may hold open (default 1,024).
    pub open_files: u64,
    /// Bytes that a snapshot may hold, build folders left out (default 64 MiB).
    pub snapshot_bytes: u64,
    /// Files that a snapshot may hold (default 10,000).
    pub snapshot_files: usize,
    /// Bytes that the files and patch results of one piece of work may add up to (default 8 MiB).
    pub work_bytes: usize,
    /// Files that one piece of work may touch (default 256).
    pub work_files: usize,
    /// Bytes of all patches of one piece of work (default 1 MiB).
    pub patch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_kept: 64 << 10,
            output_total: 8 << 20,
            file_bytes: 64 << 20,
            workspace_bytes: 1 << 30,
            temporary_bytes: 256 << 20,
            memory_bytes: 2 << 30,
            processes: 128,
            cpu: Duration::from_secs(600),
            open_files: 1024,
            snapshot_bytes: 64 << 20,
            snapshot_files: 10_000,
            work_bytes: 8 << 20,
            work_files: 256,
            patch_bytes: 1 << 20,
        }
    }
}
