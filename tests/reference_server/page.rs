//! The page in headless Chromium: submit, watch the job move, read the verdict.

use std::{env, fs, path::PathBuf, time::Duration};

use crate::browser::Browser;
use crate::process::Server;

#[tokio::test]
async fn a_person_submits_on_the_page_and_sees_who_won_and_why() {
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start(folder.path()).await;
    browser.open(&server.url).await;

    browser.wait_for("#notices", "OFFLINE").await;
    browser.wait_for("#models", "employee_careful").await;
    browser.write("#prompt", "Write slugify(text): lower case, words joined by single hyphens, nothing else.").await;
    browser
        .write("#tests", "from solution import slugify\ndef test_a(): assert slugify('A, b') == 'a-b'\ndef test_b(): assert slugify(' x ') == 'x'\n")
        .await;
    browser.choose("#plan", "panel").await;
    browser.click("#submit").await;

    browser.wait_for("#events", "job.claimed").await;
    browser.wait_for("#verdict", "employee_careful").await;
    browser.wait_for("#verdict", "won with").await;
    browser.wait_for("#verdict", "2 of 2 tests passed").await;
    browser.wait_for("#prds", "slugify").await;

    let picture = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page.png");
    fs::write(&picture, browser.screenshot().await).expect("the picture is written");
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "the browser's console has errors");
    browser.stop().await;
    assert_eq!(server.stop(), Some(0), "an open page does not keep the server from stopping");
}

#[tokio::test]
async fn what_a_model_writes_is_shown_as_text_and_never_run() {
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start(folder.path()).await;
    browser.open(&server.url).await;
    let attack =
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> write add(a, b)";
    browser.write("#prompt", attack).await;
    browser.click("#submit").await;
    browser.wait_for("#prds", "onerror").await;
    browser.wait_for("#verdict", "won with").await;
    assert_ne!(browser.title().await, "owned");
    browser.stop().await;
    // Held here so that the time limit of a slow machine is the test's and not the server's.
    tokio::time::timeout(Duration::from_secs(60), async { server.stop() }).await.expect("it stops");
}
