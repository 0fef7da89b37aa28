//! Scores worked out by hand, row by row.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aura_core::{Fraction, Penalty, Signals};
use aura_scoring::{Weights, attainable, score_from_signals};

/// An absent signal is written as `ABSENT`.
const ABSENT: f64 = -1.0;

struct Row {
    /// Tests, agreement, docs, performance.
    signals: [f64; 4],
    penalties: f64,
    score: f64,
    attainable: f64,
}

const fn row(signals: [f64; 4], penalties: f64, score: f64, attainable: f64) -> Row {
    Row { signals, penalties, score, attainable }
}

const ROWS: [Row; 18] = [
    // All at their best: 0.40 + 0.30 + 0.10 + 0.10 = 0.90; nobody reaches 1.
    row([1.0, 1.0, 1.0, 1.0], 0.0, 0.90, 0.90),
    // All measured and all nothing.
    row([0.0, 0.0, 0.0, 0.0], 0.0, 0.0, 0.90),
    // Nothing measured: nothing earned, and nothing was to be earned.
    row([ABSENT, ABSENT, ABSENT, ABSENT], 0.0, 0.0, 0.0),
    // Alone on a job: 0.40 + 0.10 + 0.10 = 0.60 is the ceiling.
    row([1.0, ABSENT, 1.0, 1.0], 0.0, 0.60, 0.60),
    // Alone, undocumented, half the tests: 0.40 x 0.5 + 0.10 x 0 + 0.10 = 0.30.
    row([0.5, ABSENT, 0.0, 1.0], 0.0, 0.30, 0.60),
    // Each signal alone at its best is its weight.
    row([1.0, ABSENT, ABSENT, ABSENT], 0.0, 0.40, 0.40),
    row([ABSENT, 1.0, ABSENT, ABSENT], 0.0, 0.30, 0.30),
    row([ABSENT, ABSENT, 1.0, ABSENT], 0.0, 0.10, 0.10),
    row([ABSENT, ABSENT, ABSENT, 1.0], 0.0, 0.10, 0.10),
    // 0.40 x 0.875 = 0.35; 0.30 x 0.6 = 0.18; 0.10 x 0.7 = 0.07; 0.10: together 0.70.
    row([0.875, 0.6, 0.7, 1.0], 0.0, 0.70, 0.90),
    // The same with a penalty of 1: 0.70 - 0.25 = 0.45. A penalty leaves what was attainable as it is.
    row([0.875, 0.6, 0.7, 1.0], 1.0, 0.45, 0.90),
    // Half a penalty: 0.70 - 0.125 = 0.575.
    row([0.875, 0.6, 0.7, 1.0], 0.5, 0.575, 0.90),
    // Clamped below: 0.90 - 0.25 x 4 = -0.10.
    row([1.0, 1.0, 1.0, 1.0], 4.0, 0.0, 0.90),
    // Just at the lower end: 0.90 - 0.25 x 3.6 = 0.
    row([1.0, 1.0, 1.0, 1.0], 3.6, 0.0, 0.90),
    // The heaviest penalty there is: 0.90 - 25.
    row([1.0, 1.0, 1.0, 1.0], 100.0, 0.0, 0.90),
    // A penalty with nothing measured: 0 - 0.25, clamped.
    row([ABSENT, ABSENT, ABSENT, ABSENT], 1.0, 0.0, 0.0),
    // No tests asked for, two models: 0.30 x 0.5 + 0.10 x 0.8 = 0.15 + 0.08 = 0.23, of 0.30 + 0.10 = 0.40.
    row([ABSENT, 0.5, 0.8, ABSENT], 0.0, 0.23, 0.40),
    // Tests at three quarters, slow: 0.40 x 0.75 + 0.30 x 0.5 + 0.10 x 0.5 + 0 = 0.30 + 0.15 + 0.05 = 0.50.
    row([0.75, 0.5, 0.5, 0.0], 0.0, 0.50, 0.90),
];

fn signals(values: [f64; 4]) -> Signals {
    let [test_score, cross_model_agreement, docs_quality, performance_ok] =
        values.map(|value| (value != ABSENT).then(|| Fraction::new(value).unwrap()));
    Signals { test_score, cross_model_agreement, docs_quality, performance_ok, coverage: None }
}

#[test]
fn every_score_is_what_a_hand_makes_it() {
    for row in ROWS {
        let signals = signals(row.signals);
        let score = score_from_signals(&signals, Penalty::new(row.penalties).unwrap()).get();
        assert!((score - row.score).abs() < 1e-12, "{:?} - {}: {score}", row.signals, row.penalties);
    }
}

#[test]
fn what_was_attainable_is_the_sum_of_the_weights_present() {
    for row in ROWS {
        let attainable = attainable(&signals(row.signals)).get();
        assert!((attainable - row.attainable).abs() < 1e-12, "{:?}: {attainable}", row.signals);
    }
}

#[test]
fn weights_of_your_own_that_sum_to_more_than_one_are_clamped_above() {
    let most = Fraction::MAX;
    let weights = Weights::DOCUMENT.tests(most).agreement(most);
    // 1 + 1 + 0.10 + 0.10 = 2.20, clamped.
    assert_eq!(weights.score(&signals([1.0; 4]), Penalty::ZERO), 1.0);
    assert_eq!(weights.attainable(&signals([1.0; 4])), 1.0);
}

#[test]
fn coverage_is_no_part_of_the_score() {
    let plain = signals([0.5; 4]);
    let covered = Signals { coverage: Some(Fraction::MAX), ..plain };
    assert_eq!(score_from_signals(&plain, Penalty::ZERO), score_from_signals(&covered, Penalty::ZERO));
    assert_eq!(attainable(&plain), attainable(&covered));
}
