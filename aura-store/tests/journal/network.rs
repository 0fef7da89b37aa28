//! What networks do: notifications that never arrive, and connections that are cut half-way through a message.

use aura_testbed::{PrivatePostgres, Proxy};

use crate::{chance::Chance, child::Settings, field::Field};

fn cuts() -> u64 {
    std::env::var("AURA_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(100)
}

/// About how many messages pass before a connection is cut.
const CUT_AFTER: u64 = 200;

#[test]
fn with_every_notification_dropped_everything_still_ends() {
    let server = PrivatePostgres::shared();
    let proxy = Proxy::in_front_of(server).unwrap();
    proxy.drop_notifications();
    let url = server.create_database().unwrap();
    let field = Field::new("notifications dropped", &url, &proxy.url(&url), [1, 2, 3], &Settings::default());
    field.until_written(80_000);
    field.finish(&format!("{} notifications dropped", proxy.dropped()));
    assert!(proxy.dropped() > 0, "no notification was sent");
}

#[test]
fn connections_cut_half_way_through_a_message_lose_nothing_and_do_nothing_twice() {
    let server = PrivatePostgres::shared();
    let proxy = Proxy::in_front_of(server).unwrap();
    let url = server.create_database().unwrap();
    // From the first one on, so that opening the store is cut too.
    proxy.cut_after(CUT_AFTER, Chance::new().seed);
    let field = Field::new("connections cut", &url, &proxy.url(&url), [2, 2, 2], &Settings::default());
    field.until("connections to be cut", || proxy.cuts() >= cuts());
    proxy.cut_after(0, 0);
    field.finish(&format!(
        "{} connections cut, {} of them in the answer to a commit",
        proxy.cuts(),
        proxy.cut_commits()
    ));
}
