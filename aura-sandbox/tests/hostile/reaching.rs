//! What lies outside: files, secrets, the network, other processes, the kernel.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::{fs, io::Read, net::TcpListener, os::linux::net::SocketAddrExt, process::Command};

use aura_sandbox::{BackEnd, Limits};

use crate::{behind_each, bench::Bench, must_fail_at_everything, python};

behind_each! {
    Bubblewrap => bubblewrap, Landlock => landlock; {
        no_secret_of_the_host_is_found,
        nothing_is_written_outside,
        nothing_leaves_by_the_network,
        other_processes_are_out_of_reach,
        the_kernels_doors_are_shut,
        no_descriptor_is_inherited,
        nobodys_rights_are_kept,
        one_run_leaves_nothing_for_the_next,
    }
}

/// Where a key of the host would be found, tried one after the other.
async fn no_secret_of_the_host_is_found(back_end: BackEnd) {
    // Cargo gives this to every test: it stands for the keys in the server's environment.
    let canary = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let outside = tempfile::Builder::new().prefix("aura-outside-").tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(outside.path(), open).unwrap();
    fs::write(outside.path().join("key"), "a key").unwrap();
    let program = format!(
        r#"
import glob, os, sys
# Backwards, so that the program does not find itself.
canary, outside, home = {:?}[::-1], {:?}, {:?}
found = []
for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/task/*/environ') + glob.glob('/proc/*/cmdline'):
    try:
        if canary.encode() in open(path, 'rb').read(): found.append(path)
    except OSError: pass
if canary in str(dict(os.environ)): found.append('environ')
for path in ['/etc/shadow', '/etc/ssh', '/etc/hostname', outside + '/key', home + '/.ssh', home + '/.bashrc', home + '/.profile',
             home + '/.cargo/credentials.toml', canary + '/Cargo.toml', '/proc/1/root/etc/shadow', '/proc/kcore', '/proc/kmsg',
             '/dev/mem', '/dev/kmsg', '/dev/sda', '/dev/vda', '/sys/kernel', '/var/log', '/run', '/proc/1/mem']:
    try:
        (os.listdir if os.path.isdir(path) else lambda p: open(p, 'rb').read(1))(path)
        found.append(path)
    except OSError: pass
for path in ['/', home, '/tmp', '/var', '/etc']:
    try:
        names = os.listdir(path)
        if 'shadow' in names or 'Cargo.toml' in names or os.path.basename(outside) in names or '.bashrc' in names: found.append(path)
    except OSError: pass
os.symlink(outside + '/key', 'link')
try: found.append(open('link').read())
except OSError: pass
for hard in [outside + '/key', '/usr/bin/env']:
    try: os.link(hard, 'hard'); found.append('hard link ' + hard)
    except OSError: pass
print(found); sys.exit(bool(found))
"#,
        canary.chars().rev().collect::<String>(),
        outside.path(),
        std::env::var("HOME").unwrap(),
    );
    must_fail_at_everything(back_end, &program).await;
}

async fn nothing_is_written_outside(back_end: BackEnd) {
    let outside = tempfile::Builder::new().prefix("aura-outside-").tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(outside.path(), open).unwrap();
    fs::write(outside.path().join("old"), "old").unwrap();
    let program = format!(
        r#"
import os, sys
outside = {:?}
done = []
for path in [outside + '/new', outside + '/old', '/usr/new', '/etc/new', '/new', '/dev/new', '/root/new', '/var/tmp/aura-new', '/proc/sys/kernel/core_pattern',
             '/proc/sysrq-trigger', '/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/new', '../new', '../../new']:
    try:
        open(path, 'a').write('x')
        # Beside the workspace may be memory of its own.
        if not path.startswith('..'): done.append(path)
    except OSError: pass
for act in [lambda: os.unlink(outside + '/old'), lambda: os.rename(outside + '/old', 'mine'), lambda: os.truncate(outside + '/old', 0),
            lambda: os.mkdir(outside + '/dir'), lambda: os.symlink('x', outside + '/link'), lambda: os.mknod('node', 0o20666, os.makedev(1, 1))]:
    try: act(); done.append('an act outside')
    except OSError: pass
print(done); sys.exit(bool(done))
"#,
        outside.path(),
    );
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    let report = bench.run(&python(&program)).await;
    assert!(report.is_pass(), "{}", report.output);
    let names: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(
        (names.len(), fs::read_to_string(outside.path().join("old")).unwrap().as_str()),
        (1, "old"),
        "{names:?}"
    );
    for path in ["/usr/new", "/etc/new", "/new", "/dev/new", "/root/new", "/var/tmp/aura-new"] {
        assert!(!fs::exists(path).unwrap_or(false), "{path}");
    }
    assert!(!bench.path("../new").exists() && !bench.path("../../new").exists());
}

async fn nothing_leaves_by_the_network(back_end: BackEnd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("aura-abstract-{}-{back_end}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let folder = tempfile::Builder::new().prefix("aura-socket-").tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(folder.path(), std::fs::Permissions::clone(&open)).unwrap();
    let path = folder.path().join("socket");
    let _named = std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, open).unwrap();
    let program = format!(
        r#"
import socket, sys
port, name, path = {}, {name:?}, {path:?}
done = []
def attempt(what, act):
    try: act(); done.append(what)
    except OSError: pass
def tcp(host, port): socket.create_connection((host, port), 1)
def udp(host):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', (host, 53))
def unix(kind, address): socket.socket(socket.AF_UNIX, kind).connect(address)
attempt('tcp', lambda: tcp('127.0.0.1', port))
attempt('tcp out', lambda: tcp('1.1.1.1', 53))
attempt('tcp6', lambda: tcp('::1', port))
attempt('udp', lambda: udp('1.1.1.1'))
attempt('dns', lambda: socket.getaddrinfo('example.com', 80))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt('vsock', lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
attempt('abstract', lambda: unix(socket.SOCK_STREAM, '\0' + name))
attempt('named', lambda: unix(socket.SOCK_STREAM, path))
attempt('log', lambda: unix(socket.SOCK_DGRAM, '/dev/log'))
def pair():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'x', path)
attempt('pair', pair)
# What programs do among themselves still works.
a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
print(done); sys.exit(bool(done))
"#,
        listener.local_addr().unwrap().port(),
    );
    must_fail_at_everything(back_end, &program).await;
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
}

async fn other_processes_are_out_of_reach(back_end: BackEnd) {
    let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
    let program = format!(
        r#"
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
done = []
for pid in [{}, {}]:
    for number in [0, signal.SIGTERM, signal.SIGKILL]:
        try: os.kill(pid, number); done.append(('kill', pid, number))
        except OSError: pass
    if libc.ptrace(16, pid, 0, 0) == 0: done.append(('attach', pid))
    try: open('/proc/%d/mem' % pid, 'rb'); done.append(('mem', pid))
    except OSError: pass
    try: os.setpriority(os.PRIO_PROCESS, pid, 19); done.append(('priority', pid))
    except OSError: pass
    try:
        import resource; resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)); done.append(('prlimit', pid))
    except OSError: pass
print(done); sys.exit(bool(done))
"#,
        bystander.id(),
        std::process::id(),
    );
    must_fail_at_everything(back_end, &program).await;
    // Once more with everything at once, in the hope to hit one that can be hit.
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    bench.run(&python("import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept OSError: pass\n")).await;
    assert!(bystander.try_wait().unwrap().is_none(), "it was killed");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

async fn the_kernels_doors_are_shut(back_end: BackEnd) {
    let program = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == 'x86_64'
number = lambda a, b: a if x86 else b
calls = {
    'ptrace': (number(101, 117), 0, 0, 0, 0), 'process_vm_readv': (number(310, 270), os.getpid(), 0, 0, 0, 0, 0), 'keyctl': (number(250, 219), 0, -3, 1),
    'add_key': (number(248, 217), b'user', b'x', b'y', 1, -3), 'request_key': (number(249, 218), b'user', b'x', 0, -3),
    'bpf': (number(321, 280), 0, 0, 0), 'io_uring_setup': (425, 1, ctypes.create_string_buffer(120)), 'userfaultfd': (number(323, 282), 1),
    'perf_event_open': (number(298, 241), ctypes.create_string_buffer(128), 0, -1, -1, 0),
    'unshare user': (number(272, 97), 0x10000000), 'unshare net': (number(272, 97), 0x40000000), 'unshare mount': (number(272, 97), 0x20000),
    'setns': (number(308, 268), 0, 0), 'mount': (number(165, 40), b'none', b'/tmp', b'tmpfs', 0, 0), 'umount': (number(166, 39), b'/usr', 2),
    'pivot_root': (number(155, 41), b'.', b'.'), 'chroot': (number(161, 51), b'.'), 'open_tree': (428, -100, b'/', 1), 'fsopen': (430, b'tmpfs', 0),
    'open_by_handle_at': (number(304, 265), 0, 0, 0), 'init_module': (number(175, 105), 0, 0, b''), 'reboot': (number(169, 142), 0, 0, 0, 0),
    'swapon': (number(167, 224), b'/x', 0), 'sethostname': (number(170, 161), b'x', 1), 'syslog': (number(103, 116), 10, 0, 0),
    'clone user': (number(56, 220), 0x10000000 | 17, 0, 0, 0, 0), 'clone3': (435, ctypes.create_string_buffer(88), 88), 'kexec_load': (number(246, 104), 0, 0, 0, 0),
    'setuid root': (number(105, 146), 0), 'settimeofday': (number(164, 170), ctypes.create_string_buffer(16), 0),
}
done = []
for name, call in calls.items():
    ctypes.set_errno(0)
    answer = libc.syscall(*call)
    if answer == 0 and name in ('clone user', 'clone3'): os._exit(9)
    if answer != -1 or ctypes.get_errno() not in (1, 13, 38) and name != 'setuid root': done.append((name, answer, ctypes.get_errno()))
if x86:
    # The same calls by their other number.
    for name, number in {'ptrace': 0x40000000 + 521, 'socket': 0x40000000 + 41}.items():
        ctypes.set_errno(0)
        if libc.syscall(number, 2, 1, 0) != -1: done.append(('x32', name))
print(done); sys.exit(bool(done))
"#;
    must_fail_at_everything(back_end, program).await;
}

async fn no_descriptor_is_inherited(back_end: BackEnd) {
    // Descriptors as a careless library leaves them: open for every child, one with a high number.
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).unwrap();
    let secret = fs::File::open("/etc/hostname").unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let high = rustix::io::fcntl_dupfd_cloexec(&secret, 900).unwrap();
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    let program = r"
import os, sys
found = []
for number in range(3, 1024):
    try: os.fstat(number); found.append((number, os.readlink('/proc/self/fd/%d' % number)))
    except OSError: pass
print(found); sys.exit(bool(found))
";
    // Straight from the system, since a wrapper script may open descriptors of its own.
    must_fail_at_everything(back_end, program).await;
    drop(writer);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

async fn nobodys_rights_are_kept(back_end: BackEnd) {
    let program = r"
import os, resource, sys
done = []
if os.getuid() == 0 or os.geteuid() == 0 or 0 in os.getgroups() or os.getgid() == 0: done.append((os.getuid(), os.getgroups()))
for act in [lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.chown('.', 0, 0),
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1)), lambda: resource.setrlimit(resource.RLIMIT_NPROC, (-1, -1))]:
    try: act(); done.append('an act of root')
    except (OSError, ValueError): pass
print(done); sys.exit(bool(done))
";
    must_fail_at_everything(back_end, program).await;
}

async fn one_run_leaves_nothing_for_the_next(back_end: BackEnd) {
    let leave = "import os\nfor p in ['/tmp/left', '/dev/shm/left', os.environ['HOME'] + '/left', os.environ['TMPDIR'] + '/left']:\n    \
                 try: open(p, 'w')\n    except OSError: pass\n";
    let look = "import os, sys\nsys.exit(any(os.path.exists(p) for p in ['/tmp/left', '/dev/shm/left', os.environ['HOME'] + \
                '/left', os.environ['TMPDIR'] + '/left']))\n";
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    assert!(bench.run(&python(leave)).await.is_pass());
    assert!(bench.run(&python(look)).await.is_pass());
    assert!(!fs::exists("/tmp/left").unwrap() && !fs::exists("/dev/shm/left").unwrap());
}
