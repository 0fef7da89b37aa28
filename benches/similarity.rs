//! Text similarity beside strsim and the rapidfuzz crate on the same inputs, and what comes before it.
//!
//! The three do not compute the same figure: ours is the edit distance over tokens, theirs the one over characters.
//! Ours includes the lexing of both texts.

use std::hint::black_box;

use aura_orchestra::{
    core::Language,
    scoring::{
        extract::functions,
        similarity::{names, signatures, text},
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod sources;

fn pairs(c: &mut Criterion) {
    for (size, bytes) in [("2 KB", 2_000), ("20 KB", 20_000)] {
        let mine = sources::python(1, bytes);
        for (kind, other) in [("near", sources::edited(&mine)), ("unrelated", sources::python(2, bytes))] {
            let mut group = c.benchmark_group(format!("text {size} {kind}"));
            group.sample_size(10);
            group.bench_function("aura tokens", |b| {
                b.iter(|| text::similarity(black_box(&mine), black_box(&other), Language::Python));
            });
            group.bench_function("rapidfuzz levenshtein bytes", |b| {
                b.iter(|| {
                    let (mine, other) = (black_box(&mine).bytes(), black_box(&other).bytes());
                    rapidfuzz::distance::levenshtein::normalized_similarity(mine, other)
                });
            });
            group.bench_function("strsim normalized_levenshtein", |b| {
                b.iter(|| strsim::normalized_levenshtein(black_box(&mine), black_box(&other)));
            });
            group.finish();
        }
    }
}

fn structure(c: &mut Criterion) {
    let (mine, other) = (sources::python(1, 20_000), sources::python(2, 20_000));
    let mut group = c.benchmark_group("functions 20 KB");
    group.throughput(Throughput::Bytes(mine.len() as u64));
    group.bench_function("extract", |b| b.iter(|| functions(black_box(&mine), Language::Python)));
    group.finish();
    let (mine, other) = (functions(&mine, Language::Python), functions(&other, Language::Python));
    c.bench_function(&format!("names of {} and {} functions", mine.len(), other.len()), |b| {
        b.iter(|| names::similarity(black_box(&mine), black_box(&other)));
    });
    c.bench_function(&format!("signatures of {} and {} functions", mine.len(), other.len()), |b| {
        b.iter(|| signatures::similarity(black_box(&mine), black_box(&other)));
    });
}

/// Just below and above the length from which similarity is estimated.
fn long(c: &mut Criterion) {
    let mut group = c.benchmark_group("text long unrelated");
    group.sample_size(10);
    for (name, bytes) in [("60 KB exact", 60_000), ("1 MB estimated", 1_000_000)] {
        let (mine, other) = (sources::python(1, bytes), sources::python(2, bytes));
        group.bench_function(name, |b| {
            b.iter(|| text::similarity(black_box(&mine), black_box(&other), Language::Python));
        });
    }
    group.finish();
}

criterion_group!(benches, pairs, structure, long);
criterion_main!(benches);
