//! The HTTP door answers while sandboxes are at work beside it: fifty at once, and programs that want everything.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod bombs;
mod fifty;
#[path = "../raw_http/mod.rs"]
#[expect(dead_code, reason = "other tests look at more of an answer")]
mod raw_http;

use std::{cell::Cell, fs, time::Duration};

use aura_orchestra::{http::HttpOptions, prelude::*};
use raw_http::{House, PATIENCE};

/// A door with nobody at work behind it.
async fn house() -> House {
    House::open(aura_orchestra::builder().store(MemoryStore::new()).workers(0), HttpOptions::default()).await
}

/// Does the work while the door is asked without a pause; every answer has to be a good one, and there has to be one.
async fn while_the_door_answers<T>(house: &House, work: impl Future<Output = T>) -> T {
    let answers = Cell::new(0_u64);
    let asking = async {
        loop {
            for path in ["/readyz", "/jobs"] {
                house.get(path).await.accepted(200);
                answers.set(answers.get() + 1);
            }
        }
    };
    let done = tokio::select! { done = work => done, () = asking => unreachable!("it asks for ever") };
    assert!(answers.get() > 0, "the door did not answer once");
    done
}

/// Returns once no process is left that has this word among its arguments; fails when one lives on.
async fn nothing_is_left_of(word: &str) {
    let gone = async {
        while !with_word(word).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let within = tokio::time::timeout(PATIENCE, gone).await;
    assert!(within.is_ok(), "still alive: {:?}", with_word(word));
}

/// The processes with this word among their arguments, without dead ones that nobody has waited for.
fn with_word(word: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("there are processes").flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let read = |number: u32, name: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{number}/{name}")).unwrap_or_default()).into_owned()
    };
    let lives = |number: u32| read(number, "stat").rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
    numbers.filter(|number| read(*number, "cmdline").contains(word) && lives(*number)).collect()
}

/// Puts the work into a workspace of its own, runs the suite on it, and removes it.
async fn tested(sandbox: &LocalSandbox, work: &[SourceFile], suite: &TestSuite) -> TestReport {
    let workspace = sandbox.prepare(JobId::new(), 1, &[]).await.expect("a workspace");
    let work = Submission { files: work.to_vec(), ..Submission::default() };
    sandbox.apply(&workspace, &work).await.expect("the work is taken");
    let report = sandbox.run_tests(&workspace, suite).await.expect("the tests run");
    sandbox.discard(workspace).await.expect("removed");
    report
}

const SECOND: Duration = Duration::from_secs(1);
