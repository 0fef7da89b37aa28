//! Opening the database: its connections, with what PostgreSQL is asked to promise.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use aura_core::{Clock, StoreError};
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Core, PgStore, durable::Disk, error::opening, jobs::Joins, listen::NewsDesk, schema, upkeep};

/// How long a call waits for a connection before it gives up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a transaction may wait for its own node: one that was stopped, or cut off, must not keep the end of the audit log
/// from the others.
const SILENCE: Duration = Duration::from_secs(5);
/// How long one statement may take.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of a [`PgStore`].
#[derive(Clone)]
pub struct PgStoreBuilder {
    url: String,
    replica: Option<String>,
    listen: Listen,
    schema: String,
    connections: u32,
    pooled: bool,
    retention: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
}

/// How a node hears what the others did.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listen {
    /// By LISTEN where the store is.
    Here,
    /// By LISTEN at this address.
    At(String),
    /// By polling alone.
    Off,
}

/// Without addresses, which may hold passwords.
impl fmt::Debug for PgStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStoreBuilder")
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("pooled", &self.pooled)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl PgStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            replica: None,
            listen: Listen::Here,
            schema: "aura".to_owned(),
            connections: 10,
            pooled: false,
            retention: None,
            clock: None,
        }
    }

    /// The schema that holds the tables (default `aura`): lower-case letters, digits and `_`. It is made when it is missing.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Most connections to the database (default 10, at least 2); one more listens.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(2);
        self
    }

    /// A read-only copy that serves what users look at: lists of PRDs, histories, alerts, HR's decisions. It may lag.
    #[must_use]
    pub fn replica(mut self, url: &str) -> Self {
        self.replica = Some(url.to_owned());
        self
    }

    /// Says that the address is a pooler in transaction mode, such as pgbouncer: no prepared statement and no setting is kept
    /// on a connection. LISTEN cannot work through it: give [`listen_at`](Self::listen_at) a direct address, or other nodes'
    /// news are found by polling alone.
    #[must_use]
    pub fn behind_pooler(mut self) -> Self {
        self.pooled = true;
        if self.listen == Listen::Here {
            self.listen = Listen::Off;
        }
        self
    }

    /// Where to LISTEN, when it is another address than the store's.
    #[must_use]
    pub fn listen_at(mut self, url: &str) -> Self {
        self.listen = Listen::At(url.to_owned());
        self
    }

    /// Finds other nodes' news by polling alone.
    #[must_use]
    pub fn without_listen(mut self) -> Self {
        self.listen = Listen::Off;
        self
    }

    /// How long histories (`audit_log`, and `job_events`, which shows it by job) are kept, in whole months (default: for ever). Months that have ended
    /// longer ago are dropped.
    #[must_use]
    pub fn retention(mut self, keep: Duration) -> Self {
        self.retention = Some(keep);
        self
    }

    /// Judges leases by this clock in place of the database's; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Connects, makes the tables or brings them up to date, and begins to listen.
    ///
    /// # Errors
    /// As [`PgStore::open`].
    pub async fn open(self) -> Result<PgStore, StoreError> {
        self.check_schema()?;
        let options = self.options(&self.url)?;
        let place = place(&options);
        let fail = opening(&place);
        // The pool would try a server that refuses again and again until its time is over; the first answer says why.
        PgConnection::connect_with(&options).await.map_err(&fail)?.close().await.map_err(&fail)?;
        let primary = pool(self.connections).connect_with(options).await.map_err(&fail)?;
        schema::bring_up_to_date(&primary, &self.schema, &place, &self.begin()).await?;
        let replica = match &self.replica {
            Some(url) => {
                let options = self.options(url)?;
                let fail = opening(&place);
                pool(self.connections).connect_with(options).await.map_err(fail)?
            }
            None => primary.clone(),
        };
        let listen = match &self.listen {
            Listen::Off => None,
            Listen::Here => Some(self.options(&self.url)?),
            Listen::At(url) => Some(self.options(url)?),
        };
        let core = Arc::new(Core {
            disk: Arc::new(Disk::new(&primary, &self.schema)),
            // By old statistics no job is in a state in which thousands are now: a plan that counts on them joins two long lists
            // line by line. A plan for values that it does not see goes through the list it is given, and looks each up.
            begin_write: format!("{}; SET LOCAL plan_cache_mode TO force_generic_plan", self.begin()),
            begin: self.begin(),
            place: place.clone(),
            pool: primary,
            replica,
            pooled: self.pooled,
            news: Arc::new(NewsDesk::new(&self.schema, listen.is_some())),
            term: None,
            schema: self.schema,
            clock: self.clock,
            retention: self.retention,
            names: Arc::default(),
            frontier: Arc::default(),
            marks: Arc::default(),
        });
        core.keep_months().await;
        core.news.start(&core, listen);
        upkeep::start(&core);
        Ok(PgStore { joins: Arc::new(Joins::new(&core)), core })
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let mut chars = self.schema.chars();
        let starts_well = chars.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_');
        if starts_well
            && self.schema.len() <= 50
            && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return Ok(());
        }
        let reason = "is no schema name: use 1 to 50 lower-case letters, digits or _, the first one no digit";
        Err(StoreError::conflict("schema", format!("{:?}", self.schema), reason))
    }

    /// What each connection is asked for. Engines ask for a few rows by an index each time; a plan that was made while a table
    /// was small, or by old statistics, must not read a whole table once it is large.
    fn settings(&self) -> [(&'static str, String); 8] {
        [
            // What the verbs keep beside the rows of jobs, no trigger needs to keep for them.
            ("aura.verb", "on".to_owned()),
            ("search_path", self.schema.clone()),
            // Whatever the database's default is: a verb that has waited for a lock goes by what is true then, and a read-only copy
            // refuses anything stricter than REPEATABLE READ.
            ("default_transaction_isolation", "read committed".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            // Lists name each thing once, nearly always: what was looked up for one line is not worth remembering for the next.
            ("enable_memoize", "off".to_owned()),
            ("jit", "off".to_owned()),
            ("statement_timeout", STATEMENT_TIMEOUT.as_millis().to_string()),
            ("idle_in_transaction_session_timeout", SILENCE.as_millis().to_string()),
        ]
    }

    fn begin(&self) -> String {
        let mut begin = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
        if !self.pooled {
            return begin;
        }
        for (name, value) in self.settings() {
            begin.push_str(&format!("; SET LOCAL {name} TO '{value}'"));
        }
        begin
    }

    fn options(&self, url: &str) -> Result<PgConnectOptions, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Unavailable {
            // The text of the error may repeat the address, and with it the password.
            message: "the database's address cannot be read: postgres://user:password@host:port/database is expected"
                .to_owned(),
            source: match error {
                sqlx::Error::Configuration(_) => None,
                other => Some(Box::new(other)),
            },
        })?;
        let options = options.application_name("aura").statement_cache_capacity(256);
        Ok(if self.pooled {
            // A pooler refuses settings in the greeting that it does not know.
            options.statement_cache_capacity(0).extra_float_digits(None)
        } else {
            options.options(self.settings())
        })
    }
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
}

/// Where a database is, without its password.
fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("{} at {host}", options.get_database().unwrap_or(options.get_username()))
}
