//! What a phase cost: processor time of the server and of this process, and bytes of the write-ahead log.

use std::fs;

use sqlx::{Connection as _, PgConnection, Row as _};

/// Ticks of /proc a second, on every Linux that runs Rust.
const TICKS_PER_SECOND: f64 = 100.0;

/// The server, and a connection of our own to ask it.
pub(crate) struct Server {
    url: String,
    pid: u32,
}

/// What was used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) server_ms: f64,
    pub(crate) client_ms: f64,
    pub(crate) wal_bytes: f64,
}

impl Usage {
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            server_ms: self.server_ms - before.server_ms,
            client_ms: self.client_ms - before.client_ms,
            wal_bytes: self.wal_bytes - before.wal_bytes,
        }
    }
}

impl Server {
    pub(crate) async fn new(url: &str, pid: u32) -> Self {
        Self { url: url.to_owned(), pid }
    }

    pub(crate) async fn usage(&self) -> Usage {
        let mut connection = PgConnection::connect(&self.url).await.expect("the server answers");
        let query = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 AS bytes";
        let row = sqlx::query(query).fetch_one(&mut connection).await.expect("the server tells");
        let wal_bytes = row.try_get("bytes").expect("a number");
        let mut server_ms = cpu_ms(self.pid);
        for child in children(self.pid) {
            server_ms += own_ms(child);
        }
        Usage { server_ms, client_ms: own_ms(std::process::id()), wal_bytes }
    }
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(pid: u32, fields: std::ops::RangeInclusive<usize>) -> f64 {
    let stat = stat(pid).unwrap_or_default();
    let sum: f64 = fields.filter_map(|field| stat.get(field)?.parse::<f64>().ok()).sum();
    sum * 1000.0 / TICKS_PER_SECOND
}

/// Processor time of a process alone.
fn own_ms(pid: u32) -> f64 {
    ticks(pid, 11..=12)
}

/// Processor time of a process and of its children that have ended.
fn cpu_ms(pid: u32) -> f64 {
    ticks(pid, 11..=14)
}

fn children(pid: u32) -> Vec<u32> {
    let is_child = |child: &u32| stat(*child).is_some_and(|stat| stat.get(1) == Some(&pid.to_string()));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}
