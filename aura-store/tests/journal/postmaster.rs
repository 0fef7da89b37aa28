//! `kill -9` of the database server, or of one of its processes, under load: what it acknowledged is there afterwards, and the processes go on by themselves.

use std::time::{Duration, Instant};

use aura_testbed::PrivatePostgres;

use crate::{child::Settings, field::Field, journal::Answer};

/// How long after the server accepts connections again work may stand still.
const RECOVERY: Duration = Duration::from_secs(5);

fn kills() -> usize {
    std::env::var("AURA_POSTMASTER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3)
}

/// Whether users, the scheduler, workers and the accountant all had something acknowledged.
fn all_go_on(answers: &[Answer]) -> bool {
    let any = |is: fn(&Answer) -> bool| answers.iter().any(is);
    any(|answer| matches!(answer, Answer::Submitted { .. }))
        && any(|answer| matches!(answer, Answer::Claimed(held) if !held.is_empty()))
        && any(|answer| matches!(answer, Answer::Taken { .. }))
        && any(|answer| matches!(answer, Answer::Settled(_)))
}

#[test]
fn a_killed_server_loses_nothing_it_acknowledged_and_work_goes_on_within_five_seconds() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let url = server.create_database().unwrap();
    let settings = Settings { tasks: 6, ..Settings::default() };
    let mut field = Field::new("kill -9 of the server", &url, &url, [2, 2, 2], &settings);
    let mut longest = Duration::ZERO;
    for kill in 0..kills() {
        let more = field.chance.within(10_000..80_000);
        field.until_written(more);
        if kill % 3 == 2 {
            // One process of it: the server goes through the crash without a new start.
            server.crash().unwrap();
        } else {
            server.kill9().unwrap();
            server.start_again().unwrap();
        }
        let (again, marks) = (Instant::now(), field.marks());
        field.until("work to go on", || all_go_on(&field.answers_after(&marks)));
        longest = longest.max(again.elapsed());
    }
    field.finish(&format!("{} kills, work went on within {longest:.1?}", kills()));
    assert!(longest <= RECOVERY, "work stood still for {longest:?} after the server accepted connections again");
}
