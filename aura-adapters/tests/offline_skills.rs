//! What the offline employees' canned code is worth, found out by running it in Python.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::process::Command;

use aura_adapters::{OfflineAdapter, Skill};
use aura_core::{ArtifactKind, GenerateRequest, ModelAdapter};

/// A function, an obvious case, and a case at the edge.
const CASES: &[(&str, &str, &str)] = &[
    ("add", "add(2, 3) == 5", "add(0.5, 0.25) == 0.75"),
    ("factorial", "factorial(5) == 120", "raises(factorial, -1)"),
    ("fibonacci", "fibonacci(10) == 55", "raises(fibonacci, -1)"),
    ("fizzbuzz", "fizzbuzz(5) == ['1', '2', 'Fizz', '4', 'Buzz']", "fizzbuzz(15)[14] == 'FizzBuzz'"),
    ("is_palindrome", "is_palindrome('level') and not is_palindrome('aab')", "is_palindrome('Never odd or even')"),
    ("slugify", "slugify('Hello World') == 'hello-world'", "slugify('  Crème brûlée!  ') == 'creme-brulee'"),
    ("to_roman", "to_roman(7) == 'VII' and to_roman(4) == 'IV'", "to_roman(1994) == 'MCMXCIV'"),
    ("word_count", "word_count('one two three') == 3", "word_count('  a\\tb  ') == 2 and word_count('') == 0"),
];

async fn code_of(skill: Skill, function: &str) -> String {
    let employee = OfflineAdapter::builder("e").skill(skill).build().unwrap();
    let request = GenerateRequest::new(format!("Write {function}(x)."));
    let generation = employee.generate(&request).await.unwrap();
    let result = generation.artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Result).unwrap();
    result.body.pointer("/files/0/text").unwrap().as_str().unwrap().to_owned()
}

/// Whether the expression holds for the code; an exception counts as no.
fn holds(code: &str, expression: &str) -> bool {
    let helper =
        "def raises(f, x):\n    try:\n        f(x)\n    except ValueError:\n        return True\n    return False\n";
    let script = format!("{code}\n{helper}\nassert {expression}\n");
    let run = Command::new("python3").args(["-I", "-c", &script]).output();
    run.expect("python3 is needed: install it, or run ./scripts/test, which does").status.success()
}

#[tokio::test]
async fn careful_code_is_right_in_every_case() {
    for (function, obvious, edge) in CASES {
        let code = code_of(Skill::Careful, function).await;
        assert!(holds(&code, obvious) && holds(&code, edge), "{function}");
    }
}

#[tokio::test]
async fn hasty_code_is_right_in_the_obvious_case_and_wrong_at_the_edge() {
    for (function, obvious, edge) in CASES {
        let code = code_of(Skill::Hasty, function).await;
        assert!(holds(&code, obvious), "{function}");
        assert!(!holds(&code, edge), "{function}");
    }
}

#[tokio::test]
async fn sloppy_code_is_wrong_in_the_obvious_case() {
    for (function, obvious, _) in CASES {
        assert!(!holds(&code_of(Skill::Sloppy, function).await, obvious), "{function}");
    }
}
