//! What a score costs: the formula beside a plain sum, and a whole assessment with five siblings of 20 KB.

use std::{hint::black_box, time::Duration};

use aura_orchestra::{
    core::{
        Evidence, EvidenceStrength, Fraction, JobId, Language, ModelId, ModelIdentity, Penalty, Scorer, Sibling,
        Signals, SourceFile, Submission, TestCase, TestEvidence, TestOutcome, TestReport,
    },
    scoring::{FormulaScorer, score_from_signals},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod sources;

const SCORES: u64 = 1024;

/// The formula over 1,024 different sets of signals, beside the bare sum of products over the same numbers.
fn formula(c: &mut Criterion) {
    let share = |n: u64| Fraction::of(n % 1000, 1000);
    let typed: Vec<(Signals, Penalty)> = (0..SCORES)
        .map(|n| {
            let signals = Signals {
                test_score: share(n * 7),
                cross_model_agreement: share(n * 11),
                docs_quality: share(n * 13),
                performance_ok: share(n * 17),
                coverage: None,
            };
            (signals, share(n * 19).and_then(|share| Penalty::new(share.get()).ok()).unwrap_or_default())
        })
        .collect();
    let number = |signal: Option<Fraction>| signal.map_or(0.0, Fraction::get);
    let plain: Vec<[f64; 5]> = typed
        .iter()
        .map(|(signals, penalties)| {
            let [tests, agreement] = [signals.test_score, signals.cross_model_agreement].map(number);
            let [docs, performance] = [signals.docs_quality, signals.performance_ok].map(number);
            [tests, agreement, docs, performance, penalties.get()]
        })
        .collect();
    let mut group = c.benchmark_group("formula");
    group.throughput(Throughput::Elements(SCORES));
    group.bench_function("score_from_signals", |b| {
        b.iter(|| {
            for (signals, penalties) in &typed {
                black_box(score_from_signals(black_box(signals), *penalties));
            }
        });
    });
    group.bench_function("floor: plain f64 sum", |b| {
        b.iter(|| {
            for row in &plain {
                let [tests, agreement, docs, performance, penalties] = black_box(row);
                let sum = 0.40 * tests + 0.30 * agreement + 0.10 * docs + 0.10 * performance - 0.25 * penalties;
                black_box(sum.clamp(0.0, 1.0));
            }
        });
    });
    group.finish();
}

fn work(text: String) -> Submission {
    Submission { files: vec![SourceFile::new("solution.py", text)], ..Submission::default() }
}

fn evidence() -> Evidence {
    let mine = sources::python(1, 20_000);
    let identity = |model: &str| ModelIdentity { provider: "offline".to_owned(), model: model.to_owned() };
    // Two that wrote nearly the same, three that did not.
    let texts = [
        sources::edited(&mine),
        sources::edited(&sources::edited(&mine)),
        sources::python(2, 20_000),
        sources::python(3, 20_000),
        sources::python(4, 20_000),
    ];
    let siblings = texts.into_iter().enumerate().map(|(n, text)| Sibling {
        job: JobId::new(),
        identity: identity(&format!("other-{n}")),
        work: work(text),
        behaviour: Vec::new(),
    });
    let cases = (0..20).map(|n| TestCase::new(format!("test_{n}"), TestOutcome::Passed)).collect();
    let report = TestReport::of(cases, EvidenceStrength::SameProcess);
    Evidence {
        job: JobId::new(),
        model: ModelId(1),
        identity: identity("mine"),
        language: Language::Python,
        siblings: siblings.collect(),
        work: work(mine),
        tests: TestEvidence::Ran(TestReport { wall: Duration::from_secs(1), fast_enough: true, ..report }),
        penalties: Vec::new(),
    }
}

fn assess(c: &mut Criterion) {
    let evidence = evidence();
    let scorer = FormulaScorer::new();
    c.bench_function("assess a job with 5 siblings of 20 KB", |b| b.iter(|| scorer.assess(black_box(&evidence))));
}

criterion_group!(benches, formula, assess);
criterion_main!(benches);
