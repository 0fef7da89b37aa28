//! Choices to make before a private PostgreSQL starts.

use std::{io, path::PathBuf};

use super::PrivatePostgres;

/// What a [`PrivatePostgres`] is started with; made by [`PrivatePostgres::builder`].
#[derive(Clone, Debug)]
pub struct PrivatePostgresBuilder {
    durability: Durability,
    is_seasoned: bool,
    settings: Vec<(String, String)>,
    /// Where the socket is of the server that it follows; empty for a server of its own.
    primary: PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Durability {
    /// What was committed is on the disk.
    Full,
    /// A crash of the server may lose or break everything: the tests are over then.
    None,
}

impl PrivatePostgresBuilder {
    pub(super) fn new() -> Self {
        let settings = [("max_connections", "300"), ("shared_buffers", "128MB")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { durability: Durability::None, is_seasoned: false, settings, primary: PathBuf::new() }
    }

    /// Keeps every committed row through a crash, as PostgreSQL does when nobody tells it otherwise.
    ///
    /// Default: `fsync`, `synchronous_commit` and `full_page_writes` are off, which makes tests quick.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durability = Durability::Full;
        self
    }

    /// Gives it the log files that a server has which was at work for a while: it uses old ones again, for 2 GB of log. A new
    /// server makes a file for each 16 MB of log, and everybody who commits waits for that; a bench would measure it.
    ///
    /// Default: a new server.
    #[must_use]
    pub fn seasoned(mut self) -> Self {
        self.is_seasoned = true;
        self.setting("min_wal_size", "2GB").setting("max_wal_size", "4GB")
    }

    /// Makes it a copy of `primary` that follows it and takes reads only. Settings like `max_connections` must be at least those
    /// of the primary.
    #[must_use]
    pub fn standby_of(mut self, primary: &PrivatePostgres) -> Self {
        primary.socket_folder().clone_into(&mut self.primary);
        self
    }

    /// One setting of `postgresql.conf`; the last one of a name holds.
    ///
    /// Default: `max_connections` 300, `shared_buffers` 128MB, the rest as PostgreSQL has it.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Makes the server's folder, starts the server and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// When the machine has no PostgreSQL (the message says what to do), or when the server does not come up
    /// within a minute (the message has its log).
    pub fn start(self) -> io::Result<PrivatePostgres> {
        let server = PrivatePostgres::start(&self.primary, &self.options())?;
        if self.is_seasoned {
            server.write_log()?;
        }
        Ok(server)
    }

    /// As options on the command line of `postgres`.
    fn options(&self) -> Vec<String> {
        let switch = match self.durability {
            Durability::Full => "on",
            Durability::None => "off",
        };
        let durability = ["fsync", "synchronous_commit", "full_page_writes"].map(|name| (name, switch));
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        durability.into_iter().chain(settings).map(|(name, value)| format!("--{name}={value}")).collect()
    }
}
