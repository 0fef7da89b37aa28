//! The system calls that code under test may not make, as programs for the kernel's filter (seccomp).

use std::{collections::BTreeMap, env::consts::ARCH, io};

use libc::{c_long, sock_filter};
use seccompiler::{
    BpfProgram, SeccompAction,
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp::{self, Eq, MaskedEq, Ne},
    SeccompCondition, SeccompFilter, SeccompRule,
};

/// How much the filter has to do alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Namespaces keep the host's network, processes and message queues away.
    Namespaces,
    /// Nothing else does: sockets that could be named or connected, leaving the process group, and queues and shared
    /// memory that outlive their makers are refused too.
    Alone,
}

/// Refused whatever their arguments are: looking into or steering other processes, keys, programs for the kernel,
/// mounts and namespaces, the machine's own state, and handles that get round the rules for paths.
const REFUSED: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
];

/// Answered as if this kernel did not have them, so that callers take the way they know from older ones. `clone3` hides
/// its flags from the filter; `clone` does not.
const UNKNOWN: &[c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Refused when there are no namespaces: objects that outlive a process, and limits of processes elsewhere.
const REFUSED_ALONE: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Allowed on the calling process only when there are no namespaces: others of its user are out of reach.
const ON_ITSELF_ALONE: &[c_long] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];

/// Answered with success and without effect when there are no namespaces: a process that cannot leave its group dies with
/// it, and programs that start a session mean no harm.
const PRETENDED_ALONE: &[c_long] = &[libc::SYS_setsid, libc::SYS_setpgid];

/// Each makes a namespace; the last shares its bit with the signal that `clone` takes, so it is left to `unshare`.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The programs for the kernel; all of them are to be loaded.
///
/// # Errors
/// On a processor whose system calls are not known here.
pub(super) fn programs(reach: Reach) -> io::Result<Vec<BpfProgram>> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = always(REFUSED);
    let mut unix_only = |call: c_long| -> io::Result<()> {
        refused.insert(call, vec![rule(0, Dword, Ne, libc::AF_UNIX.unsigned_abs().into())?]);
        Ok(())
    };
    unix_only(libc::SYS_socket)?;
    unix_only(libc::SYS_socketpair)?;
    let flag = |flag: &i32| {
        let flag = u64::from(flag.unsigned_abs());
        rule(0, Qword, MaskedEq(flag), flag)
    };
    refused.insert(libc::SYS_clone, NAMESPACES.iter().map(flag).collect::<io::Result<_>>()?);
    // Types into the terminal that the server was started from.
    refused.insert(libc::SYS_ioctl, vec![rule(1, Dword, Eq, libc::TIOCSTI)?, rule(1, Dword, Eq, libc::TIOCLINUX)?]);
    if reach == Reach::Alone {
        refused.extend(always(REFUSED_ALONE));
        // A pair of datagram sockets could still be sent to any name.
        let kind = |kind: i32| condition(1, Dword, MaskedEq(0xf), u64::from(kind.unsigned_abs()));
        let pairs = vec![
            rule(0, Dword, Ne, libc::AF_UNIX.unsigned_abs().into())?,
            SeccompRule::new(vec![kind(libc::SOCK_DGRAM)?]).map_err(io::Error::other)?,
            SeccompRule::new(vec![kind(libc::SOCK_RAW)?]).map_err(io::Error::other)?,
        ];
        refused.insert(libc::SYS_socketpair, pairs);
        for call in ON_ITSELF_ALONE {
            refused.insert(*call, vec![rule(0, Dword, Ne, 0)?]);
        }
        // The first argument says what the second is: a process, a group or a user.
        for (call, process) in [(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)] {
            refused.insert(call, vec![rule(0, Dword, Ne, process)?, rule(1, Dword, Ne, 0)?]);
        }
    }
    let mut programs =
        vec![compile(refused, libc::EPERM.unsigned_abs())?, compile(always(UNKNOWN), libc::ENOSYS.unsigned_abs())?];
    if reach == Reach::Alone {
        programs.push(compile(always(PRETENDED_ALONE), 0)?);
    }
    #[cfg(target_arch = "x86_64")]
    programs.push(second_numbering());
    Ok(programs)
}

/// The bytes that bubblewrap reads a program from.
pub(super) fn bytes(program: &BpfProgram) -> Vec<u8> {
    let instruction = |one: &seccompiler::sock_filter| {
        let [a, b] = one.code.to_ne_bytes();
        let [k0, k1, k2, k3] = one.k.to_ne_bytes();
        [a, b, one.jt, one.jf, k0, k1, k2, k3]
    };
    const { assert!(size_of::<sock_filter>() == 8) };
    program.iter().flat_map(instruction).collect()
}

fn always(calls: &[c_long]) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn condition(
    argument: u8,
    length: seccompiler::SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, length, operator, value).map_err(io::Error::other)
}

fn rule(
    argument: u8,
    length: seccompiler::SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompRule> {
    SeccompRule::new(vec![condition(argument, length, operator, value)?]).map_err(io::Error::other)
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, error: u32) -> io::Result<BpfProgram> {
    let arch = ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(error), arch);
    filter.and_then(BpfProgram::try_from).map_err(io::Error::other)
}

/// Refuses the numbers of the x32 interface, which name the same calls a second time and would get past the lists.
#[cfg(target_arch = "x86_64")]
fn second_numbering() -> BpfProgram {
    let one = |code: u32, jt, jf, k| seccompiler::sock_filter { code: code as u16, jt, jf, k };
    vec![
        one(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        one(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, 0x4000_0000),
        one(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        one(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
