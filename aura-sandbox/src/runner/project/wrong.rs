//! Other values: wrong for certain, of the same look, and none that a usual mistake would give.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Deserialize;

/// The letters and digits that stand for each other in a text.
const KINDS: [&str; 3] = ["abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"];
/// How far another number may be from a small one.
const REACH: i128 = 60;
/// The largest numbers that the usual types hold: another number must fit the type that the right one fits.
const LARGEST: [i128; 9] = [
    i8::MAX as i128,
    u8::MAX as i128,
    i16::MAX as i128,
    u16::MAX as i128,
    i32::MAX as i128,
    u32::MAX as i128,
    (1 << 53) - 1,
    i64::MAX as i128,
    u64::MAX as i128,
];
/// So many letters and digits of a text are in no other one by chance.
const LONG: usize = 5;
/// Letters of a text that is in nothing that was not made for it.
const RARE: &str = "bcdfghjklmnpqrstvwxz";

/// Chance that nobody can foresee.
#[derive(Debug)]
pub(super) struct Chance(StdRng);

impl Default for Chance {
    fn default() -> Self {
        Self(StdRng::from_os_rng())
    }
}

impl Chance {
    /// A number below this one; 0 when there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }

    /// A name that says nothing but its place among others.
    pub(super) fn name(&mut self, place: usize) -> String {
        let letters: String = (0..10).filter_map(|_| self.letter(KINDS[0])).collect();
        format!("test_{place:04}_{letters}")
    }

    fn letter(&mut self, of: &str) -> Option<char> {
        of.chars().nth(self.below(of.len()))
    }

    fn between(&mut self, least: i128, most: i128) -> i128 {
        self.0.random_range(least..=most)
    }
}

/// A value that a literal stands for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scalar {
    /// A whole number, and the suffix of its type.
    Int(i128, #[serde(default)] String),
    /// Another number, and the suffix of its type.
    Float(f64, #[serde(default)] String),
    Bool(bool),
    Text(String),
    /// One character.
    Char(char),
    /// A text of bytes.
    Bytes(Vec<u8>),
    /// One byte, as a character.
    Byte(u8),
    /// A name, out of the names of its kind.
    OneOf(String, Vec<String>),
}

impl Scalar {
    /// Whether there are so few other values that bad work may well give one.
    pub(super) const fn has_few_others(&self) -> bool {
        matches!(self, Self::Bool(_) | Self::OneOf(..) | Self::Int(0 | 1, _))
    }

    /// One of these values that can stand in its place, now and then; absent where none does.
    pub(super) fn like(&self, others: &[Self], chance: &mut Chance) -> Option<Self> {
        let fits = |other: &&Self| match (self, other) {
            (Self::Int(own, suffix), Self::Int(other, same)) => {
                own != other
                    && suffix == same
                    && largest(*own).is_some_and(|most| largest(*other) <= Some(most))
                    && (*own < 0) == (*other < 0)
            }
            (Self::Text(own), Self::Text(other)) => !own.eq_ignore_ascii_case(other),
            _ => false,
        };
        let fitting: Vec<&Self> = others.iter().filter(fits).collect();
        let one = fitting.get(chance.below(fitting.len()))?;
        (chance.below(2) == 0).then(|| (*one).clone())
    }

    /// The number that it is, if it is one.
    #[expect(clippy::cast_precision_loss, reason = "it is held against a tolerance")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value, _) => Some(*value as f64),
            Self::Float(value, _) => Some(*value),
            _ => None,
        }
    }

    /// Another value; absent where there is none. `far` from this one where a close value might do, or contain it.
    pub(super) fn wrong(&self, far: bool, chance: &mut Chance) -> Option<Self> {
        let new = match self {
            Self::Int(value, suffix) => Self::Int(wrong_int(*value, far, chance)?, suffix.clone()),
            Self::Float(value, suffix) => Self::Float(wrong_float(*value, far, chance)?, suffix.clone()),
            Self::Bool(value) => Self::Bool(!value),
            Self::Text(text) => Self::Text(wrong_text(text, far, chance)),
            Self::Char(c) => Self::Char(wrong_char(*c, chance)?),
            // An array of bytes has its length.
            Self::Bytes(bytes) if !bytes.iter().any(u8::is_ascii_alphanumeric) => return None,
            Self::Bytes(bytes) => {
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                Self::Bytes(wrong_text(&text, false, chance).chars().filter_map(|c| u8::try_from(c).ok()).collect())
            }
            Self::Byte(byte) => Self::Byte(u8::try_from(wrong_char(char::from(*byte), chance)?).ok()?),
            Self::OneOf(name, names) => {
                let mut others: Vec<&String> = names.iter().filter(|other| *other != name).collect();
                chance.shuffle(&mut others);
                Self::OneOf(others.first().copied()?.clone(), names.clone())
            }
        };
        (new != *self).then_some(new)
    }
}

/// The largest number of the smallest type that holds this one.
fn largest(value: i128) -> Option<i128> {
    // A type holds one more below zero.
    let size = if value < 0 { -(value + 1) } else { value };
    LARGEST.into_iter().find(|largest| size <= *largest)
}

fn wrong_int(value: i128, far: bool, chance: &mut Chance) -> Option<i128> {
    let most = largest(value)?;
    if !far && matches!(value, 0 | 1) {
        // A work would know these two by their looks.
        return Some(if chance.below(3) == 0 { 2 } else { 1 - value });
    }
    let (least, most) = if value < 0 { (-most - 1, -1) } else { (0, most) };
    let size = value.abs();
    let shunned = [value, value - 1, value + 1, -value, 0, 1, value.checked_mul(2)?, value.saturating_mul(value)];
    let reach = REACH.max(size / 2);
    let (from, to) = if far { (least, most) } else { (least.max(value - reach), most.min(value + reach)) };
    // There are 60 to choose from, and few are shunned.
    (0..1000)
        .map(|_| chance.between(from, to))
        .find(|new| !shunned.contains(new) && (!far || (new - value).abs() > size / 2 + 9))
}

fn wrong_float(value: f64, far: bool, chance: &mut Chance) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    let written = format!("{value:?}");
    let digits = if written.contains('e') { 12 } else { written.rsplit('.').next().map_or(1, str::len) };
    let scale = 10_f64.powi(i32::try_from(digits.min(15)).ok()?);
    let share = chance.0.random_range(0.1..0.6);
    let reach = if far { (value.abs() + 10.0) * (share + 0.5) } else { (value.abs() * share).max(7.0 / scale) };
    let signed = if chance.0.random_bool(0.5) { reach } else { -reach };
    let new = ((value + signed) * scale).round() / scale;
    #[expect(clippy::float_cmp, reason = "a value that is written alike is the same")]
    let other = new.is_finite() && new != value;
    other.then_some(new)
}

fn kind(c: char) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| kind.contains(c))
}

fn wrong_char(c: char, chance: &mut Chance) -> Option<char> {
    let kind = kind(c).unwrap_or(KINDS[0]);
    (0..100).find_map(|_| chance.letter(kind).filter(|other| !other.eq_ignore_ascii_case(&c)))
}

/// Another text of the same look, also apart from its case; when `far`, one that is in nothing that was not made for it.
fn wrong_text(text: &str, far: bool, chance: &mut Chance) -> String {
    let mut new: Vec<char> = text.chars().collect();
    let mut spots: Vec<usize> = (0..new.len()).filter(|at| new.get(*at).is_some_and(|c| kind(*c).is_some())).collect();
    chance.shuffle(&mut spots);
    for at in spots.iter().take(2) {
        if let Some(c) = new.get_mut(*at) {
            *c = wrong_char(*c, chance).unwrap_or(*c);
        }
    }
    let (more, of) = match (far && spots.len() < LONG, spots.is_empty()) {
        (true, _) => (3.max(8_usize.saturating_sub(new.len())), RARE),
        (false, true) => (2 + chance.below(3), KINDS[0]),
        (false, false) => (0, ""),
    };
    for _ in 0..more {
        let at = chance.below(new.len() + 1);
        new.splice(at..at, chance.letter(of));
    }
    new.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(value: &Scalar, far: bool) -> Option<Scalar> {
        value.wrong(far, &mut Chance::default())
    }

    proptest! {
        #[test]
        fn another_number_is_of_the_same_type_and_sign(value in -(1_i128 << 63) + 1..1 << 64, far: bool) {
            let Some(Scalar::Int(new, suffix)) = wrong(&Scalar::Int(value, "u8".to_owned()), far) else {
                return Err(TestCaseError::fail("there is another number"));
            };
            prop_assert!(new != value && suffix == "u8");
            prop_assert_eq!(new < 0, value < 0);
            prop_assert!(largest(new) <= largest(value));
        }

        #[test]
        fn another_text_is_as_long_and_differs_apart_from_its_case(text in "[a-zA-Z0-9 .é]{1,20}") {
            let Some(Scalar::Text(new)) = wrong(&Scalar::Text(text.clone()), false) else {
                return Err(TestCaseError::fail("there is another text"));
            };
            prop_assert!(!new.eq_ignore_ascii_case(&text));
            if text.contains(|c: char| c.is_ascii_alphanumeric()) {
                prop_assert_eq!(new.chars().count(), text.chars().count());
            }
            let Some(Scalar::Text(needle)) = wrong(&Scalar::Text(text.clone()), true) else {
                return Err(TestCaseError::fail("there is a text that is nowhere"));
            };
            prop_assert!(!text.contains(&needle));
        }

        #[test]
        fn another_fraction_differs_and_has_no_more_digits(value in -1e6_f64..1e6) {
            let value = (value * 100.0).round() / 100.0;
            let Some(Scalar::Float(new, _)) = wrong(&Scalar::Float(value, String::new()), false) else {
                return Err(TestCaseError::fail("there is another number"));
            };
            prop_assert!((new - value).abs() > 1e-9);
            prop_assert!(((new * 100.0).round() - new * 100.0).abs() < 1e-6);
        }
    }

    #[test]
    fn small_numbers_have_others_too() {
        for value in [0, 1, -1, -2, 2, 127, 128, 255, i128::from(u64::MAX)] {
            for far in [false, true] {
                assert!(wrong(&Scalar::Int(value, String::new()), far).is_some(), "{value} {far}");
            }
        }
        assert_eq!(wrong(&Scalar::Int(1 << 70, String::new()), false), None);
    }

    #[test]
    fn few_values_have_one_of_the_few_others_or_none() {
        assert_eq!(wrong(&Scalar::Bool(true), false), Some(Scalar::Bool(false)));
        let names = vec!["A".to_owned(), "B".to_owned()];
        let Some(Scalar::OneOf(other, _)) = wrong(&Scalar::OneOf("A".into(), names), false) else { unreachable!() };
        assert_eq!(other, "B");
        assert_eq!(wrong(&Scalar::OneOf("A".into(), vec!["A".into()]), false), None);
        for value in [Scalar::Char('x'), Scalar::Char('é'), Scalar::Byte(b'7'), Scalar::Bytes(b"ab".to_vec())] {
            assert!(wrong(&value, false).is_some_and(|new| new != value), "{value:?}");
        }
        assert_eq!(wrong(&Scalar::Float(f64::NAN, String::new()), false), None);
    }
}
