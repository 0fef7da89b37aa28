//! A process and its children, as Linux's `/proc` shows them.

use std::{fs, io, path::Path, process::Command, time::Duration};

use crate::patience;

/// Ticks of a second in `/proc/PID/stat`: `USER_HZ`, which is 100 on every architecture of Linux that Rust runs on.
const TICKS: u64 = 100;

/// A process and the children it has at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessTree {
    root: u32,
}

impl ProcessTree {
    /// The tree that starts at the process with this id.
    #[must_use]
    pub fn of(root: u32) -> Self {
        Self { root }
    }

    /// CPU time used so far, by user and system together: of the process, its children, and its children that ended.
    ///
    /// A living process with one thread counts to the nanosecond where the kernel tells, others and the ended ones to
    /// 10 ms. Children of children count once they ended, which suits PostgreSQL: it has none.
    ///
    /// # Errors
    ///
    /// When the process is gone, or the machine has no `/proc`.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        loop {
            let ended = Stat::read(self.root)?.ended_children;
            let living: Duration = self.children()?.into_iter().filter_map(|child| own_time(child).ok()).sum();
            // A child that ended in between may be in neither figure, or in both.
            if Stat::read(self.root)?.ended_children == ended {
                return Ok(own_time(self.root)? + living + ended);
            }
        }
    }

    /// Halts the root, and not its children: it does nothing more, and keeps all that it has, until
    /// [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn halt(&self) -> io::Result<()> {
        signal("-STOP", &[self.root])?;
        // The signal is on its way when `kill` ends.
        patience::wait_until("the process to halt", || Ok(Stat::read(self.root)?.state == 'T'))
    }

    /// Has a halted root go on where it was.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn resume(&self) -> io::Result<()> {
        signal("-CONT", &[self.root])
    }

    /// The ids of the processes whose parent is the root, in any order.
    pub(crate) fn children(&self) -> io::Result<Vec<u32>> {
        let numbers = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(numbers.filter(|id| Stat::read(*id).is_ok_and(|stat| stat.parent == self.root)).collect())
    }

    /// Ends one of the children, and waits until all that there were are gone: a server that cannot go on without it ends the
    /// others by itself.
    pub(crate) fn kill_child(&self) -> io::Result<()> {
        let all = self.children()?;
        signal("-KILL", all.get(..1).unwrap_or_default())?;
        patience::wait_until("the server to end its other processes", || Ok(!all.iter().any(|id| is_running(*id))))
    }

    /// Ends the root and its children at once, without a chance to tidy up, and waits until they are gone.
    ///
    /// The root is halted first, so that it starts no child that the kill would miss.
    pub(crate) fn kill(&self) -> io::Result<()> {
        signal("-STOP", &[self.root])?;
        let mut all = self.children()?;
        all.push(self.root);
        signal("-KILL", &all)?;
        patience::wait_until("the killed processes to be gone", || Ok(!all.iter().any(|id| is_running(*id))))
    }
}

/// Whether a process is there and has not ended: one that only waits to be reaped has.
///
/// Without a `/proc` nobody can tell, and the answer is yes.
pub(crate) fn is_running(id: u32) -> bool {
    match Stat::read(id) {
        Ok(stat) => !matches!(stat.state, 'Z' | 'X'),
        Err(_) => !Path::new("/proc/self/stat").exists(),
    }
}

/// The shell's own `kill` does it: not every machine has the program, and a call would need unsafe code.
fn signal(name: &str, to: &[u32]) -> io::Result<()> {
    let ids = to.iter().map(ToString::to_string);
    let output = Command::new("sh").args(["-c", r#"kill "$@""#, "sh", name]).args(ids).output()?;
    let gone = || !to.iter().any(|id| is_running(*id));
    if output.status.success() || name == "-KILL" || gone() {
        return Ok(());
    }
    Err(io::Error::other(format!("kill {name} {to:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// What one process used itself.
///
/// `stat` counts all its threads, cut to 10 ms; `schedstat` is exact but knows the first thread only, which is all that
/// a process of PostgreSQL has. The larger of the two is the nearer one.
fn own_time(id: u32) -> io::Result<Duration> {
    let exact = fs::read_to_string(format!("/proc/{id}/schedstat")).ok();
    let first_thread = exact.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Ok(Stat::read(id)?.own.max(Duration::from_nanos(first_thread)))
}

/// The fields of `/proc/PID/stat` that are of use here.
struct Stat {
    state: char,
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    fn read(id: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("/proc/{id}/stat is not what proc(5) says")))
    }

    /// The name of the program, in parentheses, may hold spaces and parentheses: fields are counted from its end.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let [user, system, ended_user, ended_system] = {
            let mut ticks = fields.skip(9).map(|field| field.parse::<u64>());
            let mut next = || ticks.next()?.ok();
            [next()?, next()?, next()?, next()?]
        };
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS);
        Some(Self { state, parent, own: time(user + system), ended_children: time(ended_user + ended_system) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_past_a_name_with_parentheses() {
        let line = "12 (post) gres (x)) S 7 12 12 0 -1 4194560 1 2 3 4 150 50 20 5 20 0 1 0 100 0 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent), ('S', 7));
        assert_eq!(stat.own, Duration::from_secs(2));
        assert_eq!(stat.ended_children, Duration::from_millis(250));
    }

    #[test]
    fn a_halted_process_ends_only_when_it_is_resumed() {
        let mut child =
            Command::new("sh").args(["-c", "read -r _"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let tree = ProcessTree::of(child.id());
        tree.halt().unwrap();
        drop(child.stdin.take());
        assert_eq!(Stat::read(child.id()).unwrap().state, 'T');
        tree.resume().unwrap();
        child.wait().unwrap();
        tree.halt().unwrap_err();
    }

    #[test]
    fn this_process_has_used_time() {
        assert!(ProcessTree::of(std::process::id()).cpu_time().unwrap() > Duration::ZERO);
    }
}
