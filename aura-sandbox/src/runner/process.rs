//! A command in a process group of its own, and the end of that group.

use std::{io, path::Path, time::Duration};

use tokio::process::{Child, Command};

use super::environment::Environment;

/// How long the group's processes are waited for once they are killed.
const DEAD_WITHIN: Duration = Duration::from_millis(300);
/// How often they are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A command that sees the chosen environment only, may write files of at most `file_bytes`, and dies with its
/// [`Running`].
pub(super) fn command(argv: &[String], environment: &Environment, folder: &Path, file_bytes: u64) -> Command {
    let mut command = Command::new(&environment.program);
    command.args(argv.iter().skip(1)).current_dir(folder).env_clear().kill_on_drop(true);
    command.envs(environment.variables.iter().map(|(name, value)| (name, value)));
    #[cfg(unix)]
    confine(&mut command, file_bytes);
    #[cfg(not(unix))]
    let _ = file_bytes;
    command
}

/// Puts the command into its own group, with limits on the files that it writes.
#[cfg(unix)]
fn confine(command: &mut Command, file_bytes: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    command.process_group(0);
    let at_most = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    // A hard limit of the host's that is lower already cannot be raised.
    let file_bytes = getrlimit(Resource::Fsize).maximum.map_or(file_bytes, |hard| hard.min(file_bytes));
    let limit = move || {
        setrlimit(Resource::Core, at_most(0))?;
        setrlimit(Resource::Fsize, at_most(file_bytes))?;
        close_on_exec();
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "the closure runs between fork and exec and makes system calls only: no allocation, no lock"
    )]
    // SAFETY: see the reason above; `setrlimit` and `fcntl` are safe to call there.
    unsafe {
        command.pre_exec(limit);
    }
}

/// Marks every descriptor above the standard three, so that none of the host's reaches the command. The host's own
/// code opens them so already; a library that it uses may not.
#[cfg(unix)]
fn close_on_exec() {
    use rustix::{
        fd::BorrowedFd,
        io::{FdFlags, fcntl_setfd},
        process::{Resource, getrlimit},
    };
    /// Descriptors beyond are not looked at: the loop would cost more than the start of the command.
    const MOST: u64 = 4096;
    let end = getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
    for number in 3..i32::try_from(end).unwrap_or(i32::MAX) {
        #[expect(
            unsafe_code,
            reason = "the number may name no descriptor, which the call answers with an error and no effect"
        )]
        // SAFETY: the borrow ends with the call, which only sets a flag; see the reason above.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        // An error means that there is no such descriptor.
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
}

/// A started command. Dropping it kills its whole group.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    group: Group,
}

impl Running {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let group = Group::led_by(&child);
        Ok(Self { child, group })
    }

    pub(super) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the command itself; gives its exit code, absent when a signal ended it.
    pub(super) async fn wait(&mut self) -> io::Result<Option<i32>> {
        Ok(self.child.wait().await?.code())
    }

    /// Kills what is left of the group, and waits until nothing is.
    pub(super) async fn end(&mut self) {
        self.group.kill();
        // Reaps the leader when it was not waited for; it cannot outlive a kill for long.
        if let Err(error) = self.child.start_kill() {
            tracing::trace!(%error, "the command had ended already");
        }
        if tokio::time::timeout(DEAD_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!("a killed test command has not ended yet");
        }
        let gone = async {
            while self.group.lives() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(DEAD_WITHIN, gone).await.is_err() {
            // Seen where process 1 does not reap: the dead stay listed as zombies.
            tracing::debug!("processes of a killed group are still listed");
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
