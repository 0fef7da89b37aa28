//! Agreement with the work of other models on the same PRD.
//!
//! It says "wrote the same", not "is right": in the measurements behind DESIGN section 8 it told passing from failing
//! work only a little better than chance, so it weighs less than tests, and its `why` names what it was measured by.

use std::collections::{BTreeMap, BTreeSet};

use aura_core::{Fraction, ModelIdentity};

use super::{Measured, fraction, mean};
use crate::{
    code::Code,
    similarity::{
        names, signatures,
        text::{Comparer, Precision},
    },
};

/// Most models that a `why` lists by name.
const MAX_LISTED: usize = 5;

/// Agreement of one pair of works.
struct Pair {
    text: Fraction,
    precision: Precision,
    /// By names and by signatures; absent when neither side has a function.
    functions: Option<(Fraction, Fraction)>,
}

impl Pair {
    fn between(mine: &Code, comparer: &Comparer<'_>, other: &Code) -> Self {
        let (text, precision) = comparer.similarity(&other.tokens);
        let comparable = !(mine.functions.is_empty() && other.functions.is_empty());
        let functions = comparable.then(|| {
            let (mine, other) = (&mine.functions, &other.functions);
            (names::similarity(mine, other), signatures::similarity(mine, other))
        });
        Self { text, precision, functions }
    }

    /// Half text, a quarter names, a quarter signatures; text alone where there are no functions.
    fn value(&self) -> Fraction {
        self.functions.map_or(self.text, |(names, signatures)| {
            fraction(0.5 * self.text.get() + 0.25 * names.get() + 0.25 * signatures.get())
        })
    }

    fn describe(&self) -> String {
        let text = match self.precision {
            Precision::Exact => format!("text {:.2}", self.text),
            Precision::Estimate => format!("text about {:.2}, estimated for its length", self.text),
        };
        match self.functions {
            Some((names, signatures)) => format!("{text}, function names {names:.2}, signatures {signatures:.2}"),
            None => format!("{text}, no functions"),
        }
    }
}

/// Mean over the other models of how far their work agrees with `mine`: half text similarity, half names and
/// signatures of functions.
///
/// `others` are the siblings in any order. Models are told apart by provider and model, without regard to case: the
/// copies of one are one voice (the mean of its different works), and copies of the model that made `mine` have none.
/// A sibling whose work holds no code is left out, for there is nothing to agree with. Absent when nobody is left; 0
/// when only `mine` holds no code. Takes time by the product of the lengths, up to
/// [`MAX_EXACT_TOKENS`](crate::similarity::text::MAX_EXACT_TOKENS), then by their sum.
pub(crate) fn cross_model_agreement(
    identity: &ModelIdentity,
    mine: &Code,
    others: &[(&ModelIdentity, Code)],
) -> Measured {
    let own = voice(identity);
    let mut voices: BTreeMap<(String, String), Vec<&Code>> = BTreeMap::new();
    let mut empty = BTreeSet::new();
    for (identity, code) in others {
        let voice = voice(identity);
        if voice == own {
            continue;
        }
        if code.tokens.is_empty() {
            empty.insert(voice);
            continue;
        }
        let works = voices.entry(voice).or_default();
        if !works.iter().any(|known| known.tokens == code.tokens) {
            works.push(code);
        }
    }
    if voices.is_empty() {
        return Measured::absent(if !empty.is_empty() {
            "no other model handed in code"
        } else if others.is_empty() {
            "no other model worked on this"
        } else {
            "only copies of the same model worked on this"
        });
    }
    if mine.tokens.is_empty() {
        return Measured::as_value(Fraction::ZERO, "there is no code that could agree with that of other models");
    }
    let comparer = Comparer::new(&mine.tokens);
    let mut means = Vec::with_capacity(voices.len());
    let mut listed = Vec::new();
    for ((provider, model), works) in &voices {
        let pairs: Vec<Pair> = works.iter().map(|work| Pair::between(mine, &comparer, work)).collect();
        let Some(value) = mean(pairs.iter().map(Pair::value)) else { continue };
        means.push(value);
        if listed.len() < MAX_LISTED {
            let measured = match pairs.as_slice() {
                [only] => only.describe(),
                several => format!("mean of {} works", several.len()),
            };
            listed.push(format!("{provider}/{model} {value:.2} ({measured})"));
        }
    }
    let more = voices.len() - listed.len();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let models = if voices.len() == 1 { "1 other model" } else { &format!("{} other models", voices.len()) };
    let why = format!("mean over {models}, half text and half functions: {}{more}", listed.join(", "));
    Measured { value: mean(means), why }
}

fn voice(identity: &ModelIdentity) -> (String, String) {
    (identity.provider.trim().to_lowercase(), identity.model.trim().to_lowercase())
}
