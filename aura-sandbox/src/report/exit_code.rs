//! Reads an exit code as one test.

use aura_core::{TestCase, TestOutcome};

use super::{Reading, Remains, excerpt::MAX_MESSAGE, tail};

/// Exit code 0 is one passed test; anything else is one failed test with the end of what was printed.
pub(super) fn read(remains: &Remains) -> Reading {
    let id = "exit code".to_owned();
    if remains.code == Some(0) {
        return Reading::of(vec![TestCase::new(id, TestOutcome::Passed)]);
    }
    let printed = if remains.stderr.is_empty() { &remains.stdout } else { &remains.stderr };
    let message = format!("the command {}\n{}", remains.ending(), tail(printed, MAX_MESSAGE - 64));
    Reading::of(vec![TestCase::new(id, TestOutcome::Failed).message(message.trim_end())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zero_is_a_pass() {
        for (code, outcome) in
            [(Some(0), TestOutcome::Passed), (Some(1), TestOutcome::Failed), (None, TestOutcome::Failed)]
        {
            let reading = read(&Remains { code, stderr: b"why\n".to_vec(), ..Remains::default() });
            assert_eq!(reading.cases.len(), 1);
            assert_eq!(reading.cases[0].outcome, outcome);
            assert_eq!(reading.cases[0].message.contains("why"), outcome == TestOutcome::Failed);
        }
    }
}
