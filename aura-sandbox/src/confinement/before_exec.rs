//! What happens in the new process between fork and exec. All of it is allocated before the fork: afterwards there are
//! system calls only.

use std::{io, process};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[cfg(target_os = "linux")]
use super::landlock::Locked;

/// How far code under test stands back behind the server, which has to be able to end it even while it forks without end.
const NICE: i32 = 5;

/// The steps, in the order of the fields.
#[derive(Debug, Default)]
pub(super) struct BeforeExec {
    /// Limits of each process; a lower hard limit of the host stays.
    pub(super) limits: Vec<(Resource, u64)>,
    /// Open files by which a process joins its control groups.
    #[cfg(target_os = "linux")]
    pub(super) groups: Vec<std::os::fd::OwnedFd>,
    /// Descriptors that stay open; every other one from 3 up is closed.
    #[cfg(target_os = "linux")]
    pub(super) kept: Vec<std::os::fd::OwnedFd>,
    /// Who the process becomes and which rules it gets, where it gets them itself.
    #[cfg(target_os = "linux")]
    pub(super) locked: Option<Locked>,
    /// System calls tried at the very end instead of the command.
    #[cfg(target_os = "linux")]
    pub(super) trial: Option<super::probe::Trial>,
}

impl BeforeExec {
    /// Makes the command do it.
    pub(super) fn install(self, command: &mut process::Command) {
        use std::os::unix::process::CommandExt;
        let steps = move || self.apply();
        #[expect(
            unsafe_code,
            reason = "the closure runs between fork and exec and makes system calls only: no allocation, no lock"
        )]
        // SAFETY: see the reason above; every call in `apply` is safe to make there.
        unsafe {
            command.pre_exec(steps);
        }
    }

    fn apply(&self) -> io::Result<()> {
        for (resource, value) in &self.limits {
            let value = getrlimit(*resource).maximum.map_or(*value, |hard| hard.min(*value));
            setrlimit(*resource, Rlimit { current: Some(value), maximum: Some(value) })?;
        }
        #[cfg(target_os = "linux")]
        for group in &self.groups {
            rustix::io::write(group, b"0")?;
        }
        close_on_exec();
        #[cfg(target_os = "linux")]
        {
            for kept in &self.kept {
                rustix::io::fcntl_setfd(kept, rustix::io::FdFlags::empty())?;
            }
        }
        // Late, since the server's thread waits for all of this; and before a filter may refuse it. A host that starts us at the lowest
        // priority already needs no more.
        let _ = rustix::process::nice(NICE);
        #[cfg(target_os = "linux")]
        {
            if let Some(locked) = &self.locked {
                locked.enter()?;
            }
            if let Some(trial) = &self.trial {
                return Err(trial.result());
            }
        }
        Ok(())
    }
}

/// Marks every descriptor above the standard three, so that none of the host's reaches the command. The host's own
/// code opens them so already; a library that it uses may not.
fn close_on_exec() {
    #[cfg(target_os = "linux")]
    {
        #[expect(unsafe_code, reason = "libc has no safe form of this call, which only sets flags of descriptors")]
        // SAFETY: three numbers are passed, and no memory is touched.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if closed == 0 {
            return;
        }
    }
    use rustix::{
        fd::BorrowedFd,
        io::{FdFlags, fcntl_setfd},
    };
    /// Descriptors beyond are not looked at: the loop would cost more than the start of the command.
    const MOST: u64 = 65_536;
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
