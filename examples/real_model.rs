//! Real weights through the whole loop: two employees on one OpenAI-compatible server complete small Python functions.
//!
//! `scripts/real-model` starts such a server and runs this. `AURA_REAL_BASE_URL` is its base URL, with the `/v1`;
//! `AURA_REAL_MODEL` the model's name there; `AURA_REAL_DB` the SQLite file that keeps everything.

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use aura_orchestra::{adapters::PromptStyle, core::contract::store::RunFilter, prelude::*};

/// A function to complete, and its tests.
const TASKS: &[(&str, &str)] = &[
    (
        "def add(a, b):\n    \"\"\"Return the sum of a and b.\"\"\"\n",
        "from solution import add\n\
         def test_whole(): assert add(2, 3) == 5\n\
         def test_negative(): assert add(-2, 2) == 0\n",
    ),
    (
        "def reverse_text(text):\n    \"\"\"Return text with its characters in reverse order.\"\"\"\n",
        "from solution import reverse_text\n\
         def test_word(): assert reverse_text('abc') == 'cba'\n\
         def test_empty(): assert reverse_text('') == ''\n",
    ),
    (
        "def largest(numbers):\n    \"\"\"Return the largest number in the list numbers.\"\"\"\n",
        "from solution import largest\n\
         def test_middle(): assert largest([1, 9, 3]) == 9\n\
         def test_negative(): assert largest([-5, -2]) == -2\n",
    ),
    (
        "def is_even(n):\n    \"\"\"Return True if n is even, else False.\"\"\"\n",
        "from solution import is_even\n\
         def test_even(): assert is_even(4) is True\n\
         def test_odd(): assert is_even(7) is False\n\
         def test_zero(): assert is_even(0) is True\n",
    ),
    (
        "def factorial(n):\n    \"\"\"Return n! for n >= 0. factorial(0) is 1.\"\"\"\n    if n == 0:\n",
        "from solution import factorial\n\
         def test_zero(): assert factorial(0) == 1\n\
         def test_five(): assert factorial(5) == 120\n",
    ),
    (
        "def count_vowels(text):\n    \"\"\"Return how many of the letters a, e, i, o, u are in text.\"\"\"\n    count = 0\n",
        "from solution import count_vowels\n\
         def test_word(): assert count_vowels('education') == 5\n\
         def test_none(): assert count_vowels('rhythm') == 0\n",
    ),
];

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Ok(base_url) = env::var("AURA_REAL_BASE_URL") else {
        eprintln!(
            "AURA_REAL_BASE_URL is not set. Run scripts/real-model, which installs and starts a small model and runs this \
             example, or set it to the base URL of an OpenAI-compatible server, like http://127.0.0.1:8080/v1"
        );
        return Ok(ExitCode::from(2));
    };
    let model = env::var("AURA_REAL_MODEL").unwrap_or_else(|_| "gemma3:270m".to_owned());
    let database = env::var("AURA_REAL_DB").map_or_else(|_| PathBuf::from("target/real-model/aura.db"), PathBuf::from);
    let employee = |name: &str, temperature| {
        OpenAiAdapter::builder(&model)
            .name(name)
            .base_url(&base_url)
            .provider("llama.cpp")
            .temperature(temperature)
            .max_tokens(96)
            .prompt_style(PromptStyle::Complete)
            .local()
            .build()
    };
    println!(
        "Tests of code that {model} writes run without a sandbox: this example allows it for its own small tasks."
    );
    let orchestra = aura_orchestra::builder()
        .store(SqliteStore::open(&database).await?)
        .employ(employee("employee_steady", 0.0)?)
        .employ(employee("employee_daring", 0.8)?)
        .allow_unsandboxed()
        .start()
        .await?;

    let mut won = 0;
    for (prompt, tests) in TASKS {
        let prd = NewPrd::new(*prompt)
            .tests(TestSuite::pytest(*tests).timeout(Duration::from_secs(30)))
            .plan(Plan::Panel(2))
            .limits(Limits { max_attempts: 1, max_tokens: Some(96), ..Limits::default() });
        let prd = orchestra.submit(prd).await?;
        let verdict = orchestra.verdict(prd.id).await?;
        println!("\n{}\n{verdict}", prd.request.headline());
        for job in &prd.jobs {
            let filter = RunFilter { job: Some(*job), model: None, before: None, limit: 20 };
            for stored in orchestra.runs(&filter).await? {
                let run = stored.run;
                let confidence = run.confidence.map_or_else(|| "-".to_owned(), |sure| format!("{:.3}", sure.get()));
                let tokens = run.usage.output_tokens.map_or_else(|| "-".to_owned(), |count| count.to_string());
                println!("  run {}: model {}, self-confidence {confidence}, tokens {tokens}", stored.id, run.model_id);
            }
        }
        won += usize::from(verdict.winner().is_some());
    }
    orchestra.stop().await;
    println!("\n{won} of {} PRDs were won; everything is kept in {}", TASKS.len(), database.display());
    // Temperature 0 solves some of them every time: none at all means that something is broken.
    Ok(if won > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
