//! Where the server keeps everything: a SQLite file of its own, or a PostgreSQL that other servers may share.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use aura_orchestra::prelude::*;
use clap::Args;
use sqlx::postgres::PgConnectOptions;

use crate::settings::{number, switch, text};

/// Options of the command line; each has an environment variable, over which it goes.
#[derive(Args, Default)]
pub(crate) struct DatabaseOptions {
    /// Where everything is kept: sqlite:PATH or postgres://USER@HOST/DATABASE; other users of this machine can read a password
    /// that stands here, so give one as DATABASE_URL
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// PostgreSQL: the schema that holds the tables [DATABASE_SCHEMA, default aura]
    #[arg(long)]
    schema: Option<String>,
    /// PostgreSQL: most connections of this server [DATABASE_CONNECTIONS, default 10]
    #[arg(long, value_name = "NUMBER")]
    connections: Option<String>,
    /// PostgreSQL: the address is a pooler in transaction mode, such as pgbouncer [DATABASE_BEHIND_POOLER]
    #[arg(long)]
    behind_pooler: bool,
    /// PostgreSQL: a direct address to LISTEN at, or off [DATABASE_LISTEN_URL]
    #[arg(long, value_name = "URL")]
    listen_url: Option<String>,
    /// PostgreSQL: a read-only copy for what people look at [DATABASE_REPLICA_URL]
    #[arg(long, value_name = "URL")]
    replica_url: Option<String>,
    /// PostgreSQL: how long histories are kept [DATABASE_RETENTION_DAYS, default for ever]
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<String>,
}

/// Which database, checked.
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// A PostgreSQL and how it is used.
pub(crate) struct Postgres {
    url: String,
    schema: String,
    connections: u32,
    behind_pooler: bool,
    listen: Option<String>,
    replica: Option<String>,
    retention: Option<Duration>,
}

/// The variables that only a PostgreSQL has a use for.
const OF_POSTGRES: [&str; 6] = [
    "DATABASE_SCHEMA",
    "DATABASE_CONNECTIONS",
    "DATABASE_BEHIND_POOLER",
    "DATABASE_LISTEN_URL",
    "DATABASE_REPLICA_URL",
    "DATABASE_RETENTION_DAYS",
];

impl DatabaseOptions {
    /// Reads and checks options and environment; an error is one line that names the variable and never its address, which may
    /// hold a password.
    pub(crate) fn read(self) -> Result<Database, String> {
        let given = self.database_url.clone().or_else(|| text("DATABASE_URL"));
        let url = given.unwrap_or_else(|| "sqlite:data/aura.db".to_owned());
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => self.postgres(url).map(Database::Postgres),
            // The scheme only: the rest may hold a password.
            Some((scheme, _)) if scheme.len() > 1 && scheme != "sqlite" => Err(format!(
                "DATABASE_URL has the scheme {scheme}: this server keeps its data in SQLite, as in sqlite:data/aura.db, or in \
                 PostgreSQL, as in postgres://user@host/database"
            )),
            _ => self.sqlite(&url).map(Database::Sqlite),
        }
    }

    /// `sqlite:PATH`, `sqlite://PATH` or a plain path.
    fn sqlite(self, url: &str) -> Result<PathBuf, String> {
        let options = [
            ("--schema", self.schema.is_some()),
            ("--connections", self.connections.is_some()),
            ("--behind-pooler", self.behind_pooler),
            ("--listen-url", self.listen_url.is_some()),
            ("--replica-url", self.replica_url.is_some()),
            ("--retention-days", self.retention_days.is_some()),
        ];
        let variables = OF_POSTGRES.map(|name| (name, text(name).is_some()));
        if let Some((name, _)) = options.into_iter().chain(variables).find(|(_, is_given)| *is_given) {
            return Err(format!(
                "{name} is for PostgreSQL, and DATABASE_URL names a SQLite file: set it to postgres://user@host/database"
            ));
        }
        let path = match url.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => url,
        };
        let path = path.split('?').next().unwrap_or_default();
        if path.is_empty() {
            return Err("DATABASE_URL names no file: it must be as in sqlite:data/aura.db".to_owned());
        }
        Ok(PathBuf::from(path))
    }

    fn postgres(self, url: String) -> Result<Postgres, String> {
        let listen = self.listen_url.or_else(|| text("DATABASE_LISTEN_URL"));
        let replica = self.replica_url.or_else(|| text("DATABASE_REPLICA_URL"));
        let addresses = [
            ("DATABASE_URL", Some(&url)),
            ("DATABASE_LISTEN_URL", listen.as_ref().filter(|url| *url != "off")),
            ("DATABASE_REPLICA_URL", replica.as_ref()),
        ];
        for (name, address) in addresses {
            if address.is_some_and(|address| PgConnectOptions::from_str(address).is_err()) {
                return Err(format!(
                    "{name} cannot be read: it must be as in postgres://user:password@host:5432/database"
                ));
            }
        }
        let connections = number("DATABASE_CONNECTIONS", self.connections, 10)?;
        if !(2..=1000).contains(&connections) {
            return Err(format!("DATABASE_CONNECTIONS is {connections}: it must be 2 to 1000"));
        }
        let days: u64 = number("DATABASE_RETENTION_DAYS", self.retention_days, 0)?;
        if days > 36_500 {
            return Err(format!(
                "DATABASE_RETENTION_DAYS is {days}: it must be at most 36500; without it nothing is dropped"
            ));
        }
        Ok(Postgres {
            url,
            schema: self.schema.or_else(|| text("DATABASE_SCHEMA")).unwrap_or_else(|| "aura".to_owned()),
            connections,
            behind_pooler: self.behind_pooler || switch("DATABASE_BEHIND_POOLER")?,
            listen,
            replica,
            retention: (days > 0).then(|| Duration::from_secs(days * 24 * 3600)),
        })
    }
}

/// An open database.
pub(crate) enum Opened {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PgStore>),
}

impl Database {
    pub(crate) async fn open(&self) -> Result<Opened, StoreError> {
        match self {
            Self::Sqlite(path) => Ok(Opened::Sqlite(Arc::new(SqliteStore::open(path).await?))),
            Self::Postgres(settings) => Ok(Opened::Postgres(Arc::new(settings.open().await?))),
        }
    }

    /// What it is, without a password.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(settings) => settings.place(),
        }
    }
}

impl Postgres {
    async fn open(&self) -> Result<PgStore, StoreError> {
        let mut builder = PgStore::builder(&self.url).schema(&self.schema).connections(self.connections);
        if self.behind_pooler {
            builder = builder.behind_pooler();
        }
        builder = match self.listen.as_deref() {
            Some("off") => builder.without_listen(),
            Some(url) => builder.listen_at(url),
            None => builder,
        };
        if let Some(url) = &self.replica {
            builder = builder.replica(url);
        }
        if let Some(keep) = self.retention {
            builder = builder.retention(keep);
        }
        builder.open().await
    }

    fn place(&self) -> String {
        let Ok(options) = PgConnectOptions::from_str(&self.url) else { return "PostgreSQL".to_owned() };
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        format!("PostgreSQL {database} at {host}, schema {}", self.schema)
    }
}

impl Opened {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as _,
            Self::Postgres(store) => Arc::clone(store) as _,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
