//! Doors to the readers for `fuzz/`. Each takes any bytes, and panics when a promise is broken.

use aura_core::{ReportFormat, evidence::RunEnd};

use crate::{
    patch::PatchText,
    path::WorkPath,
    report::{self, MAX_CASES, MAX_ID, MAX_MESSAGE, Remains},
};

/// A patch, and after a NUL the file that it is for.
pub fn patch(bytes: &[u8]) {
    /// Most bytes of a result.
    const MOST: usize = 1 << 16;
    let text = String::from_utf8_lossy(bytes);
    let (patch, original) = text.split_once('\0').unwrap_or((&text, "one\ntwo\nthree\n"));
    let Ok(changes) = PatchText::new(patch, 1).parse(16) else { return };
    assert!(changes.len() <= 16, "more files than allowed");
    for change in changes {
        if let Ok(result) = change.apply(original, MOST) {
            assert!(result.len() <= MOST, "a result larger than allowed");
        }
    }
}

/// A JUnit report; the first byte is the exit code.
pub fn junit(bytes: &[u8]) {
    read(ReportFormat::Junit, bytes);
}

/// What `cargo test` prints, and after a NUL what it prints as errors.
pub fn cargo(bytes: &[u8]) {
    read(ReportFormat::Cargo, bytes);
}

/// What a TAP producer prints.
pub fn tap(bytes: &[u8]) {
    read(ReportFormat::Tap, bytes);
}

/// A Rust test file, read for its twins. The parser tells no places while it is fuzzed, so that what the copies hold is not looked at.
pub fn rust_tests(bytes: &[u8]) {
    crate::runner::read_rust_tests(&String::from_utf8_lossy(bytes));
}

fn read(format: ReportFormat, bytes: &[u8]) {
    let (code, bytes) = bytes.split_first().map_or((0, bytes), |(code, rest)| (i32::from(*code & 1), rest));
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (stdout, stderr) = (parts.next().unwrap_or_default().to_vec(), parts.next().unwrap_or_default().to_vec());
    let remains = Remains { code: Some(code), stdout, stderr, file: Some(bytes.to_vec()), shortage: None };
    let counting: Vec<WorkPath> =
        ["tests/a.rs", "a.test.js"].into_iter().filter_map(|path| WorkPath::parse(path).ok()).collect();
    let reading = report::read(format, &remains, &counting);
    assert!(reading.end == RunEnd::Finished || reading.cases.is_empty(), "an unreadable report has tests");
    assert!(reading.cases.len() <= MAX_CASES, "more tests than allowed");
    for case in &reading.cases {
        assert!(case.id.len() <= MAX_ID && case.message.len() <= MAX_MESSAGE, "a text longer than allowed");
    }
}
