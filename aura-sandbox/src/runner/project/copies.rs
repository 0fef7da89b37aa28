//! Writes the copies of a suite's tests: for each run one of every test, which is the test itself or a twin of it.
//!
//! What can be made wrong is told by a reader of the language as places in the files' texts, so that all that is written here are edits.
//! Neither name, place nor form tells which copy is which: names are random, comments and messages are blanked, and the values that could
//! be made wrong are written in one way in all copies.

use std::fmt::Write as _;

use aura_core::SourceFile;
use serde::Deserialize;

use super::{
    plan::{Kind, Plan, Planned, PlannedRun, Twin},
    wrong::{Chance, Scalar},
};

/// Most characters of a twin's changed line that are told.
const SHOWN: usize = 300;
/// Most values that are kept to stand in place of others.
const VALUES: usize = 200;

/// The bytes from one offset up to another in a file's text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Span(pub(super) usize, pub(super) usize);

/// How a language writes what stands in a copy.
pub(super) trait Language {
    /// A value, as a literal.
    fn literal(&self, value: &Scalar) -> String;
    /// A name of a test that stands in place of another: an identifier, or a quoted text.
    fn name(&self, name: &str) -> String;
}

/// What a reader found in the pristine files.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Found {
    /// The tests, in the order of their files.
    pub(super) tests: Vec<Test>,
    /// What is left out of every copy, by file: comments, and messages of assertions.
    pub(super) blank: Vec<(usize, Span)>,
    /// What stands otherwise in every copy, by file.
    #[serde(default)]
    pub(super) always: Vec<(usize, Edit)>,
}

/// A test.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Test {
    /// The number of its file.
    pub(super) file: usize,
    /// What stands before its name in the report.
    pub(super) prefix: String,
    /// Its name.
    pub(super) name: String,
    /// Where the name stands, quotes and all.
    pub(super) name_at: Span,
    /// Whether its file marks a skip of it.
    pub(super) may_skip: bool,
    /// Why its passing proves little; empty when it proves much.
    pub(super) weak: String,
    /// Where it can be made wrong; none when it is weak altogether.
    pub(super) sites: Vec<Site>,
}

/// Where a test can be made wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Site {
    /// The statement around it, for people.
    pub(super) statement: Span,
    pub(super) way: Way,
}

/// How it is made wrong.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// In each of these groups, one literal gets another value: several groups are the rows of a table.
    Value(Vec<Vec<Literal>>),
    /// The same for what is looked for in something: what holds everything holds the other value too.
    Needle(Vec<Vec<Literal>>),
    /// What is asserted is turned around.
    Other(Vec<Edit>),
    /// Another failure is expected, or none.
    Raises(Vec<Edit>),
}

/// A value that is written out.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Literal {
    pub(super) at: Span,
    pub(super) value: Scalar,
    /// Whether a value close to it might do as well, or contain it.
    #[serde(default)]
    pub(super) far: bool,
}

/// A text in place of another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Edit {
    pub(super) at: Span,
    pub(super) text: String,
}

impl Way {
    /// What makes it wrong, and in which way; absent where no other value can be told.
    fn edits(&self, language: &dyn Language, right: &[Scalar], chance: &mut Chance) -> Option<(Vec<Edit>, Kind)> {
        let (groups, kind) = match self {
            Self::Other(edits) => return Some((edits.clone(), Kind::Other)),
            Self::Raises(edits) => return Some((edits.clone(), Kind::Raises)),
            Self::Value(groups) => (groups, Kind::Value),
            Self::Needle(groups) => (groups, Kind::Needle),
        };
        let mut is_likely = true;
        let edits = groups.iter().map(|group| {
            let mut order: Vec<&Literal> = group.iter().collect();
            chance.shuffle(&mut order);
            order.sort_by_key(|literal| literal.value.has_few_others());
            order.into_iter().find_map(|literal| {
                // What is right elsewhere looks like what is right: else a work would know the right values by their looks.
                let elsewhere = if literal.far { None } else { literal.value.like(right, chance) };
                is_likely &= elsewhere.is_some() || literal.value.has_few_others();
                let value = elsewhere.or_else(|| literal.value.wrong(literal.far, chance))?;
                Some(Edit { at: literal.at, text: language.literal(&value) })
            })
        });
        let edits: Vec<Edit> = edits.collect::<Option<_>>()?;
        // Bad work gives such a value by itself.
        Some((edits, if is_likely && kind == Kind::Value { Kind::Other } else { kind }))
    }

    /// The values that it writes out.
    fn literals(&self) -> impl Iterator<Item = &Literal> {
        match self {
            Self::Value(groups) | Self::Needle(groups) => groups.as_slice(),
            Self::Other(_) | Self::Raises(_) => &[],
        }
        .iter()
        .flatten()
    }
}

/// Plans the runs of these tests, and writes their copies.
///
/// # Errors
/// What in the files cannot be told apart, so that there are no copies.
pub(super) fn plan(language: &dyn Language, pristine: Vec<SourceFile>, found: Found) -> Result<Plan, String> {
    let mut chance = Chance::default();
    let Found { mut tests, blank, always } = found;
    for test in &mut tests {
        // Only what can be made wrong for certain is a site.
        test.sites.retain(|site| site.way.edits(language, &[], &mut chance).is_some());
        if test.sites.is_empty() && test.weak.is_empty() {
            "it asserts nothing that could be made wrong".clone_into(&mut test.weak);
        }
        let sites = &mut test.sites;
        chance.shuffle(sites);
    }
    let total = runs_for(&tests);
    let right: Vec<usize> =
        tests.iter().map(|test| if test.sites.is_empty() { 0 } else { chance.below(total) }).collect();
    // Lines stay where they are.
    let empty = |(file, at): (usize, Span)| {
        let text = pristine.get(file).and_then(|file| file.text.get(at.0..at.1)).unwrap_or_default();
        (file, Edit { at, text: " ".to_owned() + &"\n".repeat(text.matches('\n').count()) })
    };
    let all: Vec<(usize, Edit)> = always.into_iter().chain(blank.into_iter().map(empty)).collect();
    let mut values: Vec<Scalar> = Vec::new();
    for literal in tests.iter().flat_map(|test| &test.sites).flat_map(|site| site.way.literals()) {
        if values.len() < VALUES && !values.contains(&literal.value) {
            values.push(literal.value.clone());
        }
    }
    let suite =
        Suite { language, pristine: &pristine, tests: &tests, all: &all, values: &values, order: order(&tests) };
    let runs = (0..total).map(|at| suite.run(&right, at, &mut chance)).collect::<Result<Vec<_>, _>>()?;
    let planned = tests.iter().zip(&right).map(|(test, right)| Planned {
        id: format!("{}{}", test.prefix, test.name),
        file: pristine.get(test.file).map(|file| file.path.clone()).unwrap_or_default(),
        many: false,
        count: Some(1),
        may_skip: test.may_skip,
        weak: test.weak.clone(),
        right: *right,
    });
    Ok(Plan { tests: planned.collect(), runs, pristine, arguments: Vec::new(), may_not_build: true })
}

/// How often the suite is run: fewer tests need more runs for a guess to be as unlikely.
fn runs_for(tests: &[Test]) -> usize {
    let able = tests.iter().filter(|test| !test.sites.is_empty());
    let most = able.clone().map(|test| test.sites.len()).max();
    match (able.count(), most) {
        (0, _) => 0,
        (1 | 2, _) => 4,
        (3..=5, _) => 3,
        (_, most) if most > Some(1) => 3,
        _ => 2,
    }
}

/// Where each test stands among all when they are sorted by their names: some tools run them so.
fn order(tests: &[Test]) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..tests.len()).collect();
    sorted.sort_by_key(|at| tests.get(*at).map(|test| (test.file, &test.prefix, &test.name)));
    let mut order = vec![0; tests.len()];
    for (place, at) in sorted.into_iter().enumerate() {
        if let Some(own) = order.get_mut(at) {
            *own = place;
        }
    }
    order
}

/// What all runs have in common.
struct Suite<'a> {
    language: &'a dyn Language,
    pristine: &'a [SourceFile],
    tests: &'a [Test],
    /// Edits of every copy.
    all: &'a [(usize, Edit)],
    /// Values that are right somewhere.
    values: &'a [Scalar],
    order: Vec<usize>,
}

impl Suite<'_> {
    fn run(&self, right: &[usize], at: usize, chance: &mut Chance) -> Result<PlannedRun, String> {
        let mut edits: Vec<Vec<Edit>> = self.pristine.iter().map(|_| Vec::new()).collect();
        let mut add = |file: usize, edit: Edit| {
            if let Some(edits) = edits.get_mut(file) {
                edits.push(edit);
            }
        };
        for (file, edit) in self.all {
            add(*file, edit.clone());
        }
        let (mut names, mut twins) = (Vec::new(), Vec::new());
        for ((test, right), place) in self.tests.iter().zip(right).zip(&self.order) {
            let name = chance.name(*place);
            add(test.file, Edit { at: test.name_at, text: self.language.name(&name) });
            names.push(format!("{}{name}", test.prefix));
            // Each twin of a test is made wrong at its next place.
            let turn = at - usize::from(at > *right);
            let site = test.sites.get(turn % test.sites.len().max(1)).filter(|_| *right != at);
            let made = site.and_then(|site| Some((site, site.way.edits(self.language, self.values, chance)?)));
            let wrong = made.as_ref().map(|(_, (edits, _))| edits.as_slice()).unwrap_or_default();
            let plain = test.sites.iter().flat_map(|site| site.way.literals());
            let plain = plain.map(|literal| Edit { at: literal.at, text: self.language.literal(&literal.value) });
            for edit in plain.filter(|edit| wrong.iter().all(|wrong| wrong.at != edit.at)) {
                add(test.file, edit);
            }
            wrong.iter().for_each(|edit| add(test.file, edit.clone()));
            twins.push(made.map(|(site, (wrong, kind))| {
                let text = self.pristine.get(test.file).map(|file| file.text.as_str()).unwrap_or_default();
                Twin { kind, rows: Vec::new(), classes: Vec::new(), expects: shown(text, site.statement, &wrong) }
            }));
        }
        let files = self.pristine.iter().zip(edits).map(|(file, edits)| {
            let text = edited(&file.text, edits).ok_or_else(|| format!("{} is read in two ways", file.path))?;
            Ok(SourceFile::new(&file.path, text))
        });
        Ok(PlannedRun { files: files.collect::<Result<_, String>>()?, names, twins })
    }
}

/// A text with some of it replaced; absent where two edits are about the same part.
fn edited(text: &str, mut edits: Vec<Edit>) -> Option<String> {
    // What is put in stands before what is replaced at the same place, and both are once what two readers told alike.
    edits.sort_by_key(|edit| (edit.at.0, edit.at.1));
    edits.dedup();
    let (mut whole, mut from) = (String::with_capacity(text.len()), 0);
    for Edit { at: Span(start, end), text: new } in edits {
        whole.push_str(text.get(from..start)?);
        whole.push_str(&new);
        from = end;
    }
    whole.push_str(text.get(from..)?);
    Some(whole)
}

/// The first line of a statement as a twin has it.
fn shown(text: &str, statement: Span, wrong: &[Edit]) -> String {
    let inside = |edit: &&Edit| statement.0 <= edit.at.0 && edit.at.1 <= statement.1;
    let moved = |edit: &Edit| Edit {
        at: Span(edit.at.0.saturating_sub(statement.0), edit.at.1.saturating_sub(statement.0)),
        text: edit.text.clone(),
    };
    let own = text.get(statement.0..statement.1).unwrap_or_default();
    let mut line = edited(own, wrong.iter().filter(inside).map(moved).collect()).unwrap_or_default();
    // The values of a table stand elsewhere.
    for edit in wrong.iter().filter(|edit| !inside(edit)) {
        let _infallible = write!(line, " … {}", edit.text);
    }
    line.split('\n').map(str::trim).collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}
