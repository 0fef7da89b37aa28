//! Real servers that tests and benches start for themselves, and that end with the process that started them.
//!
//! [`PrivatePostgres`] is a PostgreSQL of its own folder and socket, which nobody else sees:
//!
//! ```
//! let server = aura_testbed::PrivatePostgres::shared();
//! let url = server.create_database()?;
//! assert!(url.starts_with("postgres://postgres@localhost/"));
//! # std::io::Result::Ok(())
//! ```
//!
//! It is for Unix; the CPU time and the crash are read from and done by way of Linux's `/proc`.

#![cfg(unix)]

mod account;
mod patience;
mod pgbouncer;
mod postgres;
mod process_tree;
mod programs;
mod proxy;

pub use pgbouncer::Pgbouncer;
pub use postgres::{PrivatePostgres, PrivatePostgresBuilder};
pub use process_tree::ProcessTree;
pub use proxy::Proxy;
