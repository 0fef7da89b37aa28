//! Puts handed-in work into a workspace and runs its tests, where that is allowed.

use super::{Accountant, Handed, judge::failure_said};
use crate::{
    contract::{Sandbox, SandboxError, Workspace},
    engine::pace::Chain,
    error::Result,
    evidence::{EvidenceStrength, Isolation, PenaltyMark, TestCase, TestEvidence, TestOutcome, TestReport},
    job::Door,
    prd::{Prd, TestSuite},
    units::{Confidence, Penalty},
};

/// What looking at handed-in work showed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Examination {
    pub(crate) tests: TestEvidence,
    /// Why the work as a whole cannot be accepted, whatever its tests say.
    pub(crate) refused: Option<String>,
    /// Why there is no test result although tests were asked for.
    pub(crate) not_run: Option<String>,
    pub(crate) penalties: Vec<PenaltyMark>,
    /// SHA-256 over the workspace with the work in it.
    pub(crate) snapshot: Option<String>,
    /// How sure an outside validator was.
    pub(crate) confidence: Option<Confidence>,
}

impl Default for Examination {
    fn default() -> Self {
        Self {
            tests: TestEvidence::NotAsked,
            refused: None,
            not_run: None,
            penalties: Vec::new(),
            snapshot: None,
            confidence: None,
        }
    }
}

impl Examination {
    /// What an outside validator saw.
    pub(crate) fn reported(cases: Vec<TestCase>, confidence: Option<Confidence>) -> Self {
        let tests = TestEvidence::Ran(TestReport::of(cases, EvidenceStrength::Reported));
        Self { tests, confidence, ..Self::default() }
    }

    fn not_run(mut self, reason: String) -> Self {
        self.not_run = Some(reason.clone());
        self.tests = TestEvidence::NotRun { reason };
        self
    }

    /// Work that cannot be put together fails the tests that it would have had to pass.
    fn refused(mut self, reason: String, has_tests: bool) -> Self {
        if has_tests {
            let case = TestCase::new("put the work together", TestOutcome::Error).message(&reason);
            self.tests = TestEvidence::Ran(TestReport::of(vec![case], EvidenceStrength::SameProcess));
        }
        self.refused = Some(reason);
        self
    }
}

impl Accountant {
    /// Examines one piece of work. An error means that it could not be examined now: the job stays submitted and is
    /// looked at again.
    pub(super) async fn examine(&self, prd: &Prd, one: &Handed) -> Result<Examination> {
        let blank = Examination::default();
        let suite = prd.request.tests.as_ref();
        if !one.delivery.success {
            return Ok(blank.refused(failure_said(&one.delivery), suite.is_some()));
        }
        if one.work.is_empty() {
            return Ok(blank.refused("nothing was handed in".to_owned(), suite.is_some()));
        }
        let Some(sandbox) = &self.sandbox else {
            return Ok(match suite {
                Some(_) => blank.not_run("no sandbox is plugged in: give the builder one".to_owned()),
                None => blank,
            });
        };
        let workspace = match sandbox.prepare(one.job.id, one.job.attempt, &prd.request.context).await {
            Ok(workspace) => workspace,
            // The context is the user's: when it cannot be laid out, no model is to blame.
            Err(SandboxError::Refused(reason) | SandboxError::Hostile(reason)) => {
                return Ok(blank.not_run(format!("the context files cannot be laid out: {reason}")));
            }
            Err(error) => return Err(error.into()),
        };
        let examined = self.examine_in(sandbox.as_ref(), &workspace, one, suite).await;
        if let Err(error) = sandbox.discard(workspace).await {
            tracing::warn!(job = %one.job.id, error = %Chain(&error), "a workspace could not be removed");
        }
        examined
    }

    async fn examine_in(
        &self,
        sandbox: &dyn Sandbox,
        workspace: &Workspace,
        one: &Handed,
        suite: Option<&TestSuite>,
    ) -> Result<Examination> {
        let mut examination = Examination::default();
        match sandbox.apply(workspace, &one.work).await {
            Ok(()) => {}
            Err(SandboxError::Refused(reason)) => return Ok(examination.refused(reason, suite.is_some())),
            Err(SandboxError::Hostile(reason)) => {
                examination.penalties.push(PenaltyMark { reason: reason.clone(), weight: full_penalty() });
                return Ok(examination.refused(reason, suite.is_some()));
            }
            Err(error) => return Err(error.into()),
        }
        match sandbox.snapshot(workspace).await {
            Ok(snapshot) => examination.snapshot = Some(snapshot.content_hash),
            Err(SandboxError::Refused(reason) | SandboxError::Hostile(reason)) => {
                return Ok(examination.refused(reason, suite.is_some()));
            }
            Err(error) => return Err(error.into()),
        }
        let Some(suite) = suite else { return Ok(examination) };
        if let Some(reason) = self.why_not_run(sandbox, one) {
            return Ok(examination.not_run(reason));
        }
        match sandbox.run_tests(workspace, suite).await {
            Ok(report) => {
                let faked = report.forgeries.iter().map(|proof| format!("it faked its test result: {proof}"));
                examination.penalties.extend(faked.map(|reason| PenaltyMark { reason, weight: full_penalty() }));
                examination.penalties.extend(tests_changed(&report.restored));
                examination.tests = TestEvidence::Ran(report);
            }
            Err(SandboxError::Unavailable(reason)) => return Ok(examination.not_run(reason)),
            Err(SandboxError::Refused(reason)) => {
                return Ok(examination.not_run(format!("the tests cannot be laid out: {reason}")));
            }
            Err(SandboxError::Hostile(reason)) => {
                examination.penalties.push(PenaltyMark { reason: reason.clone(), weight: full_penalty() });
                return Ok(examination.refused(reason, true));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(examination)
    }

    /// Why this work's tests may not be run: model-written code needs a sandbox that isolates, or the operator's word.
    /// Only what this program's own employees wrote, through this process's own workers, needs neither.
    fn why_not_run(&self, sandbox: &dyn Sandbox, one: &Handed) -> Option<String> {
        let can = sandbox.capabilities();
        let isolated = can.isolation > Isolation::None;
        let in_house = self.in_house.contains(&one.model.id) && one.delivery.door == Door::InProcess;
        (!isolated && !in_house && !self.settings.allow_unsandboxed).then(|| {
            let missing = if can.missing.is_empty() { String::new() } else { format!(" ({})", can.missing.join("; ")) };
            format!(
                "the sandbox isolates nothing{missing}, and running model-written code unprotected is not allowed: set \
                 allow_unsandboxed (AURA_ALLOW_UNSANDBOXED=1 for the server) if you accept the risk"
            )
        })
    }
}

/// Changing tests that were given is no accident, but no attack either: a model may have meant well. They were put back, so that they
/// decide; the change costs a part of the score.
fn tests_changed(restored: &[String]) -> Option<PenaltyMark> {
    /// How many paths are named.
    const NAMED: usize = 3;
    let named: Vec<&str> = restored.iter().take(NAMED).map(String::as_str).collect();
    let more = restored.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let reason = format!("it changed tests that it was given, which were put back: {}{more}", named.join(", "));
    let weight = Penalty::new(0.5).unwrap_or(Penalty::ZERO);
    (!restored.is_empty()).then_some(PenaltyMark { reason, weight })
}

/// What a forging or escaping attempt weighs; work that bears so much is accepted by nobody.
pub(super) fn full_penalty() -> Penalty {
    Penalty::new(1.0).unwrap_or(Penalty::ZERO)
}
