//! Bad settings end the server with exit code 2 and one line that says what is wrong and how to mend it.

use std::{net::TcpListener, process::Command};

use crate::process::{Server, client, program};

fn refusal(settings: &[(&str, &str)]) -> String {
    let output = Command::new(program()).env_clear().envs(settings.iter().copied()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{settings:?}: {said}");
    said
}

#[test]
fn each_bad_setting_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "this is no database, whatever its name says").expect("written");
    let garbage = format!("sqlite:{}", garbage.display());
    for (settings, named) in [
        (("AURA_WORKERS", "many"), "AURA_WORKERS"),
        (("AURA_LISTEN", "everywhere"), "AURA_LISTEN"),
        (("AURA_LISTEN", "0.0.0.0:0"), "access control"),
        (("AURA_ALLOW_UNSANDBOXED", "perhaps"), "AURA_ALLOW_UNSANDBOXED"),
        (("AURA_SANDBOX", "chroot"), "AURA_SANDBOX"),
        (("AURA_SANDBOX", "none"), "AURA_ALLOW_UNSANDBOXED=1"),
        (("AURA_STALL_AFTER", "-1"), "AURA_STALL_AFTER"),
        (("AURA_DRAIN", "3601"), "AURA_DRAIN"),
        (("PROMOTE_THRESHOLD", "NaN"), "PROMOTE_THRESHOLD"),
        (("DEMOTE_THRESHOLD", "0.9"), "DEMOTE_THRESHOLD"),
        (("HR_WINDOW_DAYS", "0"), "HR_WINDOW_DAYS"),
        (("OPENAI_MODEL", ", ,"), "OPENAI_MODEL=gpt-4o-mini"),
        (("DATABASE_URL", "mysql://user:secret@host/db"), "DATABASE_URL"),
        (("DATABASE_URL", "sqlite:/proc/no/such/aura.db"), "/proc/no/such"),
        (("DATABASE_URL", garbage.as_str()), "garbage.db"),
        (("DATABASE_URL", "postgres://user:secret@host:port/db"), "DATABASE_URL"),
        (("DATABASE_SCHEMA", "elsewhere"), "DATABASE_SCHEMA"),
    ] {
        let said = refusal(&[("AURA_LISTEN", "127.0.0.1:0"), settings]);
        assert!(said.contains(named), "{settings:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn each_bad_setting_of_a_postgres_is_named_and_its_password_never() {
    // A port that nobody listens at: where the settings are right, the database is what is wrong.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    drop(taken);
    let url = format!("postgres://user:secret@127.0.0.1:{port}/aura");
    for (settings, named) in [
        (("DATABASE_CONNECTIONS", "1"), "DATABASE_CONNECTIONS"),
        (("DATABASE_RETENTION_DAYS", "long"), "DATABASE_RETENTION_DAYS"),
        (("DATABASE_BEHIND_POOLER", "perhaps"), "DATABASE_BEHIND_POOLER"),
        (("DATABASE_LISTEN_URL", "secret"), "DATABASE_LISTEN_URL"),
        (("DATABASE_REPLICA_URL", "postgres://user:secret@host:port/db"), "DATABASE_REPLICA_URL"),
        (("DATABASE_SCHEMA", "Not a name"), "Not a name"),
        (("DATABASE_SCHEMA", "aura"), "127.0.0.1"),
    ] {
        let said = refusal(&[("AURA_LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &url), settings]);
        assert!(said.contains(named), "{settings:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = refusal(&[("AURA_LISTEN", &address)]);
    assert!(said.contains(&address) && said.contains("AURA_LISTEN"), "{said}");
}

#[tokio::test]
async fn ctrl_c_stops_it_with_exit_code_0_also_while_somebody_listens() {
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start(folder.path(), &[]);
    let stream = client().get(format!("{}/events?after=0", server.url)).send().await.expect("a live stream");
    assert_eq!(server.stop(), Some(0));
    drop(stream);
}
