//! Programs that want everything, or never to end: each is over within its limit and a second, and leaves nothing alive.

use std::time::Instant;

use aura_core::evidence::RunEnd;
use aura_sandbox::{BackEnd, Limits};

use tokio::sync::Mutex;

use crate::{SECOND, behind_each, bench::Bench, kill_all_with, processes_with, python};

behind_each! {
    Bubblewrap => bubblewrap, Landlock => landlock, Unconfined => unconfined; {
        a_fork_bomb_is_over,
        a_memory_bomb_is_over,
        many_small_memory_bombs_are_over,
        a_disk_bomb_is_over,
        an_endless_loop_is_over,
        a_detached_grandchild_that_ignores_signals_is_over,
        a_process_that_stops_itself_is_over,
        the_group_stopped_by_itself_is_over,
    }
}

/// One bomb at a time: several on few processors would measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());
/// Tries, since others may load the machine at the same time.
const TRIES: u32 = 3;

/// Runs a program with two seconds, and a third in which all of it has to be dead.
async fn over(back_end: BackEnd, word: &str, program: &str) -> aura_core::TestReport {
    let _alone = ALONE.lock().await;
    let mut limits = Limits::default();
    limits.memory_bytes = 300 << 20;
    limits.processes = 60;
    limits.workspace_bytes = 32 << 20;
    limits.temporary_bytes = 8 << 20;
    let bench = Bench::behind(back_end, limits, &[]).await;
    let notes = aura_core::Sandbox::capabilities(&bench.sandbox).notes.join("\n");
    for tried in 1.. {
        let word = format!("{word}-{back_end}-{}-{tried}", std::process::id());
        let started = Instant::now();
        let report = bench.run(&python(&format!("# {word}\n{program}")).timeout(2 * SECOND)).await;
        while processes_with(&word) > 0 && started.elapsed() < 3 * SECOND {
            tokio::time::sleep(SECOND / 100).await;
        }
        let (took, alive) = (started.elapsed(), processes_with(&word));
        if alive > 0 && notes.contains("may live on") {
            // It says so itself, where no control group can be made.
            kill_all_with(&word);
        } else if took >= 3 * SECOND || alive > 0 {
            assert!(tried < TRIES, "{back_end}: {took:?}, {alive} alive");
            continue;
        }
        return report;
    }
    unreachable!("the last try returns or fails")
}

async fn a_fork_bomb_is_over(back_end: BackEnd) {
    assert_eq!(over(back_end, "fork-bomb", include_str!("fork.py")).await.end, RunEnd::TimedOut);
}

async fn a_memory_bomb_is_over(back_end: BackEnd) {
    let report = over(back_end, "memory-bomb", include_str!("memory.py")).await;
    // On a busy machine it may not get that far in its two seconds.
    assert!(!report.is_pass() && report.peak_memory.is_none_or(|peak| peak.0 <= 300), "{report:?}");
}

async fn many_small_memory_bombs_are_over(back_end: BackEnd) {
    let report = over(back_end, "memory-bombs", include_str!("memory_together.py")).await;
    assert!(report.peak_memory.is_none_or(|peak| peak.0 <= 300), "{:?}", report.peak_memory);
}

async fn a_disk_bomb_is_over(back_end: BackEnd) {
    let report = over(back_end, "disk-bomb", include_str!("disk.py")).await;
    assert!(!report.is_pass(), "{report:?}");
    // Refused by the kernel, or seen when it had grown.
    assert!(matches!(report.end, RunEnd::Finished | RunEnd::TooMuchOutput), "{report:?}");
}

async fn an_endless_loop_is_over(back_end: BackEnd) {
    assert_eq!(over(back_end, "endless", include_str!("endless.py")).await.end, RunEnd::TimedOut);
}

async fn a_detached_grandchild_that_ignores_signals_is_over(back_end: BackEnd) {
    assert!(over(back_end, "detached", include_str!("detached.py")).await.is_pass());
}

async fn a_process_that_stops_itself_is_over(back_end: BackEnd) {
    let report = over(back_end, "stops", include_str!("stops.py")).await;
    assert!(!report.is_pass() && report.end == RunEnd::TimedOut, "{report:?}");
}

async fn the_group_stopped_by_itself_is_over(back_end: BackEnd) {
    assert!(!over(back_end, "group-stops", include_str!("group_stops.py")).await.is_pass());
}
