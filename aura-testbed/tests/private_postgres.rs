//! A private PostgreSQL comes up, keeps its databases apart, survives a crash, and goes when its owner goes.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use aura_testbed::PrivatePostgres;

/// The rows, without a header; the client `psql` is the one along `PATH`.
fn sql(url: &str, statement: &str) -> Result<String, String> {
    let output = Command::new("psql").args(["-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", statement, url]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_databases_of_one_server_do_not_see_each_other() {
    let server = PrivatePostgres::shared();
    let (one, other) = (server.create_database().unwrap(), server.create_database().unwrap());
    assert_ne!(one, other);
    sql(&one, "CREATE TABLE t (n int)").unwrap();
    assert!(sql(&other, "SELECT * FROM t").unwrap_err().contains("does not exist"));
    assert_eq!(sql(&one, "SELECT count(*) FROM t").unwrap(), "0");
}

#[test]
fn many_databases_can_be_made_at_once() {
    let server = PrivatePostgres::shared();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| server.create_database().unwrap());
        }
    });
}

#[test]
fn the_server_is_quick_unless_asked_to_be_durable() {
    let url = PrivatePostgres::shared().url("postgres");
    assert_eq!(sql(&url, "SHOW fsync").unwrap(), "off");
    assert_eq!(sql(&url, "SHOW max_connections").unwrap(), "300");
    assert_eq!(sql(&url, "SHOW listen_addresses").unwrap(), "");
    assert_eq!(sql(&url, "SHOW server_encoding").unwrap(), "UTF8");
}

#[test]
fn a_durable_server_keeps_committed_rows_through_a_crash() {
    let server = PrivatePostgres::builder().durable().setting("max_connections", "20").start().unwrap();
    let url = server.create_database().unwrap();
    assert_eq!(sql(&url, "SHOW fsync").unwrap(), "on");
    assert_eq!(sql(&url, "SHOW max_connections").unwrap(), "20");
    sql(&url, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n").unwrap();
    let before = server.pid();
    server.start_again().unwrap_err();

    server.kill9().unwrap();
    assert!(sql(&url, "SELECT 1").is_err());
    server.start_again().unwrap();

    assert_ne!(server.pid(), before);
    assert_eq!(sql(&url, "SELECT count(*) FROM t").unwrap(), "1000");
    server.create_database().unwrap();
}

#[test]
fn work_shows_in_the_cpu_time() {
    let server = PrivatePostgres::builder().start().unwrap();
    let before = server.cpu_time().unwrap();
    sql(&server.url("postgres"), "SELECT sum(n) FROM generate_series(1, 1000000) AS n").unwrap();
    let used = server.cpu_time().unwrap() - before;
    assert!(used > Duration::from_millis(50), "{used:?}");
}

#[test]
fn a_bad_setting_is_told_with_the_servers_own_words() {
    let error = PrivatePostgres::builder().setting("shared_buffers", "a lot").start().unwrap_err().to_string();
    assert!(error.contains("shared_buffers") && error.contains("its log"), "{error}");
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let server = PrivatePostgres::builder().start().unwrap();
    let (pid, folder) = (server.pid(), server.socket_folder().to_owned());
    server.stop().unwrap();
    server.stop().unwrap();
    server.start_again().unwrap_err();
    assert!(!folder.exists() && !is_running(pid));
    drop(server);

    let server = PrivatePostgres::builder().start().unwrap();
    let (pid, folder) = (server.pid(), server.socket_folder().to_owned());
    drop(server);
    assert!(!folder.exists() && !is_running(pid));
}

#[test]
fn the_server_ends_when_its_owner_is_killed() {
    let (mut owner, pid, folder) = owner();
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the server outlived its owner", || !is_running(pid) && !folder.exists());
}

#[test]
fn the_server_ends_when_its_owner_ends() {
    let (mut owner, pid, folder) = owner();
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    assert!(!is_running(pid) && !folder.exists());
}

/// The program `private-postgres` with a server running, that server's process id and folder.
fn owner() -> (Child, u32, PathBuf) {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_private-postgres"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let (url, pid) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap().parse().unwrap());
    let folder = url.split_once("host=").unwrap().1.split('&').next().unwrap();
    assert!(is_running(pid) && Path::new(folder).exists());
    (owner, pid, PathBuf::from(folder))
}

fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
