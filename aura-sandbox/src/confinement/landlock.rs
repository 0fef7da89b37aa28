//! A process that locks itself in: Landlock for files, a filter for system calls, and another user where it can.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
    path_beneath_rules,
};
use rustix::{
    process::{Gid, Uid},
    thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets},
};
use seccompiler::BpfProgram;

use super::reach;

/// The newest rules that are asked for; an older kernel gives those that it has, and the probe shows what is missing.
const NEWEST: ABI = ABI::V9;
/// Devices that hold nothing of the host.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Rules for one run, ready to be entered.
#[derive(Debug)]
pub(super) struct Locked {
    rules: Option<OwnedFd>,
    filters: Arc<Vec<BpfProgram>>,
    user: Option<u32>,
}

impl Locked {
    /// The filter alone, to see what it refuses.
    pub(super) const fn filter_only(filters: Arc<Vec<BpfProgram>>) -> Self {
        Self { rules: None, filters, user: None }
    }

    /// Rules by which the tools can be read and the folders can be written; nothing else of the file system is open.
    ///
    /// # Errors
    /// When the kernel has no Landlock.
    pub(super) fn new(
        tools: &[PathBuf],
        writable: &[&Path],
        filters: Arc<Vec<BpfProgram>>,
        user: Option<u32>,
    ) -> io::Result<Self> {
        let system = reach::system_folders().chain(reach::system_files()).chain(reach::optional()).map(PathBuf::from);
        let readable = system.chain(tools.iter().cloned());
        let device = AccessFs::ReadFile | AccessFs::WriteFile;
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
            .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rules(path_beneath_rules(readable, AccessFs::from_read(NEWEST))))
            .and_then(|rules| rules.add_rules(path_beneath_rules(writable, AccessFs::from_all(NEWEST))))
            .and_then(|rules| rules.add_rules(path_beneath_rules(DEVICES, device)))
            .map_err(io::Error::other)?;
        let rules: Option<OwnedFd> = rules.into();
        let rules = rules.ok_or_else(|| {
            io::Error::other(
                "this kernel has no Landlock: it needs Linux 5.13 or newer, with `landlock` among the security modules \
                 (lsm= at boot)",
            )
        })?;
        Ok(Self { rules: Some(rules), filters, user })
    }

    /// Gives up every right, for good. Called between fork and exec.
    pub(super) fn enter(&self) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        if let Some(user) = self.user {
            become_user(user)?;
        } else if self.rules.is_some() {
            rustix::thread::set_capabilities(None, sets(CapabilitySet::empty()))?;
        }
        if let Some(rules) = &self.rules {
            // The group that dies as a whole; it also lets go of the server's terminal.
            rustix::process::setsid()?;
            #[expect(unsafe_code, reason = "the landlock crate's own call allocates, which may hang after a fork")]
            // SAFETY: two numbers are passed, and no memory is touched.
            let entered = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) };
            if entered != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        for filter in self.filters.iter() {
            if seccompiler::apply_filter(filter).is_err() {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

const fn sets(all: CapabilitySet) -> CapabilitySets {
    CapabilitySets { effective: all, permitted: all, inheritable: all }
}

/// Becomes a user without rights, but for that to read what only the server's user can reach, where the server has it: the
/// tools may lie in root's own home. Landlock decides what is read.
fn become_user(number: u32) -> io::Result<()> {
    let own = rustix::thread::capabilities(None)?.permitted;
    let read = own.intersection(CapabilitySet::DAC_READ_SEARCH);
    for capability in CapabilitySet::all().difference(read).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // One that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Keeps the one right over the change of user, and lets `access`, which tools ask before they open, see it, too.
    let kept = CapabilitiesSecureBits::NO_SETUID_FIXUP | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED;
    let no_root = CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED;
    rustix::thread::set_capabilities_secure_bits(kept | no_root)?;
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    rustix::thread::set_capabilities(None, sets(read))?;
    if !read.is_empty() {
        rustix::thread::configure_capability_in_ambient_set(read, true)?;
    }
    Ok(())
}
