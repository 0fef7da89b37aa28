//! Tries a back end out with a small hostile program: what it can reach decides, not the version of anything.

use std::{
    env,
    ffi::{CStr, CString, OsString},
    fs, io,
    path::Path,
    process,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{BackEnd, Confinement, Task};
use crate::{Limits, workspace::private_folders};

/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Says what it could reach, a line each, and `end` at last.
const HOSTILE: &str = r#"
outside=$1 server=$2
cat "$outside/secret" >/dev/null 2>&1 && echo "reach: it reads a file outside"
(: > "$outside/new") 2>/dev/null && echo "reach: it writes a file outside"
cat /etc/shadow >/dev/null 2>&1 && echo "reach: it reads /etc/shadow"
(: > /usr/.aura-probe) 2>/dev/null && echo "reach: it writes to /usr"
(: > /proc/sys/kernel/core_pattern) 2>/dev/null && echo "reach: it writes kernel settings"
for name in /proc/[0-9]*; do
    if test -r "$name/environ"; then echo "environ:"; cat "$name/environ" 2>/dev/null | tr '\0' '\n'; echo ":environ"; fi
done
test -n "$3" && for kind in pid net ipc mnt uts; do
    echo "namespace: $(readlink /proc/self/ns/$kind)"
done
test -z "$3" && kill -0 "$server" 2>/dev/null && echo "reach: it may signal the server"
while read -r name value; do echo "status: $name $value"; done 2>/dev/null < /proc/self/status
echo end
"#;

/// System calls tried in the confined process in the command's place.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// A file outside that anybody may write.
    pub(super) outside: CString,
    /// Whether local sockets and signals to the server have to be refused, too.
    pub(super) alone: bool,
}

/// Makes a system call whose pointers are null or constant text.
macro_rules! call {
    ($($argument:expr),*) => {{
        #[expect(unsafe_code, reason = "libc has no safe form of these calls")]
        // SAFETY: no pointer leads to memory that could be written; the process ends right after the trial.
        unsafe { libc::syscall($($argument),*) }
    }};
}

/// What is said when it gets through, and the call.
type Attempt = (&'static str, fn(&CStr) -> libc::c_long);

/// What is tried. Those at the end are for a filter that stands alone.
const ATTEMPTS: &[Attempt] = &[
    ("it opens an internet socket", |_| call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0)),
    ("it opens an IPv6 socket", |_| call!(libc::SYS_socket, libc::AF_INET6, libc::SOCK_STREAM, 0)),
    ("it opens a netlink socket", |_| call!(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    ("it makes a user namespace", |_| call!(libc::SYS_unshare, libc::CLONE_NEWUSER)),
    ("it mounts", |_| call!(libc::SYS_mount, 0, c"/".as_ptr(), 0, libc::MS_PRIVATE, 0)),
    ("it reaches the kernel's keys", |_| call!(libc::SYS_keyctl, 0, -3, 1)),
    ("it uses bpf", |_| call!(libc::SYS_bpf, 0, 0, 0)),
    ("it uses io_uring", |_| call!(libc::SYS_io_uring_setup, 1, 0)),
    ("it is traced", |_| call!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0)),
    ("it opens a local socket", |_| call!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)),
    ("it may signal the server", |_| {
        let parent = rustix::process::Pid::as_raw(rustix::process::getppid());
        call!(libc::SYS_kill, parent, 0)
    }),
    ("it cuts a file outside", |outside| call!(libc::SYS_truncate, outside.as_ptr(), 0)),
];
/// How many of them any filter has to refuse.
const ALWAYS: usize = 9;
/// Marks an error number as the result of a trial; no system error is as large.
const TRIED: i32 = 1 << 20;

impl Trial {
    /// Tries everything; the answer goes to the server the way an error of exec would.
    pub(super) fn result(&self) -> io::Error {
        let mut through = 0;
        for (at, (_, attempt)) in ATTEMPTS.iter().enumerate() {
            let error = if attempt(&self.outside) == -1 { io::Error::last_os_error().raw_os_error() } else { None };
            let refused = matches!(error, Some(libc::EPERM | libc::EACCES | libc::ENOSYS));
            if !refused && (self.alone || at < ALWAYS) {
                through |= 1 << at;
            }
        }
        io::Error::from_raw_os_error(TRIED | through)
    }

    /// What got through, or that the process could not be confined at all.
    fn read(started: io::Result<process::Child>) -> Result<Vec<String>, String> {
        let error = match started {
            Err(error) => error,
            Ok(mut child) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err("the trial of system calls did not take place".to_owned());
            }
        };
        match error.raw_os_error() {
            Some(number) if number & TRIED != 0 => {
                let through = ATTEMPTS.iter().enumerate().filter(|(at, _)| number & (1 << at) != 0);
                Ok(through.map(|(_, (name, _))| (*name).to_owned()).collect())
            }
            _ => Err(format!("a process cannot be confined: {error}")),
        }
    }
}

/// What a back end let through, or why it does not work at all.
type Outcome = Result<Vec<String>, String>;

/// Everything that code under test could reach; an error says why the back end does not work at all. Tried once in the
/// life of the process: what a machine offers does not change, and a service may make many sandboxes.
pub(super) fn reached(confinement: &Confinement) -> Outcome {
    static TRIED_OUT: Mutex<Vec<(BackEnd, Outcome)>> = Mutex::new(Vec::new());
    let mut tried = TRIED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, outcome)) = tried.iter().find(|(back_end, _)| *back_end == confinement.back_end()) {
        return outcome.clone();
    }
    let outcome = try_out(confinement);
    tried.push((confinement.back_end(), outcome.clone()));
    outcome
}

fn try_out(confinement: &Confinement) -> Outcome {
    let io = |error: io::Error| format!("it cannot be tried out: {error}");
    let slot = private_folders().prefix("aura-probe-").tempdir().map_err(io)?;
    for name in ["work", "report"].iter().chain(Task::WRITABLE) {
        fs::create_dir_all(slot.path().join(name)).map_err(io)?;
    }
    // Open to everybody, so that no file permission does the sandbox's work.
    let outside = tempfile::Builder::new().prefix("aura-probe-").tempdir().map_err(io)?;
    fs::write(outside.path().join("secret"), "secret").map_err(io)?;
    open_to_all(&outside.path().join("secret")).and_then(|()| open_to_all(outside.path())).map_err(io)?;

    let namespaces = confinement.back_end() == BackEnd::Bubblewrap;
    let argv = [
        "/bin/sh",
        "-c",
        HOSTILE,
        "sh",
        &outside.path().to_string_lossy(),
        &process::id().to_string(),
        if namespaces { "namespaces" } else { "" },
    ];
    let argv = argv.map(str::to_owned);
    let variables = [("PATH", OsString::from("/usr/bin:/bin"))];
    let slot_path = slot.path().canonicalize().map_err(io)?;
    let task = Task {
        argv: &argv,
        variables: &variables,
        tools: &[],
        slot: &slot_path,
        limits: &Limits::default(),
        user: confinement.lends_user().then(super::identity::unprivileged),
        with_work: true,
        coverage: None,
    };
    let secret =
        CString::new(outside.path().join("secret").into_os_string().into_encoded_bytes()).map_err(io::Error::from);
    if let Some(user) = task.user {
        std::os::unix::fs::chown(&slot_path, Some(user), Some(user)).map_err(io)?;
    }
    let trial = Trial { outside: secret.map_err(io)?, alone: !namespaces };
    let mut through = Trial::read(confinement.confine(&task, Some(trial)).map_err(io)?.command.into_std().spawn())?;
    let mut confined = confinement.confine(&task, None).map_err(io)?;
    let printed = run(confined.command.as_std_mut())?;
    through.extend(read(&printed, namespaces)?);
    if outside.path().join("new").exists() {
        through.push("it writes a file outside".to_owned());
    }
    through.dedup();
    Ok(through)
}

fn open_to_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}

/// Runs the hostile program within its time, and gives what it printed.
fn run(command: &mut process::Command) -> Result<String, String> {
    command.stdin(process::Stdio::null()).stdout(process::Stdio::piped()).stderr(process::Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("it does not start: {error}"))?;
    let watched = rustix::process::Pid::from_child(&child);
    let (done, ended) = std::sync::mpsc::channel::<()>();
    // Killing it ends what it prints, so that reading it ends too.
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(watched, rustix::process::Signal::KILL);
        }
    });
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let drain = |from: Option<&mut dyn io::Read>, to: &mut Vec<u8>| {
        from.map_or(Ok(0), |from| io::Read::read_to_end(&mut io::Read::take(from, 4 << 20), to))
    };
    let _ = drain(child.stdout.as_mut().map(|pipe| pipe as &mut dyn io::Read), &mut stdout);
    let _ = drain(child.stderr.as_mut().map(|pipe| pipe as &mut dyn io::Read), &mut stderr);
    drop(done);
    let ended = child.wait();
    let _ = watch.join();
    let printed = String::from_utf8_lossy(&stdout).into_owned();
    if printed.lines().any(|line| line == "end") {
        return Ok(printed);
    }
    let said = String::from_utf8_lossy(&stderr);
    let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    Err(format!("a program does not run in it: {ended}: {}", said.trim()))
}

/// What the hostile program reached.
fn read(printed: &str, namespaces: bool) -> Result<Vec<String>, String> {
    let mut through: Vec<String> =
        printed.lines().filter_map(|line| line.strip_prefix("reach: ")).map(str::to_owned).collect();
    // Short values are everywhere; a key is long.
    let own = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut own = own.filter(|(_, value)| value.len() >= 8);
    let lines: std::collections::HashSet<&str> = printed.lines().collect();
    if let Some((name, _)) = own.find(|(name, value)| {
        !matches!(name.as_str(), "PATH" | "PWD") && lines.contains(format!("{name}={value}").as_str())
    }) {
        through.push(format!("it reads {name} of the server's environment"));
    }
    if namespaces {
        let inside: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("namespace: ")).collect();
        if inside.len() != 5 {
            return Err("its namespaces cannot be seen".to_owned());
        }
        for kind in ["pid", "net", "ipc", "mnt", "uts"] {
            let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
            if inside.iter().any(|one| own == Path::new(one)) {
                through.push(format!("it shares the server's {kind} namespace"));
            }
        }
        for (name, wanted) in [("CapEff:", "0000000000000000"), ("NoNewPrivs:", "1"), ("Seccomp:", "2")] {
            if !lines.contains(format!("status: {name} {wanted}").as_str()) {
                through.push(format!("{name} is not {wanted}"));
            }
        }
    }
    Ok(through)
}
