//! `kill -9` of users, servers and workers at random.

use aura_testbed::PrivatePostgres;

use crate::{child::Settings, field::Field};

fn rounds() -> usize {
    std::env::var("AURA_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(50)
}

#[test]
fn processes_killed_at_random_lose_nothing_and_do_nothing_twice() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let mut field = Field::new("kill -9 of processes", &url, &url, [1, 2, 3], &Settings::default());
    for _ in 0..rounds() {
        let more = field.chance.within(500..7_000);
        field.until_written(more);
        let victim = field.chance.within(0..field.processes.len() as u64);
        field.replace(usize::try_from(victim).unwrap());
    }
    field.finish(&format!("{} kills", rounds()));
}
