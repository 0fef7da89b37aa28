//! The tests of `cargo test`: read from the integration tests of the package.

mod bounds;
mod command;
mod literals;
mod sites;
mod tests;

use std::{collections::BTreeMap, io, sync::Arc, thread};

use aura_core::{Project, SandboxError, SourceFile};

use self::command::CargoTest;
use super::{
    copies::{self, Found, Language},
    plan::Plan,
    reader,
    wrong::Scalar,
};
use crate::{path::WorkPath, runner::Place, workspace::Slot};

/// Largest manifest that is looked at, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// What in a manifest has cargo run other tests than those in its folders.
const STEERS: [&str; 4] = ["[[test]]", "autotests", "harness", "members"];

/// Makes a plan; the reason why there can be none.
pub(super) async fn plan(place: &Place, project: &Project) -> Result<Result<Plan, String>, SandboxError> {
    let cargo = match CargoTest::of(project) {
        Ok(cargo) => cargo,
        Err(why) => return Ok(Err(why)),
    };
    let (slot, project) = (Arc::clone(&place.slot), project.clone());
    crate::blocking(move || {
        let files = match Files::find(&slot, &project, &cargo) {
            Ok(files) => files,
            Err(why) => return Ok(Err(why)),
        };
        read_apart(files).map_err(|source| SandboxError::Io {
            action: "start a thread that reads the tests".to_owned(),
            source: source.into(),
        })
    })
    .await
}

/// Reads the files in a thread of its own: a parser needs room for what is nested.
fn read_apart(files: Files) -> io::Result<Result<Plan, String>> {
    let reader = thread::Builder::new().name("aura-tests".to_owned()).stack_size(bounds::STACK);
    let read = reader.spawn(move || read(files))?;
    let given_up = |_| Err("its test files have the parser give up".to_owned());
    Ok(read.join().unwrap_or_else(given_up))
}

fn read(Files { targets, modules }: Files) -> Result<Plan, String> {
    let mut found = Found::default();
    let done = targets.iter().enumerate().try_for_each(|(number, file)| {
        // Places are told within one file, and everything of it is forgotten with the thread.
        proc_macro2::extra::invalidate_current_thread_spans();
        tests::read(number, file, &modules, &mut found)
    });
    done.and_then(|()| copies::plan(&Rust, targets, found)).map_err(|why| reader::no_twins(&why))
}

/// The Rust files of the suite and the context, as they were.
struct Files {
    /// Those that cargo runs as targets of their own.
    targets: Vec<SourceFile>,
    /// Those that hold no test, and whether they assert something.
    modules: BTreeMap<String, bool>,
}

impl Files {
    fn find(slot: &Slot, project: &Project, cargo: &CargoTest) -> Result<Self, String> {
        let mut files = reader::pristine(slot, project, &[".rs"]);
        let manifest = files.remove("Cargo.toml").or_else(|| {
            let bytes = slot.work().read(&WorkPath::parse("Cargo.toml").ok()?, MAX_MANIFEST).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        });
        let manifest = manifest.ok_or("there is no Cargo.toml")?;
        if let Some(word) = STEERS.iter().find(|word| manifest.contains(**word)) {
            return Err(format!(
                "Cargo.toml may have cargo run other tests by `{word}`: leave it out, or give `expected`"
            ));
        }
        files.retain(|path, _| path.ends_with(".rs"));
        let holds_tests = |text: &str| text.contains("test]") || text.contains("cfg(test)");
        let asserts = |text: &str| {
            ["assert", "panic!", "unreachable!", "todo!", "macro_rules"].iter().any(|mark| text.contains(mark))
        };
        let without = files.iter().filter(|(_, text)| !holds_tests(text));
        let modules: BTreeMap<String, bool> = without.map(|(path, text)| (path.clone(), asserts(text))).collect();
        let (targets, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(path, _)| command::target(path).is_some());
        if let Some((path, _)) = others.iter().find(|(path, _)| !modules.contains_key(path)) {
            return Err(format!("{path} holds tests, and only those of files in `tests` get twins"));
        }
        let run = targets.into_iter().filter(|(path, _)| cargo.runs(path));
        let targets: Vec<SourceFile> = run.map(|(path, text)| SourceFile::new(path, text)).collect();
        if targets.is_empty() {
            return Err("neither the suite nor the context brings an integration test".to_owned());
        }
        Ok(Self { targets, modules })
    }
}

/// Reads one test file.
#[cfg(fuzzing)]
#[expect(clippy::expect_used, reason = "a fuzzer looks for panics")]
pub(crate) fn read_rust_tests(text: &str) {
    let files = Files { targets: vec![SourceFile::new("tests/a.rs", text)], modules: BTreeMap::new() };
    // Whether it gets twins is up to the text.
    let _ = read_apart(files).expect("a thread");
}

/// How Rust writes what stands in a copy.
#[derive(Debug)]
struct Rust;

impl Language for Rust {
    fn literal(&self, value: &Scalar) -> String {
        let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
        match value {
            Scalar::Int(value, suffix) => format!("{value}{suffix}"),
            Scalar::Float(value, suffix) => format!("{value:?}{suffix}"),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Text(text) => format!("{text:?}"),
            Scalar::Char(c) => format!("{c:?}"),
            Scalar::Bytes(bytes) => format!("b\"{}\"", escaped(bytes)),
            Scalar::Byte(byte) => format!("b'{}'", escaped(&[*byte])),
            Scalar::OneOf(name, _) => name.clone(),
        }
    }

    fn name(&self, name: &str) -> String {
        name.to_owned()
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Text that looks like tests, right or not.
    fn soup() -> impl Strategy<Value = String> {
        let parts = [
            "#[test] fn a() { ",
            "} ",
            "assert_eq!(f(",
            "), ",
            "7",
            "-3i8",
            "\"x\"",
            "b'c'",
            "'é'",
            "1.5e3",
            "Some(",
            "vec![",
            "]",
            ");\n",
            "assert!(",
            "!",
            " == ",
            " && ",
            "< 2",
            "for (x, y) in [(1, 2)] { ",
            "let z = ",
            "; ",
            "Kind::A",
            "// five\n",
            "/* 5 */",
            "#[should_panic(expected = \"no\")]",
            "#[ignore] ",
            "mod m { ",
            "r#\"raw\"#",
            "&",
            "(",
            "z",
            "x",
            "y",
            "f()",
            ".to_string()",
        ];
        proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..40).prop_map(|parts| parts.concat())
    }

    fn copies(text: String) -> Option<Plan> {
        let targets = vec![SourceFile::new("tests/a.rs", text)];
        read(Files { targets, modules: BTreeMap::new() }).ok()
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic_and_every_copy_is_rust(text in soup()) {
            for run in copies(text).into_iter().flat_map(|plan| plan.runs) {
                for file in run.files {
                    prop_assert!(syn::parse_file(&file.text).is_ok(), "{}", file.text);
                }
            }
        }

        #[test]
        fn each_test_is_right_in_one_run_and_a_twin_in_the_others(values in proptest::collection::vec(any::<i64>(), 1..12)) {
            let test = |(n, value): (usize, &i64)| format!("#[test]\nfn t{n}() {{\n    assert_eq!(f({n}), {value});\n}}\n");
            let text: String = values.iter().enumerate().map(test).collect();
            let Some(plan) = copies(text) else { return Err(TestCaseError::fail("there is a plan")) };
            prop_assert!(plan.runs.len() >= 2);
            for (number, value) in values.iter().enumerate() {
                let (id, right) = (&plan.tests[number].id, plan.tests[number].right);
                prop_assert_eq!(id, &format!("tests/a.rs::t{number}"));
                for (at, run) in plan.runs.iter().enumerate() {
                    let name = run.names[number].trim_start_matches("tests/a.rs::");
                    let own = run.files[0].text.split("#[test]").find(|part| part.contains(name)).unwrap_or_default();
                    prop_assert_eq!(own.contains(&format!("assert_eq!(f({number}), {value});")), at == right);
                    prop_assert_eq!(run.twins[number].is_none(), at == right);
                }
            }
        }
    }
}
