//! Whom code under test runs as: a server that is root never lends its own user.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::CapabilitySet;

/// First of the numbers that are lent; system tools give none of them to people or services.
const FIRST: u32 = 64_000;
/// How many there are.
const COUNT: u32 = 1_000;

/// Whether this process can become another user.
pub(super) fn can_change() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETPCAP | CapabilitySet::CHOWN;
    rustix::process::geteuid().is_root()
        && rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// A user without rights or files; workspaces that are in use at the same time have different ones.
pub(crate) fn unprivileged() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    FIRST + process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT
}
