//! The shell that starts a server, and ends it when this process ends, however that comes about.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{account::Account, patience, programs::Programs};

/// A running `watchdog.sh`.
///
/// It blocks reading a pipe whose other end only this process holds. The kernel closes that end after a `SIGKILL`
/// too, and when statics are not dropped. Its process group is its own, so that a `^C` meant for the tests leaves it
/// the time to tidy up.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    /// None once it was told to end.
    orders: Option<ChildStdin>,
}

impl Watchdog {
    /// Begins to guard `folder` and to make a data folder in it, a copy of the server whose socket is in `primary` if that is no
    /// empty path; starts no server.
    pub(super) fn start(
        folder: &Path,
        programs: &Programs,
        primary: &Path,
        options: &[String],
        account: Option<Account>,
    ) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("watchdog.sh"), "aura-testbed-watchdog"]);
        command.arg(folder).arg(programs.folder()).arg(primary).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).current_dir(folder);
        if let Some(account) = account {
            account.runs(&mut command);
        }
        let mut shell = command.spawn()?;
        let orders = shell.stdin.take();
        Ok(Self { shell, orders })
    }

    /// Has the server started, once the one before is gone.
    pub(super) fn start_server(&mut self) -> io::Result<()> {
        match &mut self.orders {
            Some(orders) => orders.write_all(b"start\n"),
            None => Err(io::Error::other("the server was stopped, and its folder is gone")),
        }
    }

    /// Whether it gave up by itself.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.shell.try_wait()?.is_some())
    }

    /// Has the server ended and the folder removed, and waits for it; does nothing the second time.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        drop(self.orders.take());
        patience::wait_until("PostgreSQL to stop", || self.has_ended())
    }
}
