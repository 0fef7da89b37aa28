//! A pooler in transaction mode in front of a private PostgreSQL.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    patience,
    postgres::{PrivatePostgres, make_folder, url},
};

/// Part of the socket's name; it is no port that anybody could reach.
const PORT: u16 = 6543;

/// A running pgbouncer in transaction mode; it ends when this is dropped.
#[derive(Debug)]
pub struct Pgbouncer {
    process: Child,
    folder: TempDir,
}

impl Pgbouncer {
    /// Starts one in front of `server`, with four connections for each database.
    ///
    /// # Errors
    ///
    /// When there is no pgbouncer on this machine, with the remedy, or when it does not come up; the message has its log.
    pub fn in_front_of(server: &PrivatePostgres) -> io::Result<Self> {
        let program = program()?;
        let (folder, account) = make_folder()?;
        let at = folder.path();
        let settings = format!(
            "[databases]\n* = host={} user=postgres\n[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {}\n\
             unix_socket_mode = 0777\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\nlogfile = {}\n",
            server.socket_folder().display(),
            at.display(),
            at.join("log").display(),
        );
        let file = at.join("pgbouncer.ini");
        fs::write(&file, settings)?;
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(account) = account {
            account.takes(&file)?;
            account.runs(&mut command);
        }
        let mut pooler = Self { process: command.spawn()?, folder };
        let socket = pooler.folder.path().join(format!(".s.PGSQL.{PORT}"));
        let is_up = patience::wait_until("pgbouncer to make its socket", || {
            if let Some(status) = pooler.process.try_wait()? {
                return Err(io::Error::other(format!("pgbouncer ended with {status}")));
            }
            Ok(socket.exists())
        });
        is_up.map_err(|error| io::Error::new(error.kind(), format!("{error}; its log:\n{}", pooler.log())))?;
        Ok(pooler)
    }

    /// Where to reach a database through the pooler, by its URL at the server itself.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        let named = direct.split("localhost/").nth(1).and_then(|rest| rest.split('?').next());
        let database = named.unwrap_or("postgres");
        format!("{}&port={PORT}", url::of_socket(self.folder.path(), database))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> io::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.find_map(|folder| Some(folder.join("pgbouncer")).filter(|program| program.is_file())).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "no pgbouncer on this machine: install Debian's package pgbouncer")
    })
}
