//! A PostgreSQL server of one process's own, in a temporary folder and on a Unix socket.

mod builder;
pub(crate) mod url;
mod watchdog;

pub use builder::PrivatePostgresBuilder;

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use self::watchdog::Watchdog;
use crate::{
    account::Account,
    patience,
    process_tree::{self, ProcessTree},
    programs::Programs,
};

/// Longest path of a Unix socket on Linux is 107 bytes; this is what may come before `/aura-pg-XXXXXX/.s.PGSQL.5432`.
const LONGEST_PARENT: usize = 70;

/// A running PostgreSQL server that only this process knows.
///
/// Its superuser `postgres` gets in without a password, over a socket in a folder that is closed to others. The
/// server ends and the folder goes when this is dropped, and also when the process ends without dropping it, be it
/// by `kill -9`.
#[derive(Debug)]
pub struct PrivatePostgres {
    watchdog: Mutex<Watchdog>,
    programs: Programs,
    /// The id of the server's first process; that of the dead one after [`kill9`](Self::kill9).
    pid: AtomicU32,
    databases: AtomicU32,
    folder: TempDir,
}

impl PrivatePostgres {
    /// What to start with: quick and forgetful unless told otherwise.
    #[must_use]
    pub fn builder() -> PrivatePostgresBuilder {
        PrivatePostgresBuilder::new()
    }

    /// The one quick server that all tests of this process share; each makes a database of its own in it.
    ///
    /// # Panics
    ///
    /// When the server cannot start, with the remedy: a test that needs it fails rather than passing unseen.
    #[expect(clippy::panic, reason = "a test without its server must fail, and say what to install")]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PrivatePostgres> = OnceLock::new();
        SHARED.get_or_init(|| match Self::builder().start() {
            Ok(server) => server,
            Err(error) => panic!("cannot start a private PostgreSQL: {error}"),
        })
    }

    fn start(primary: &Path, options: &[String]) -> io::Result<Self> {
        let programs = Programs::find()?;
        let (folder, account) = make_folder()?;
        let mut all = vec!["--listen_addresses=".to_owned(), "--unix_socket_permissions=0777".to_owned()];
        all.push(format!("--unix_socket_directories={}", folder.path().display()));
        all.extend_from_slice(options);
        let watchdog = Watchdog::start(folder.path(), &programs, primary, &all, account)?;
        let server = Self {
            watchdog: Mutex::new(watchdog),
            programs,
            pid: AtomicU32::new(0),
            databases: AtomicU32::new(0),
            folder,
        };
        server.bring_up()?;
        Ok(server)
    }

    /// Where to reach a database of this server, existing or not: `postgres` exists from the start.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url::of_socket(self.socket_folder(), database)
    }

    /// Makes an empty database with a name of its own, and returns its URL.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or refuses; the message has its words.
    pub fn create_database(&self) -> io::Result<String> {
        let name = format!("aura_{}", self.databases.fetch_add(1, Ordering::Relaxed) + 1);
        self.run(&format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs SQL as the superuser in the database `postgres`.
    fn run(&self, sql: &str) -> io::Result<()> {
        let mut command = Command::new(self.programs.program("psql"));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--username=postgres"]);
        command.arg("--host").arg(self.socket_folder()).args(["--dbname=postgres", "--command", sql]);
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{sql}: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// Writes 2 GB of log that says nothing, and lets its files be used again.
    fn write_log(&self) -> io::Result<()> {
        self.run(
            "SELECT count(pg_logical_emit_message(false, '', repeat('-', 1000000))) FROM generate_series(1, 2048)",
        )?;
        self.run("CHECKPOINT")
    }

    /// The folder with the server's socket, as a client's `host`.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The id of the server's first process, the parent of the others.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// CPU time that the server and all its processes used since it started, the ended ones too.
    ///
    /// # Errors
    ///
    /// When the server is not running, or the machine has no `/proc`.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        ProcessTree::of(self.pid()).cpu_time()
    }

    /// Ends the server and all its processes with `SIGKILL`, as a crash would, and waits until they are gone.
    ///
    /// # Errors
    ///
    /// When they cannot be killed, or the machine has no `/proc`.
    pub fn kill9(&self) -> io::Result<()> {
        let _one_at_a_time = self.lock();
        ProcessTree::of(self.pid()).kill()
    }

    /// Kills one of the server's processes with `SIGKILL`, as a system without memory would: the server ends all the others,
    /// forgets what was not on the disk, recovers, and accepts connections again by itself. Waits until the others are gone.
    ///
    /// # Errors
    ///
    /// When it cannot be killed, or the machine has no `/proc`.
    pub fn crash(&self) -> io::Result<()> {
        let _one_at_a_time = self.lock();
        ProcessTree::of(self.pid()).kill_child()
    }

    /// Starts the server again after [`kill9`](Self::kill9), and waits until it has recovered and accepts connections.
    ///
    /// # Errors
    ///
    /// When it still runs, was stopped, or does not come up within a minute; the message has its log.
    pub fn start_again(&self) -> io::Result<()> {
        if process_tree::is_running(self.pid()) {
            return Err(io::Error::other("the server is still running"));
        }
        self.bring_up()
    }

    /// Stops the server at once and removes its folder; does nothing the second time.
    ///
    /// # Errors
    ///
    /// When it is not gone within a minute.
    pub fn stop(&self) -> io::Result<()> {
        self.lock().stop()
    }

    /// Has the server started, and waits until it accepts connections.
    fn bring_up(&self) -> io::Result<()> {
        let mut watchdog = self.lock();
        let started = self.pid_file();
        let _ = fs::remove_file(&started);
        watchdog.start_server()?;
        let accepts = patience::wait_until("PostgreSQL to accept connections", || {
            if watchdog.has_ended()? {
                return Err(io::Error::other("its data folder could not be made"));
            }
            let Some(pid) = fs::read_to_string(&started).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok())
            else {
                return Ok(false);
            };
            if !process_tree::is_running(pid) {
                return Err(io::Error::other("PostgreSQL ended right after its start"));
            }
            self.pid.store(pid, Ordering::Release);
            Ok(self.is_ready(pid))
        });
        accepts.map_err(|error| io::Error::new(error.kind(), format!("{error}; its log:\n{}", self.log())))
    }

    /// Where the watchdog writes the id of the server it started.
    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    /// Whether this very process says in its lock file that it accepts connections, as `pg_ctl` asks it; a standby takes reads.
    fn is_ready(&self, pid: u32) -> bool {
        let lock = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = lock.lines();
        let owner = lines.next().and_then(|line| line.trim().parse().ok());
        owner == Some(pid) && lines.nth(6).is_some_and(|line| matches!(line.trim(), "ready" | "standby"))
    }

    /// What the server and `initdb` wrote.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    fn lock(&self) -> MutexGuard<'_, Watchdog> {
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PrivatePostgres {
    /// Stops the server; what is left of the folder goes with it.
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.stop();
    }
}

/// The server's folder, and the account to run under when we are root.
pub(crate) fn make_folder() -> io::Result<(TempDir, Option<Account>)> {
    let folder = tempfile::Builder::new().prefix("aura-pg-").tempdir_in(parent_of_folders())?;
    // A fresh file belongs to the user we act as, and the standard library has no other way to ask.
    if fs::metadata(folder.path())?.uid() != 0 {
        return Ok((folder, None));
    }
    let account = Account::unprivileged()?;
    account.takes(folder.path())?;
    Ok((folder, Some(account)))
}

/// The machine's folder for temporary files, or `/tmp` where that one is too long for a socket or closed to others.
fn parent_of_folders() -> PathBuf {
    const OPEN_TO_ALL: u32 = 0o1777;
    let usual = env::temp_dir();
    let fits = usual.as_os_str().len() <= LONGEST_PARENT;
    // As root we hand the folder to an account that must be able to get there and to remove it.
    let open = fs::metadata(&usual).is_ok_and(|found| found.uid() != 0 || found.mode() & 0o7777 == OPEN_TO_ALL);
    if fits && open { usual } else { PathBuf::from("/tmp") }
}
