//! The command line for bubblewrap: an empty read-only root with the system's programs, the tools and one workspace.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};
use seccompiler::BpfProgram;

use super::{Task, filter, reach};
use crate::runner::{COVERAGE, make_coverage};

/// Where the work is shown inside, to be copied from: it cannot be the workspace, whose size has a bound.
const SOURCE: &str = "/aura-work";
/// Copies the work and becomes the command; the copy is small, since work has a bound.
const COPY_AND_RUN: &str = "cp -R -P /aura-work/. . && exec \"$@\"";
/// Where programs of the system are.
const SYSTEM_PATH: &[&str] = &["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];

/// The programs that are needed.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    bwrap: PathBuf,
    /// Lends another user; needed when this process is root.
    setpriv: Option<PathBuf>,
    /// Limits processes once in their own namespace; needed when this process is not root.
    prlimit: Option<PathBuf>,
}

impl Programs {
    /// Finds them in the system's folders, so that no `PATH` can slip in another.
    ///
    /// # Errors
    /// Names what is missing and how to get it.
    pub(super) fn find(lends_user: bool) -> Result<Self, String> {
        let find = |name: &str, package: &str| {
            let found = SYSTEM_PATH.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
            found
                .ok_or_else(|| format!("{name} is missing: apt-get install {package} (or your system's package of it)"))
        };
        Ok(Self {
            bwrap: find("bwrap", "bubblewrap")?,
            setpriv: if lends_user { Some(find("setpriv", "util-linux")?) } else { None },
            prlimit: if lends_user { None } else { Some(find("prlimit", "util-linux")?) },
        })
    }

    /// The program, its arguments, and the descriptors that they name.
    pub(super) fn wrap(
        &self,
        task: &Task<'_>,
        user: Option<u32>,
        filters: &[BpfProgram],
    ) -> io::Result<(PathBuf, Vec<OsString>, Vec<OwnedFd>)> {
        let mut line = Line::default();
        line.add(["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]);
        line.add(["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]);
        if user.is_some() {
            // Only until `setpriv` has given them up: it is the first program that runs inside.
            line.add(["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]);
        } else {
            line.add(["--unshare-user", "--disable-userns"]);
        }
        let kept = filters.iter().map(in_memory).collect::<io::Result<Vec<_>>>()?;
        for filter in &kept {
            line.add(["--add-seccomp-fd", &filter.as_raw_fd().to_string()]);
        }
        line.system();
        line.workspace(task, user)?;
        line.add(["--remount-ro", "/", "--chdir"]).add([task.folder()]).add(["--"]);
        if let (Some(user), Some(setpriv)) = (user, &self.setpriv) {
            line.add([setpriv]).add(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups"]);
            line.add(["--bounding-set=-all", "--inh-caps=-all", "--"]);
        } else if let Some(prlimit) = &self.prlimit {
            line.add([prlimit]).add([format!("--nproc={}", task.limits.processes), "--".to_owned()]);
        }
        if task.with_work {
            line.add(["/bin/sh", "-c", COPY_AND_RUN, "sh"]);
        }
        line.add(task.argv);
        Ok((self.bwrap.clone(), line.0, kept))
    }
}

/// Arguments as they come.
#[derive(Debug, Default)]
struct Line(Vec<OsString>);

impl Line {
    fn add<T: AsRef<OsStr>>(&mut self, parts: impl IntoIterator<Item = T>) -> &mut Self {
        self.0.extend(parts.into_iter().map(|part| part.as_ref().to_owned()));
        self
    }

    /// The system's programs as on the host, and fresh `/proc` and `/dev`.
    fn system(&mut self) {
        let files = reach::system_folders().chain(reach::system_files());
        let above: BTreeSet<&Path> = files.flat_map(|path| path.ancestors().skip(1)).collect();
        for folder in above.into_iter().filter(|folder| *folder != Path::new("/")) {
            self.add(["--perms", "0755", "--dir"]).add([folder]);
        }
        for path in reach::system_folders().chain(reach::system_files()) {
            match fs::read_link(path) {
                Ok(target) if path.parent() == Some(Path::new("/")) => {
                    self.add(["--symlink"]).add([&target]).add([path])
                }
                _ => self.add(["--ro-bind"]).add([path, path]),
            };
        }
        self.add(["--proc", "/proc", "--dev", "/dev"]);
    }

    /// The folders to write into, of bounded size, and the tools.
    fn workspace(&mut self, task: &Task<'_>, user: Option<u32>) -> io::Result<()> {
        let temporary = task.limits.temporary_bytes.to_string();
        for place in ["/tmp", "/dev/shm"] {
            self.add(["--perms", "1777", "--size", &temporary, "--tmpfs", place]);
        }
        self.add(["--remount-ro", "/dev"]);
        let tools = task.tools.iter().map(PathBuf::as_path);
        // bubblewrap makes missing folders for its own user alone.
        let above: BTreeSet<&Path> =
            tools.clone().chain([task.slot]).flat_map(|path| path.ancestors().skip(1)).collect();
        let made = |path: &&Path| *path != Path::new("/") && *path != Path::new("/tmp");
        for folder in above.into_iter().filter(made) {
            self.add(["--perms", "0755", "--dir"]).add([folder]);
        }
        for tool in tools {
            self.add(["--ro-bind"]).add([tool, tool]);
        }
        self.add(["--perms", "0755", "--size", &task.limits.workspace_bytes.to_string(), "--tmpfs"]).add([task.slot]);
        for name in Task::WRITABLE {
            self.add(["--perms", "0777", "--dir"]).add([task.slot.join(name)]);
        }
        if task.with_work {
            // One file, made before: there is no folder of the host that the code under test could fill.
            let report = task.report();
            fs::File::options().write(true).create(true).truncate(true).open(&report)?;
            std::os::unix::fs::chown(&report, user, user)?;
            self.add(["--perms", "0755", "--dir"]).add(report.parent()).add(["--bind"]).add([&report, &report]);
            self.add(["--ro-bind"]).add([task.work().as_path(), Path::new(SOURCE)]);
            self.coverage(task, user)?;
        }
        Ok(())
    }
}

impl Line {
    /// The one file of the workspace that outlives it, where the suite names one.
    fn coverage(&mut self, task: &Task<'_>, user: Option<u32>) -> io::Result<()> {
        let Some(path) = task.coverage else { return Ok(()) };
        let kept = task.slot.join("report").join(COVERAGE);
        make_coverage(&kept, user)?;
        let folders: Vec<&str> = path.ancestors().collect();
        for folder in folders {
            self.add(["--perms", "0777", "--dir"]).add([task.work().join(folder)]);
        }
        self.add(["--bind"]).add([kept, task.work().join(path.as_str())]);
        Ok(())
    }
}

/// A file of its own for every run: bubblewrap reads on from where the last reader stopped.
fn in_memory(program: &BpfProgram) -> io::Result<OwnedFd> {
    let file = memfd_create("seccomp", MemfdFlags::CLOEXEC)?;
    let mut file = fs::File::from(file);
    io::Write::write_all(&mut file, &filter::bytes(program))?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}
