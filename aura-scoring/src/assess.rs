//! The scorer: from a job's evidence to an assessment that anybody can add up again.

use aura_core::{Assessment, Component, Evidence, Fraction, Scorer, Signals};

use crate::{
    Weights,
    code::{Code, Numbering},
    signals::{
        Measured,
        agreement::{self, Work},
        docs, penalties, performance, tests,
    },
};

/// Scores by the [`formula`](crate::formula) of the user's document.
///
/// Its assessments have four components, named like the fields of [`Signals`]; penalties are no component but the
/// assessment's own field, so that `clamp(sum of contributions - 0.25 * penalties)` gives the score to the last bit.
///
/// # Examples
/// ```
/// use aura_scoring::{FormulaScorer, Weights};
/// use aura_core::Fraction;
/// let by_the_letter = FormulaScorer::new();
/// let tests_alone = FormulaScorer::with_weights(Weights::DOCUMENT.agreement(Fraction::ZERO).docs(Fraction::ZERO));
/// # let _ = (by_the_letter, tests_alone);
/// ```
#[derive(Debug, Clone, Default)]
pub struct FormulaScorer {
    weights: Weights,
}

impl FormulaScorer {
    /// A scorer with the weights of the user's document.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_weights(Weights::DOCUMENT)
    }

    /// A scorer with weights of your own.
    #[must_use]
    pub const fn with_weights(weights: Weights) -> Self {
        Self { weights }
    }
}

impl Scorer for FormulaScorer {
    fn assess(&self, evidence: &Evidence) -> Assessment {
        let mut numbering = Numbering::default();
        let report = evidence.tests.report();
        let mine = Work {
            identity: &evidence.identity,
            code: Code::of(&evidence.work, evidence.language, &mut numbering),
            behaviour: report.map(|report| report.behaviour.as_slice()).unwrap_or_default(),
        };
        let others: Vec<Work<'_>> = evidence
            .siblings
            .iter()
            .map(|sibling| Work {
                identity: &sibling.identity,
                code: Code::of(&sibling.work, evidence.language, &mut numbering),
                behaviour: &sibling.behaviour,
            })
            .collect();

        let tests = tests::test_score(&evidence.tests);
        let agreement = agreement::cross_model_agreement(&mine, &others);
        let docs = docs::docs_quality(&mine.code, &evidence.work.docs);
        let performance = performance::performance_ok(&evidence.tests);
        let [tests, agreement, docs, performance] = match report.and_then(|report| report.forgeries.first()) {
            Some(proof) => std::array::from_fn(|_| nothing_of_forged_work(proof)),
            None => [tests, agreement, docs, performance],
        };

        let signals = Signals {
            test_score: tests.value,
            cross_model_agreement: agreement.value,
            docs_quality: docs.value,
            performance_ok: performance.value,
            coverage: report.and_then(|report| report.coverage),
        };
        let penalties = penalties::total(&evidence.penalties);
        Assessment {
            signals,
            penalties,
            score: self.weights.score(&signals, penalties),
            attainable: self.weights.attainable(&signals),
            components: vec![
                component("test_score", self.weights.tests, tests),
                component("cross_model_agreement", self.weights.agreement, agreement),
                component("docs_quality", self.weights.docs, docs),
                component("performance_ok", self.weights.performance, performance),
            ],
        }
    }
}

/// Work that faked its result earned nothing by anything else.
fn nothing_of_forged_work(proof: &str) -> Measured {
    Measured::as_value(Fraction::ZERO, format!("the work faked its test result: {proof}"))
}

fn component(name: &str, weight: f64, measured: Measured) -> Component {
    Component { name: name.to_owned(), weight, value: measured.value, why: measured.why }
}
