//! The adapters against servers that others wrote; `scripts/test-upstreams` installs and starts them, and runs this.
//!
//! It prints a line a check, and ends with exit code 1 when one fails.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

mod aimock;
mod llama;
mod llmock;

use std::{env, process::ExitCode};

/// Checks that were made, and those that failed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Notes one check.
    pub(crate) fn check(&mut self, what: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(saw) => {
                self.passed += 1;
                println!("   PASS {what}: {saw}");
            }
            Err(why) => {
                self.failed += 1;
                println!("   FAIL {what}: {why}");
            }
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let url =
        |name: &str| env::var(name).map_err(|_| format!("{name} is not set: run scripts/test-upstreams, which does"));
    let urls = ["LLMOCK_URL", "AIMOCK_URL", "LLAMA_URL", "OLLAMA_PROXY_URL"].map(url);
    let [Ok(llmock), Ok(aimock), Ok(llama), Ok(proxy)] = urls else {
        let missing: Vec<_> = urls.into_iter().filter_map(Result::err).collect();
        eprintln!("{}", missing.join("; "));
        return ExitCode::from(2);
    };
    let mut report = Report::default();
    println!("== llmock: OpenAI and Gemini under every fault, with its verdict on the client");
    llmock::check(&llmock, &mut report).await;
    println!("== aimock: OpenAI, Gemini and Ollama");
    aimock::check(&aimock, &mut report).await;
    println!("== llama.cpp with real weights, and Ollama's wire in front of it");
    llama::check(&llama, &proxy, &mut report).await;
    println!("{} passed, {} failed", report.passed, report.failed);
    if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
