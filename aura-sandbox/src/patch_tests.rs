//! What a patch may and may not do.

use proptest::prelude::*;

use super::*;

fn parse(patch: &str) -> Result<Vec<FileChange>, SandboxError> {
    PatchText::new(patch, 1).parse(256)
}

fn apply(original: &str, patch: &str) -> Result<String, SandboxError> {
    parse(patch)?.first().expect("a file").apply(original, 1 << 20)
}

fn refusal(result: Result<impl std::fmt::Debug, SandboxError>) -> String {
    match result {
        Err(SandboxError::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn hostile(patch: &str) -> String {
    match parse(patch) {
        Err(SandboxError::Hostile(reason)) => reason,
        other => panic!("not hostile: {patch:?}: {other:?}"),
    }
}

const SIMPLE: &str = "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";

#[test]
fn a_hunk_that_fits_is_applied() {
    assert_eq!(apply("one\ntwo\nthree\nfour\n", SIMPLE).unwrap(), "one\n2\nthree\nfour\n");
}

#[test]
fn a_hunk_that_stands_elsewhere_is_refused_with_file_and_hunk() {
    let reason = refusal(apply("zero\none\ntwo\nthree\n", SIMPLE));
    assert!(reason.contains("patch 1, file 1: hunk 1 does not fit"), "{reason}");
    assert!(reason.contains("line 1 is \"zero\\n\", not \"one\\n\""), "{reason}");
    assert!(refusal(apply("", SIMPLE)).contains("the file's end"));
}

#[test]
fn two_hunks_each_fit_at_their_own_place() {
    let patch = "--- x\n+++ x\n@@ -1,2 +1,1 @@\n a\n-b\n@@ -4,0 +4,1 @@\n+e\n";
    assert_eq!(apply("a\nb\nc\nd\n", patch).unwrap(), "a\nc\nd\ne\n");
}

#[test]
fn git_patches_create_delete_and_rename() {
    let patch = "diff --git a/new.py b/new.py\nnew file mode 100644\nindex 0000000..1111111\n--- /dev/null\n+++ b/new.py\n\
        @@ -0,0 +1,1 @@\n+x = 1\ndiff --git a/old.py b/old.py\ndeleted file mode 100644\nindex 1111111..0000000\n--- \
        a/old.py\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-gone\ndiff --git a/p.py b/q.py\nsimilarity index 100%\nrename from \
        p.py\nrename to q.py\n";
    let changes = parse(patch).unwrap();
    assert!(matches!(&changes[0].operation, Operation::Create(path) if path.as_str() == "new.py"));
    assert!(matches!(&changes[1].operation, Operation::Delete(path) if path.as_str() == "old.py"));
    assert!(
        matches!(&changes[2].operation, Operation::Rename { from, to } if from.as_str() == "p.py" && to.as_str() == "q.py")
    );
}

#[test]
fn paths_that_leave_the_workspace_are_hostile() {
    let names = [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "C:/x",
        "a\\b",
        "x.",
        "x/",
        "\"a\\000b\"",
        "\"..\\\\x\"",
        "b//x",
        ".git/config",
    ];
    for name in names {
        hostile(&format!("--- {name}\n+++ {name}\n@@ -1 +1 @@\n-a\n+b\n"));
        hostile(&format!("--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+b\n"));
        hostile(&format!("diff --git a/x b/x\nsimilarity index 100%\nrename from x\nrename to {name}\n"));
    }
    hostile("--- a/../../x\n+++ b/../../x\n@@ -1 +1 @@\n-a\n+b\n");
    // A good file before a hostile one does not help.
    hostile(&format!("{SIMPLE}--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n"));
}

#[test]
fn links_modules_and_special_modes_are_hostile() {
    for mode in ["120000", "160000", "104755", "100777", "040000", "777", ""] {
        hostile(&format!("diff --git a/x b/x\nnew file mode {mode}\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n"));
        hostile(&format!("diff --git a/x b/x\nold mode 100644\nnew mode {mode}\n"));
    }
    hostile("diff --git a/x b/x\nindex 1111111..2222222 120000\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n");
}

#[test]
fn files_that_steer_tests_are_hostile() {
    for name in ["conftest.py", "sub/sitecustomize.py", "pytest.ini", ".cargo/config.toml", "build.rs", ".github/w.yml"]
    {
        hostile(&format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n"));
        hostile(&format!("--- a/{name}\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"));
    }
}

#[test]
fn huge_counts_are_refused_at_once() {
    for count in ["18446744073709551615", "9223372036854775807", "99999999999999999999999", "4294967296"] {
        for range in [format!("-1,{count} +1,1"), format!("-{count},1 +1,1"), format!("-1,1 +{count},{count}")] {
            refusal(apply("a\n", &format!("--- x\n+++ x\n@@ {range} @@\n-a\n+b\n")));
        }
    }
}

#[test]
fn a_million_hunks_are_refused_at_once() {
    let patch = format!("--- x\n+++ x\n{}", "@@ -1 +1 @@\n-a\n+b\n".repeat(1_000_000));
    let started = std::time::Instant::now();
    refusal(parse(&patch));
    assert!(started.elapsed().as_secs() < 1, "{:?}", started.elapsed());
}

#[test]
fn a_git_line_of_spaces_takes_no_time() {
    let started = std::time::Instant::now();
    refusal(parse(&format!("diff --git {}\nold mode 100644\nnew mode 100755\n", " ".repeat(900_000))));
    assert!(started.elapsed().as_secs() < 1, "{:?}", started.elapsed());
}

#[test]
fn lines_that_belong_to_no_hunk_are_refused_instead_of_lost() {
    for lost in [
        // Counts too small, junk before a second hunk, a plain file behind a git one.
        "--- x\n+++ x\n@@ -1,1 +1,1 @@\n-a\n+b\n+c\n",
        "--- x\n+++ x\n@@ -1,1 +1,1 @@\n-a\n+b\njunk\n@@ -3,1 +3,1 @@\n-c\n+d\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- y\n+++ y\n@@ -1 +1 @@\n-a\n+b\n",
        "--- y\n+++ y\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
    ] {
        refusal(parse(lost));
    }
}

#[test]
fn patches_without_hunks_or_with_binary_parts_are_refused() {
    for patch in ["", "hello", "--- a/x\n+++ b/x\n", "@@ -1 +1 @@\n-a\n+b\n", "--- x\n+++ y\n@@ -1 +1 @@\n-a\n+b\n"] {
        refusal(parse(patch));
    }
    refusal(parse("diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n"));
    refusal(parse("diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\nIcmZ\n\n"));
}

#[test]
fn crlf_files_and_crlf_patches_meet() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let (old, new) = ("one\ntwo\nthree\n", "one\n2\nthree\n");
    assert_eq!(apply(&crlf(old), SIMPLE).unwrap(), crlf(new));
    assert_eq!(apply(old, &crlf(SIMPLE)).unwrap(), new);
    assert_eq!(apply(&crlf(old), &crlf(SIMPLE)).unwrap(), crlf(new));
}

#[test]
fn a_missing_end_of_the_last_line_is_respected() {
    let patch = "--- x\n+++ x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n";
    assert_eq!(apply("a", patch).unwrap(), "b\n");
    refusal(apply("a\n", patch));
    let glue = "--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n";
    assert_eq!(apply("a\n", glue).unwrap(), "b");
    refusal(apply("a\nc\n", glue));
}

#[test]
fn a_result_past_the_bound_is_refused() {
    let patch = "--- x\n+++ x\n@@ -1 +1,2 @@\n a\n+bbbbbbbb\n";
    refusal(parse(patch).unwrap()[0].apply("a\n", 5));
}

#[test]
fn a_mail_around_the_patch_is_passed_over() {
    let mail = format!("From 1234 Mon Sep 17\nSubject: x\n\n- a list\n---\n x.py | 2 +-\n\n{SIMPLE}-- \n2.39.5\n");
    assert_eq!(apply("one\ntwo\nthree\n", &mail).unwrap(), "one\n2\nthree\n");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        patch in r"(diff --git |--- |\+\+\+ |@@ |rename from |rename to |new file mode |GIT binary patch|literal |a/|b/|x|\.\.|/dev/null|[-+ \\]|[0-9]{1,22}|,| @@|No newline at end of file|\r?\n|\x00){0,40}",
        original in r"(a|\r?\n|x){0,20}",
    ) {
        if let Ok(changes) = parse(&patch) {
            for change in changes {
                let _ = change.apply(&original, 1000);
            }
        }
    }

    #[test]
    fn what_diffy_writes_is_applied_to_its_own_original(
        old in r"([a-c]\n){0,12}", new in r"([a-c]\n){0,12}",
    ) {
        prop_assume!(old != new);
        let patch = diffy::create_patch(&old, &new).to_string().replace("original", "x").replace("modified", "x");
        prop_assert_eq!(apply(&old, &patch).unwrap(), new);
    }
}
