//! The caller that runs beside the work: which program it is, and what it is given.

use std::sync::Arc;

use aura_core::{Call, Cases, Input, Language, ReportFormat, SandboxError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{Beside, Place, Prepared, beside, environment::Environment},
    rust,
};

const PYTHON: &str = include_str!("call.py");
const JAVASCRIPT: &str = include_str!("call.js");
const PROGRAM: &str = include_str!("program.sh");
/// Builds the work as a library and the calls, which come in, around it; then calls.
const RUST: &str = r#"
rustc=$1 file=$2 mark=$3
shift 3
"$rustc" --edition 2024 --crate-name solution --crate-type lib -A warnings --out-dir "$TMPDIR" "$file" &&
    "$rustc" --edition 2024 --crate-name calls -A warnings --extern solution="$TMPDIR/libsolution.rlib" --out-dir "$TMPDIR" - &&
    exec "$TMPDIR/calls" "$mark" "$@" </dev/null
"#;

/// Finds the tools and writes down what the caller is given: the calls that are open, and nothing of what is right.
pub(super) fn prepare(place: &Place, cases: &Cases, mark: &str, open: &[usize]) -> Result<Prepared, SandboxError> {
    let Beside { report, home, temporary, .. } = beside(place)?;
    let find = |program: &str, format| Environment::find(program, format, &home, &temporary);
    let inputs = || open.iter().filter_map(|number| Some((*number, input(cases, *number)?)));
    let (environment, arguments, calls) = match &cases.call {
        Call::Function { language: Language::Rust, file, name } => {
            let environment = find("rustc", ReportFormat::Cargo)?;
            let rustc = environment.program.to_string_lossy().into_owned();
            let mut arguments =
                vec!["-c".to_owned(), RUST.to_owned(), "sh".to_owned(), rustc, file.clone(), mark.to_owned()];
            arguments.extend(open.iter().map(usize::to_string));
            (environment.through("sh")?, arguments, rust::program(name, inputs()))
        }
        Call::Function { language, file, name } => {
            let (program, flag, caller) = match language {
                Language::Javascript => ("node", "-e", JAVASCRIPT),
                _ => ("python3", "-c", PYTHON),
            };
            let arguments = [flag, caller, mark, file, name].map(str::to_owned).to_vec();
            (
                find(program, ReportFormat::ExitCode)?,
                arguments,
                inputs().map(|(n, input)| call_line(n, input)).collect(),
            )
        }
        Call::Program { build, command } => {
            let first = build.first().or(command.first()).map(String::as_str).unwrap_or_default();
            // A program of the work itself is what is tested; tools are found outside of it.
            let tool = if first.starts_with("./") { "sh" } else { first };
            let format = if tool.contains("rustc") { ReportFormat::Cargo } else { ReportFormat::ExitCode };
            let environment = find(tool, format)?;
            let script = format!("{}\n{PROGRAM}", build_first(build));
            let mut arguments = vec!["-c".to_owned(), script, "sh".to_owned(), mark.to_owned()];
            arguments.extend(command.iter().cloned());
            (environment.through("sh")?, arguments, inputs().map(|(n, input)| run_line(n, input)).collect())
        }
        _ => return Err(SandboxError::Unavailable("this version cannot call such work".to_owned())),
    };
    let mut argv = vec![environment.program.to_string_lossy().into_owned()];
    argv.extend(arguments);
    Ok(Prepared {
        argv,
        environment,
        counting: Vec::new(),
        report: Arc::new(report),
        input: calls.into_bytes(),
        with_work: true,
        coverage: None,
        pace: None,
    })
}

fn input(cases: &Cases, number: usize) -> Option<&Input> {
    match number.checked_sub(cases.cases.len()) {
        None => cases.cases.get(number).map(|case| &case.input),
        Some(probe) => cases.probes.get(probe),
    }
}

fn call_line(number: usize, input: &Input) -> String {
    format!("{}\n", json!({ "number": number, "args": input.args }))
}

fn run_line(number: usize, input: &Input) -> String {
    let arguments = input.args.iter().map(|arg| format!(" -{}", STANDARD.encode(arg.as_str().unwrap_or_default())));
    format!("{number} -{}{}\n", STANDARD.encode(&input.stdin), arguments.collect::<String>())
}

/// The build's output is an error's: it may not stand among answers.
fn build_first(build: &[String]) -> String {
    if build.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = build.iter().map(|part| format!("'{}'", part.replace('\'', r"'\''"))).collect();
    format!("{} </dev/null >&2 || exit", quoted.join(" "))
}

/// The call as people write it.
pub(super) fn call_text(call: &Call, input: &Input) -> String {
    match call {
        Call::Function { name, .. } => {
            let args: Vec<String> = input.args.iter().map(Value::to_string).collect();
            format!("{name}({})", args.join(", "))
        }
        Call::Program { command, .. } => {
            let args = input.args.iter().filter_map(Value::as_str);
            let line: Vec<&str> = command.iter().map(String::as_str).chain(args).collect();
            format!("{} < {:?}", line.join(" "), input.stdin)
        }
        _ => String::new(),
    }
}
