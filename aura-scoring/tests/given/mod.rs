//! Evidence for the tests, made of as little as a test has to say.

use std::time::Duration;

use aura_core::{
    Evidence, EvidenceStrength, JobId, Language, ModelId, ModelIdentity, Sibling, SourceFile, Submission, TestCase,
    TestEvidence, TestOutcome, TestReport, evidence::RunEnd,
};

/// The model whose work is scored.
pub(crate) const ME: &str = "me";

pub(crate) fn identity(model: &str) -> ModelIdentity {
    ModelIdentity { provider: "lab".to_owned(), model: model.to_owned() }
}

pub(crate) fn work(text: &str) -> Submission {
    Submission { files: vec![SourceFile::new("solution.py", text)], ..Submission::default() }
}

pub(crate) fn sibling(model: &str, text: &str) -> Sibling {
    Sibling { job: JobId::new(), identity: identity(model), work: work(text), behaviour: Vec::new() }
}

/// Python work of [`ME`] without tests or penalties.
pub(crate) fn evidence(text: &str, siblings: Vec<Sibling>) -> Evidence {
    Evidence {
        job: JobId::new(),
        model: ModelId(1),
        identity: identity(ME),
        language: Language::Python,
        work: work(text),
        siblings,
        tests: TestEvidence::NotAsked,
        penalties: Vec::new(),
    }
}

pub(crate) fn report(outcomes: &[TestOutcome], end: RunEnd, fast_enough: bool) -> TestEvidence {
    let cases = outcomes.iter().map(|outcome| TestCase::new("t", *outcome)).collect();
    let report = TestReport::of(cases, EvidenceStrength::SameProcess);
    TestEvidence::Ran(TestReport { end, wall: Duration::from_millis(1500), fast_enough, ..report })
}
