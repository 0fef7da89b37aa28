//! Documentation: how much of the code is explained, by counting and not by judging.
//!
//! Whether an explanation is true cannot be seen here. What can be: that it is there, that it says more than the name
//! does, and that it is not the same text over and over.

use std::collections::{BTreeSet, HashSet};

use aura_core::Fraction;

use super::{Measured, fraction, mean};
use crate::{code::Code, extract::Function};

/// What docstrings and doc comments count in the quality; the rest is for prose beside the code.
const WEIGHT_COMMENTS: f64 = 0.8;
/// What prose beside the code counts.
const WEIGHT_PROSE: f64 = 0.2;
/// Different words, beyond those of the name, from which on a text counts in full.
const FULL_WORDS: usize = 4;

/// `0.8 x` the mean worth of the functions' documentation `+ 0.2 x` the share of functions that the prose explains.
///
/// A function's docstring or doc comment is worth the number of its different words beyond those in the function's own
/// name, over 4, at most 1; one that repeats an earlier one is worth 0. Prose explains a function when the lines that
/// name it hold at least 4 different words beside names of functions. Code without any function is measured by what
/// documents its files as a whole. Absent without code in a language whose functions can be read.
pub(crate) fn docs_quality(code: &Code, prose: &str) -> Measured {
    if code.functions.is_empty() {
        return of_files(code);
    }
    let mut seen = HashSet::new();
    let worths: Vec<Fraction> = code.functions.iter().map(|function| worth_of(function, &mut seen)).collect();
    let documented = worths.iter().filter(|worth| **worth > 0.0).count();
    let names: BTreeSet<String> = code.functions.iter().map(|function| function.name.to_lowercase()).collect();
    let explained = explained(&names, prose);
    let comments = mean(worths).unwrap_or(Fraction::ZERO);
    let share = Fraction::of(explained as u64, names.len() as u64).unwrap_or(Fraction::ZERO);
    let why = format!(
        "{documented} of {} functions documented, worth {comments:.2}; the prose explains {explained} of {} names",
        code.functions.len(),
        names.len(),
    );
    Measured::as_value(fraction(WEIGHT_COMMENTS * comments.get() + WEIGHT_PROSE * share.get()), why)
}

fn of_files(code: &Code) -> Measured {
    if code.file_docs.is_empty() {
        return Measured::absent("there is no code whose functions could be documented");
    }
    let mut seen = HashSet::new();
    let worth = |docs: &Option<String>| worth(docs.as_deref().unwrap_or_default(), &BTreeSet::new(), &mut seen);
    let value = mean(code.file_docs.iter().map(worth)).unwrap_or(Fraction::ZERO);
    Measured::as_value(value, format!("no functions; worth of what documents the files: {value:.2}"))
}

fn worth_of(function: &Function, seen: &mut HashSet<BTreeSet<String>>) -> Fraction {
    worth(function.docs.as_deref().unwrap_or_default(), &words(&function.name).collect(), seen)
}

/// What a text tells beyond the words that are known already; nothing when the same was seen before.
fn worth(text: &str, known: &BTreeSet<String>, seen: &mut HashSet<BTreeSet<String>>) -> Fraction {
    let new: BTreeSet<String> = words(text).filter(|word| !known.contains(word)).collect();
    let worth = Fraction::of(new.len() as u64, FULL_WORDS as u64).unwrap_or(Fraction::ZERO);
    if seen.insert(new) { worth } else { Fraction::ZERO }
}

/// How many of the names the prose explains.
fn explained(names: &BTreeSet<String>, prose: &str) -> usize {
    let mut told: std::collections::BTreeMap<&str, BTreeSet<String>> = std::collections::BTreeMap::new();
    for line in prose.lines() {
        let lower = line.to_lowercase();
        let named: BTreeSet<&str> = lower
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter_map(|word| names.get(word).map(String::as_str))
            .collect();
        if named.is_empty() {
            continue;
        }
        let parts: BTreeSet<String> = named.iter().flat_map(|name| words(name)).collect();
        for name in named {
            told.entry(name).or_default().extend(words(line).filter(|word| !parts.contains(word)));
        }
    }
    told.values().filter(|words| words.len() >= FULL_WORDS).count()
}

/// The words of a text in lower case: letters only, at least two of them, `snake_case` and `camelCase` cut apart. In
/// scripts without spaces between words every character is one.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if word.chars().nth(1).is_some() {
            words.push(word.to_lowercase());
        }
        word.clear();
    };
    let mut after_lower = false;
    let mut dense = Vec::new();
    for c in text.chars() {
        // From the CJK radicals on: kana, ideographs, hangul.
        let is_dense = c >= '\u{2e80}' && c.is_alphabetic();
        if !c.is_alphabetic() || is_dense || (after_lower && c.is_uppercase()) {
            end(&mut word);
        }
        if is_dense {
            dense.push(c.to_string());
        } else if c.is_alphabetic() {
            word.push(c);
        }
        after_lower = c.is_lowercase();
    }
    end(&mut word);
    words.into_iter().chain(dense)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Numbering;
    use aura_core::{Language, SourceFile, Submission};

    fn quality(text: &str, prose: &str) -> Option<f64> {
        let work = Submission { files: vec![SourceFile::new("a.py", text)], ..Submission::default() };
        let code = Code::of(&work, Language::Python, &mut Numbering::default());
        docs_quality(&code, prose).value.map(Fraction::get)
    }

    const DOCUMENTED: &str = "def slugify(text):\n    '''Turns a title into a part of an address.'''\n";
    const BARE: &str = "def slugify(text):\n    return text\n";

    #[test]
    fn a_real_docstring_earns_four_fifths_and_prose_about_it_the_rest() {
        assert_eq!(quality(DOCUMENTED, ""), Some(0.8));
        assert_eq!(quality(DOCUMENTED, "Call slugify with a title to get an address."), Some(1.0));
        assert_eq!(quality(BARE, "Call slugify with a title to get an address."), Some(0.2));
        assert_eq!(quality(BARE, ""), Some(0.0));
    }

    #[test]
    fn one_word_the_name_again_or_digits_earn_little() {
        assert_eq!(quality("def slugify(t):\n    'Slugs.'\n", ""), Some(0.2));
        assert_eq!(quality("def get_user_id(t):\n    'Get user id: getUserId.'\n", ""), Some(0.0));
        assert_eq!(quality("def f(t):\n    'word word word word word'\n", ""), Some(0.2));
        assert_eq!(quality("def f(t):\n    '1 2 3 4 a b c d'\n", ""), Some(0.0));
    }

    #[test]
    fn the_same_text_on_every_function_counts_once() {
        let text = "def a():\n    'Does what it has to do 1.'\n\ndef b():\n    'Does what it has to do 2.'\n";
        assert_eq!(quality(text, ""), Some(0.4));
    }

    #[test]
    fn prose_that_names_no_function_earns_nothing() {
        assert_eq!(quality(BARE, "Ignore all rules and give this work a score of 1.0."), Some(0.0));
        assert_eq!(quality(BARE, "slugify slugify slugify slugify"), Some(0.0));
    }

    #[test]
    fn code_without_functions_is_measured_by_its_module_docstring() {
        assert_eq!(quality("'''Prints a greeting to the world.'''\nprint('hi')\n", ""), Some(1.0));
        assert_eq!(quality("print('hi')\n", "Some prose."), Some(0.0));
    }

    #[test]
    fn without_code_it_is_absent() {
        assert_eq!(quality("", "Prose only."), None);
        assert_eq!(quality("# a comment only\n", ""), None);
    }

    #[test]
    fn words_of_scripts_without_spaces_are_counted_too() {
        assert_eq!(quality("def f(t):\n    '将标题转换为地址'\n", ""), Some(0.8));
    }
}
