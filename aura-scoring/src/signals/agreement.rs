//! Agreement with the work of other models on the same PRD: in what it does, where the suite has probes that both were given, else
//! in how it is written.
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

/// One model's work.
pub(crate) struct Work<'a> {
    pub(crate) identity: &'a ModelIdentity,
    pub(crate) code: Code,
    /// For each probe of the suite, a hash of what came back.
    pub(crate) behaviour: &'a [Option<String>],
}

/// Agreement of one pair of works.
enum Pair {
    /// Of so many probes, so many with the same answer.
    Behaviour {
        alike: usize,
        probes: usize,
    },
    Text(Likeness),
}

impl Pair {
    fn between(mine: &Work<'_>, comparer: &Comparer<'_>, other: &Work<'_>) -> Self {
        let probes = mine.behaviour.len();
        if probes == 0 || other.behaviour.len() != probes {
            return Self::Text(Likeness::between(&mine.code, comparer, &other.code));
        }
        // That nothing came back from either says nothing of what they would have answered.
        let both = mine.behaviour.iter().zip(other.behaviour);
        Self::Behaviour { alike: both.filter(|(mine, other)| mine.is_some() && mine == other).count(), probes }
    }

    #[expect(clippy::cast_precision_loss, reason = "a suite has few probes")]
    fn value(&self) -> Fraction {
        match self {
            Self::Behaviour { alike, probes } => fraction(*alike as f64 / *probes as f64),
            Self::Text(likeness) => likeness.value(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Behaviour { alike, probes } => format!("behaviour: {alike} of {probes} probes answered alike"),
            Self::Text(likeness) => likeness.describe(),
        }
    }
}

/// How alike two works are written.
struct Likeness {
    text: Fraction,
    precision: Precision,
    /// By names and by signatures; absent when neither side has a function.
    functions: Option<(Fraction, Fraction)>,
}

impl Likeness {
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

/// Mean over the other models of how far their work agrees with `mine`: by the share of probes with the same answer where both
/// answered the same probes, else half text similarity, half names and signatures of functions.
///
/// `others` are the siblings in any order. Models are told apart by provider and model, without regard to case: the
/// copies of one are one voice (the mean of its different works), and copies of the model that made `mine` have none.
/// A sibling whose work holds no code is left out, for there is nothing to agree with. Absent when nobody is left; 0
/// when only `mine` holds no code. Takes time by the product of the lengths, up to
/// [`MAX_EXACT_TOKENS`](crate::similarity::text::MAX_EXACT_TOKENS), then by their sum.
pub(crate) fn cross_model_agreement(mine: &Work<'_>, others: &[Work<'_>]) -> Measured {
    let own = voice(mine.identity);
    let mut voices: BTreeMap<(String, String), Vec<&Work<'_>>> = BTreeMap::new();
    let mut empty = BTreeSet::new();
    for work in others {
        let voice = voice(work.identity);
        if voice == own {
            continue;
        }
        if work.code.tokens.is_empty() {
            empty.insert(voice);
            continue;
        }
        let works = voices.entry(voice).or_default();
        if !works.iter().any(|known| known.code.tokens == work.code.tokens) {
            works.push(work);
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
    if mine.code.tokens.is_empty() {
        return Measured::as_value(Fraction::ZERO, "there is no code that could agree with that of other models");
    }
    let comparer = Comparer::new(&mine.code.tokens);
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
    let why = format!("mean over {models}: {}{more}", listed.join(", "));
    Measured { value: mean(means), why }
}

fn voice(identity: &ModelIdentity) -> (String, String) {
    (identity.provider.trim().to_lowercase(), identity.model.trim().to_lowercase())
}
