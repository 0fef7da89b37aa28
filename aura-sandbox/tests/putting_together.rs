//! Puts work into workspaces: what gets in, what is refused, and that a refusal writes nothing.

mod bench;

use std::fs;

use aura_core::{Isolation, JobId, Sandbox, SandboxError, SourceFile, Submission};
use aura_sandbox::{BackEnd, Limits, LocalSandbox};
use bench::{Bench, everywhere, sh};

const GOOD: (&str, &str) = ("good.py", "x = 1\n");

fn hostile(result: &Result<(), SandboxError>) -> bool {
    matches!(result, Err(SandboxError::Hostile(_)))
}

fn refused(result: &Result<(), SandboxError>) -> bool {
    matches!(result, Err(SandboxError::Refused(_)))
}

const BASE: &[(&str, &str)] = &[("a.py", "one\ntwo\n"), ("pkg/b.py", "b\n")];

async fn with_base() -> Bench {
    Bench::with(Limits::default(), BASE).await
}

/// Workspaces as each back end makes them, once tests were run in them: from then on they may belong to another user.
async fn with_base_everywhere(base: &[(&str, &str)]) -> Vec<Bench> {
    let mut all = Vec::new();
    for back_end in everywhere() {
        let bench = Bench::behind(back_end, Limits::default(), base).await;
        assert!(bench.run(&sh("exit 0")).await.is_pass(), "{back_end}");
        all.push(bench);
    }
    all
}

#[tokio::test]
async fn d01_a_path_that_leaves_refuses_the_whole_work_and_writes_nothing() {
    for bench in with_base_everywhere(BASE).await {
        let before = bench.list();
        let paths = [
            "../x",
            "/tmp/x",
            "C:\\x",
            "C:/x",
            "a\\x",
            "x\0y",
            "x.",
            "x./y",
            "a//y",
            "..",
            "a/../../x",
            ".git/hooks/x",
            "x/",
        ];
        for path in paths {
            let result = bench.apply(&[GOOD, (path, "x"), ("after.py", "x")]).await;
            assert!(hostile(&result), "{path:?}: {result:?}");
            let patch = format!("--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+x\n");
            let work =
                Submission { files: vec![SourceFile::new(GOOD.0, GOOD.1)], patches: vec![patch], docs: String::new() };
            let result = bench.sandbox.apply(&bench.workspace, &work).await;
            assert!(hostile(&result), "{path:?}: {result:?}");
            assert_eq!(bench.list(), before);
        }
        assert!(!bench.workspace.root.parent().unwrap().join("x").exists());
    }
}

#[tokio::test]
async fn an_attack_outranks_a_mistake_wherever_it_stands() {
    let bench = with_base().await;
    assert!(hostile(&bench.apply(&[("", "x"), ("../x", "x")]).await));
    assert!(hostile(&bench.patch(&["not a patch", "--- ../x\n+++ ../x\n@@ -1 +1 @@\n-a\n+b\n"]).await));
}

#[tokio::test]
async fn d02_a_link_out_of_the_workspace_is_refused_and_never_written_through() {
    for bench in with_base_everywhere(BASE).await {
        let link = "diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+../..\n\\ No newline \
            at end of file\n";
        assert!(hostile(&bench.patch(&[link]).await));
        assert!(hostile(&bench.patch(&[link, "--- /dev/null\n+++ b/out/x\n@@ -0,0 +1 @@\n+x\n"]).await));
        assert_eq!(bench.list(), ["a.py", "pkg", "pkg/b.py"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn d02_links_that_are_there_already_are_not_followed() {
    for bench in with_base_everywhere(BASE).await {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret\n").unwrap();
        std::os::unix::fs::symlink(outside.path(), bench.path("dir")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), bench.path("file")).unwrap();
        for path in ["dir/new", "dir/secret", "file"] {
            assert!(hostile(&bench.apply(&[(path, "x")]).await), "{path}");
            let patch = format!("--- {path}\n+++ {path}\n@@ -1 +1 @@\n-secret\n+x\n");
            assert!(hostile(&bench.patch(&[&patch]).await), "{path}");
        }
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret\n");
        assert!(!outside.path().join("new").exists());
        let snapshot = bench.sandbox.snapshot(&bench.workspace).await.unwrap();
        assert_eq!(snapshot.files, 2);
    }
}

#[tokio::test]
async fn d03_files_that_steer_tests_are_hostile_whole_or_as_a_patch() {
    for bench in with_base_everywhere(&[("conftest.py", "a\n"), ("pyproject.toml", "[tool.pytest]\n")]).await {
        for path in [
            "conftest.py",
            "sub/conftest.py",
            "sitecustomize.py",
            "usercustomize.py",
            "x.pth",
            "pytest.ini",
            "pytest.py",
            "build.rs",
            ".cargo/config.toml",
            ".github/workflows/ci.yml",
            ".gitlab-ci.yml",
        ] {
            assert!(hostile(&bench.apply(&[GOOD, (path, "a\n")]).await), "{path}");
            let patch = format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n");
            assert!(hostile(&bench.patch(&[&patch]).await), "{path}");
        }
        // A configuration of the user's that steers may not be swapped for one that does not.
        assert!(hostile(&bench.apply(&[("pyproject.toml", "[project]\n")]).await));
        assert!(hostile(&bench.patch(&["--- a/pyproject.toml\n+++ /dev/null\n@@ -1 +0,0 @@\n-[tool.pytest]\n"]).await));
        assert_eq!(bench.list(), ["conftest.py", "pyproject.toml"]);
    }
}

#[tokio::test]
async fn d04_too_much_of_anything_is_refused_at_once() {
    for bench in with_base_everywhere(BASE).await {
        let hunks = format!("--- a.py\n+++ a.py\n{}", "@@ -1 +1 @@\n-a\n+b\n".repeat(1_000_000));
        assert!(refused(&bench.patch(&[&hunks]).await));
        let counts = "--- a.py\n+++ a.py\n@@ -1,18446744073709551615 +1,18446744073709551615 @@\n-one\n+b\n";
        assert!(refused(&bench.patch(&[counts]).await));
        let large = "x".repeat(9 << 20);
        assert!(refused(&bench.apply(&[("x", &large)]).await));
        let many: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "")).collect();
        assert!(refused(&bench.apply(&many).await));
        // Each patch is small, but copies of copies grow: the bound holds for their sum.
        let mut copies = vec![format!("--- /dev/null\n+++ b/c0\n@@ -0,0 +1 @@\n+{}\n", "x".repeat(900_000))];
        copies.extend((1..20).map(|n| format!("diff --git a/c0 b/c{n}\ncopy from c0\ncopy to c{n}\n")));
        let copies: Vec<&str> = copies.iter().map(String::as_str).collect();
        assert!(refused(&bench.patch(&copies).await));
        let setuid = "diff --git a/x b/x\nnew file mode 104755\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n";
        assert!(hostile(&bench.patch(&[setuid]).await));
        assert_eq!(bench.list(), ["a.py", "pkg", "pkg/b.py"]);
    }
}

#[tokio::test]
async fn files_then_patches_are_put_on_top_of_the_base() {
    let bench = with_base().await;
    let work = Submission {
        files: vec![SourceFile::new("new/c.py", "three\n")],
        patches: vec![
            "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n--- a/new/c.py\n+++ b/new/c.py\n@@ -1 +1,2 @@\n \
             three\n+four\n"
                .to_owned(),
            "--- a/a.py\n+++ b/a.py\n@@ -2 +2 @@\n-2\n+II\n".to_owned(),
            "diff --git a/pkg/b.py b/d.py\nrename from pkg/b.py\nrename to d.py\n".to_owned(),
        ],
        docs: String::new(),
    };
    bench.sandbox.apply(&bench.workspace, &work).await.unwrap();
    assert_eq!(bench.list(), ["a.py", "d.py", "new", "new/c.py", "pkg"]);
    assert_eq!((bench.read("a.py"), bench.read("new/c.py")), ("one\nII\n".into(), "three\nfour\n".into()));
}

#[tokio::test]
async fn one_hunk_that_does_not_fit_refuses_all_files_and_patches() {
    let bench = with_base().await;
    let before = bench.list();
    let work = Submission {
        files: vec![SourceFile::new("new.py", "x")],
        patches: vec![
            "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-one\n+1\n--- a/pkg/b.py\n+++ b/pkg/b.py\n@@ -1 +1 @@\n-c\n+d\n"
                .to_owned(),
        ],
        docs: String::new(),
    };
    let error = bench.sandbox.apply(&bench.workspace, &work).await.unwrap_err().to_string();
    assert!(error.contains("file 2: hunk 1 does not fit"), "{error}");
    assert_eq!((bench.list(), bench.read("a.py")), (before, "one\ntwo\n".to_owned()));
}

#[tokio::test]
async fn work_that_makes_a_file_both_file_and_folder_is_refused() {
    let bench = with_base().await;
    for work in [[("x", "1"), ("x/y", "2")], [GOOD, ("a.py/y", "2")], [GOOD, ("pkg", "2")]] {
        let result = bench.apply(&work).await;
        assert!(matches!(result, Err(SandboxError::Refused(_) | SandboxError::Hostile(_))), "{work:?}: {result:?}");
        assert_eq!(bench.list(), ["a.py", "pkg", "pkg/b.py"]);
    }
}

#[tokio::test]
async fn a_base_that_leaves_the_workspace_is_refused_and_leaves_no_folder() {
    let sandbox = unconfined();
    let there = || fs::read_dir(sandbox.root()).unwrap().count();
    let before = there();
    let error = sandbox.prepare(JobId::new(), 1, &[SourceFile::new("../x", "x")]).await.unwrap_err();
    assert!(matches!(error, SandboxError::Refused(_)), "{error}");
    assert_eq!(there(), before);
}

#[tokio::test]
async fn every_workspace_is_fresh_and_gone_when_discarded() {
    let sandbox = unconfined();
    let job = JobId::new();
    let one = sandbox.prepare(job, 1, &[SourceFile::new("a", "1")]).await.unwrap();
    let two = sandbox.prepare(job, 1, &[]).await.unwrap();
    assert_ne!(one.root, two.root);
    assert_eq!(fs::read_dir(&two.root).unwrap().count(), 0);
    sandbox.discard(one.clone()).await.unwrap();
    assert!(!one.root.exists() && two.root.exists());
    assert!(matches!(sandbox.snapshot(&one).await, Err(SandboxError::Unavailable(_))));
    let root = sandbox.root().to_path_buf();
    drop(sandbox);
    assert!(!root.exists());
}

#[tokio::test]
async fn a_folder_of_somebody_elses_is_never_touched() {
    let bench = with_base().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("keep"), "x").unwrap();
    let mut foreign = bench.workspace.clone();
    foreign.root = outside.path().to_path_buf();
    assert!(bench.sandbox.apply(&foreign, &Submission::default()).await.is_err());
    assert!(bench.sandbox.discard(foreign).await.is_err());
    assert!(outside.path().join("keep").exists());
}

#[tokio::test]
async fn a_given_root_stays_and_its_workspaces_go() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = LocalSandbox::builder()
        .back_ends([BackEnd::Unconfined])
        .root(outside.path().join("deep/root"))
        .build()
        .unwrap();
    let workspace = sandbox.prepare(JobId::new(), 1, &[]).await.unwrap();
    assert!(workspace.root.exists());
    drop(sandbox);
    assert!(!workspace.root.exists() && outside.path().join("deep/root").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_plain_and_the_root_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let bench = with_base().await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let exec = "diff --git a/run b/run\nnew file mode 100755\n--- /dev/null\n+++ b/run\n@@ -0,0 +1 @@\n+x\n";
    bench.patch(&[exec]).await.unwrap();
    assert_eq!(mode(&bench.path("a.py")), 0o644);
    assert_eq!(mode(&bench.path("run")), 0o644);
    assert_eq!(mode(&bench.path("pkg")), 0o755);
    assert_eq!(mode(bench.sandbox.root()), 0o700);
    assert_eq!(mode(bench.workspace.root.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn the_same_content_gives_the_same_snapshot_byte_for_byte() {
    let (one, two) = (Bench::new().await, Bench::new().await);
    one.apply(&[("a", "1"), ("b/c", "2")]).await.unwrap();
    two.apply(&[("b/c", "2")]).await.unwrap();
    two.apply(&[("a", "1"), ("target/x", "x"), ("b/.pytest_cache/x", "x")]).await.unwrap();
    fs::create_dir(two.path("__pycache__")).unwrap();
    fs::write(two.path("__pycache__/x"), "x").unwrap();
    let (first, second) = (one.sandbox.snapshot(&one.workspace), two.sandbox.snapshot(&two.workspace));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first, second);
    assert_eq!((first.files, first.content_hash.len()), (2, 64));
    // Moving bytes from a name into a content makes another hash.
    two.apply(&[("a", "12"), ("b/c", "")]).await.unwrap();
    assert_ne!(two.sandbox.snapshot(&two.workspace).await.unwrap().content_hash, first.content_hash);
    let mut names = Vec::new();
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(first.archive.as_slice())).entries().unwrap() {
        names.push(entry.unwrap().path().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(names, ["a", "b/c"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_snapshot_after_hostile_tests_follows_no_link_and_stays_bounded() {
    let mut limits = Limits::default();
    limits.snapshot_bytes = 1 << 20;
    let bench = Bench::with(limits, &[]).await;
    let ran = bench.run(&bench::sh("ln -s /etc/passwd p; ln -s / root; mkfifo pipe; echo x > plain")).await;
    assert!(ran.is_pass(), "{ran:?}");
    assert_eq!(bench.sandbox.snapshot(&bench.workspace).await.unwrap().files, 1);
    bench.run(&bench::sh("head -c 2000000 /dev/zero > big")).await;
    assert!(matches!(bench.sandbox.snapshot(&bench.workspace).await, Err(SandboxError::Refused(_))));
    bench.run(&bench::sh("rm big; i=0; while [ $i -lt 300 ]; do mkdir d && cd d; i=$((i+1)); done; chmod 0 .")).await;
    assert!(bench.sandbox.snapshot(&bench.workspace).await.is_err());
    let root = bench.workspace.root.clone();
    bench.sandbox.discard(bench.workspace.clone()).await.unwrap();
    assert!(!root.exists());
}

#[test]
fn the_sandbox_says_that_it_isolates_nothing() {
    let capabilities = unconfined().capabilities();
    assert_eq!(capabilities.isolation, Isolation::None);
    let notes = capabilities.notes.join("\n");
    assert!(notes.contains("no isolation"), "{notes}");
}

#[expect(clippy::unwrap_used, reason = "it always works")]
fn unconfined() -> LocalSandbox {
    LocalSandbox::builder().back_ends([BackEnd::Unconfined]).build().unwrap()
}
