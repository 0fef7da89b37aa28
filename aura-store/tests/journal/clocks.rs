//! Clocks that are an hour off: leases are judged by the database's clock alone.

use std::{path::PathBuf, time::Duration};

use aura_testbed::PrivatePostgres;
use chrono::{TimeDelta, Utc};

use crate::{
    child::{Role, Settings},
    field::Field,
    journal::Written,
    stopped::{self, Moment},
};

/// Longer than anybody works on what was claimed at once, so that only who is stopped loses it.
const LEASE: Duration = Duration::from_secs(3);
/// How long after its end a lease may be found ended.
const NOTICED: TimeDelta = TimeDelta::seconds(3);

/// Shifts the clock of a process that loads it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|folder| folder.path());
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries
        .find(|library| library.is_file())
        .expect("no libfaketime on this machine: install Debian's package faketime")
}

/// The environment of a process whose clock is off by so much.
fn clock(off: &str) -> Vec<(String, String)> {
    let library = library().to_string_lossy().into_owned();
    // Waiting is measured by another clock, which nobody sets.
    let variables = [("LD_PRELOAD", library.as_str()), ("FAKETIME", off), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[test]
fn processes_whose_clocks_are_an_hour_off_neither_lose_a_lease_nor_overstay_it() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let environment = vec![clock("+1h"), clock("-1h")];
    let settings = Settings { lease: LEASE, work: Duration::from_millis(20), environment, ..Settings::default() };
    // Of each role one is ahead and one behind; the third worker's clock is right.
    let field = Field::new("clocks an hour off", &url, &url, [2, 2, 3], &settings);
    field.until_written(80_000);
    let off: Vec<_> = (0..field.processes.len())
        .filter(|n| field.processes[*n].orders.role == Role::Worker && field.processes[*n].orders.slot < 2)
        .collect();
    let late = stopped::stop_past_the_leases(&field, &off, Moment::BetweenTransactions);
    let (journals, database) = field.finish(&format!("{} late reports", late.len()));

    let is_off = |journal: &&Written| {
        let last = journal.lines.last();
        last.is_some_and(|line| (line.at - Utc::now()).abs() > TimeDelta::minutes(50))
    };
    assert_eq!(journals.iter().filter(is_off).count(), 6, "processes have no wrong clocks");
    assert_eq!(stopped::not_refused(&journals, &late), [], "overstayed");
    let ended = stopped::ended(&database.history);
    assert!(ended.len() >= late.len(), "{ended:?}");
    for (worker, delay) in ended {
        assert!(
            ["worker-0:", "worker-1:"].iter().any(|stopped| worker.starts_with(stopped)),
            "{worker} was not stopped"
        );
        assert!((TimeDelta::zero()..NOTICED).contains(&delay), "the end of {worker}'s lease was noticed after {delay}");
    }
}
