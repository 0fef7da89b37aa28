//! Tests as data: calls with the answers that are right, which the code under test never sees.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NewPrd, language::Language, seconds, suite::TestSuite};
use crate::error::{Error, Result};

/// Calls of the work, with the answers that are right.
///
/// Only the inputs reach the process that the code under test runs in; its answers are compared outside. So code can fake nothing but
/// answers, and it does not know which are right.
///
/// # Examples
/// ```
/// use aura_core::{Case, Cases, TestSuite};
/// use serde_json::json;
/// let cases = Cases::python("add").case([json!(1), json!(2)], json!(3)).raises([json!("x"), json!(2)], "TypeError");
/// let suite = TestSuite::cases(cases);
/// # assert_eq!(serde_json::from_value::<TestSuite>(serde_json::to_value(&suite)?)?, suite);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cases {
    /// What is called.
    pub call: Call,
    /// Inputs, and what is right for each.
    pub cases: Vec<Case>,
    /// Inputs for which nobody knows what is right. A hash of what comes back tells whether two models' work behaves alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Input>,
    /// Wall time after which one call or probe is ended, and the next one made. Absent: a quarter of what is left of the suite's time, and
    /// an equal share of it once fewer than four are left. Building and loading the work are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds::maybe")]
    pub case_time: Option<Duration>,
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Call {
    /// A function of one file, with JSON values as its arguments.
    Function {
        /// Python, Rust or JavaScript.
        language: Language,
        /// Where it is; [`Language::solution_path`] unless the suite says otherwise.
        file: String,
        /// Its name.
        name: String,
    },
    /// A program: arguments and standard input go in, standard output comes out.
    Program {
        /// Builds it first, where it has to be built; run in the workspace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        build: Vec<String>,
        /// Program and first arguments, run in the workspace.
        command: Vec<String>,
    },
}

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Input {
    /// Arguments: any JSON for a function, texts for a program.
    pub args: Vec<Value>,
    /// Standard input; for a program only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stdin: String,
}

/// One call, and what is right for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its name in the report (default: `case` and its number).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What goes in.
    #[serde(flatten)]
    pub input: Input,
    /// What is right.
    #[serde(flatten)]
    pub expected: Expected,
}

/// What is right for a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Expected {
    /// This value. Integers are compared exactly; where one side is a fraction, to 9 digits. Of a program, a text: its standard output,
    /// without blanks at the ends of lines and without empty lines at the end.
    #[serde(rename = "expected")]
    Returns(Value),
    /// An exception of this name, or a panic (`panic`) in Rust.
    #[serde(rename = "raises")]
    Raises(String),
}

impl Cases {
    /// Most calls and probes of one suite.
    pub const MAX: usize = 10_000;

    /// Calls of a function in `solution.py`.
    #[must_use]
    pub fn python(name: impl Into<String>) -> Self {
        Self::function(Language::Python, name)
    }

    /// Calls of a function of the language's one file, [`Language::solution_path`].
    #[must_use]
    pub fn function(language: Language, name: impl Into<String>) -> Self {
        Self::of(Call::Function { language, file: language.solution_path().to_owned(), name: name.into() })
    }

    /// Runs of a program.
    pub fn program<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self::of(Call::Program { build: Vec::new(), command: command.into_iter().map(Into::into).collect() })
    }

    /// Calls of anything.
    #[must_use]
    pub const fn of(call: Call) -> Self {
        Self { call, cases: Vec::new(), probes: Vec::new(), case_time: None }
    }

    /// Adds a call and the value that is right for it.
    #[must_use]
    pub fn case(self, args: impl IntoIterator<Item = Value>, expected: Value) -> Self {
        self.with(Input { args: args.into_iter().collect(), stdin: String::new() }, Expected::Returns(expected))
    }

    /// Adds a call that is to fail with this exception.
    #[must_use]
    pub fn raises(self, args: impl IntoIterator<Item = Value>, exception: impl Into<String>) -> Self {
        self.with(Input { args: args.into_iter().collect(), stdin: String::new() }, Expected::Raises(exception.into()))
    }

    /// Adds a run of a program with this standard input, and the standard output that is right for it.
    #[must_use]
    pub fn prints(self, stdin: impl Into<String>, stdout: impl Into<String>) -> Self {
        self.with(Input { args: Vec::new(), stdin: stdin.into() }, Expected::Returns(Value::String(stdout.into())))
    }

    /// Adds an input for which nobody knows what is right.
    #[must_use]
    pub fn probe(mut self, args: impl IntoIterator<Item = Value>) -> Self {
        self.probes.push(Input { args: args.into_iter().collect(), stdin: String::new() });
        self
    }

    /// Ends each call after `time`, so that one that never comes back costs the others nothing (default: see [`Cases::case_time`]).
    #[must_use]
    pub const fn case_time(mut self, time: Duration) -> Self {
        self.case_time = Some(time);
        self
    }

    fn with(mut self, input: Input, expected: Expected) -> Self {
        self.cases.push(Case { name: String::new(), input, expected });
        self
    }

    /// What the report calls the case of this number, which counts from 0.
    #[must_use]
    pub fn name_of(&self, number: usize) -> String {
        let given = self.cases.get(number).map(|case| case.name.as_str()).filter(|name| !name.is_empty());
        given.map_or_else(|| format!("case {}", number.saturating_add(1)), str::to_owned)
    }

    pub(super) fn size(&self) -> usize {
        // Values that came from JSON go back to it.
        serde_json::to_vec(self).map_or(usize::MAX, |text| text.len())
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.size() > NewPrd::MAX_FILES {
            return Err(Error::invalid("tests.cases", format!("more than {} bytes as JSON", NewPrd::MAX_FILES)));
        }
        if self.case_time.is_some_and(|time| time.is_zero() || time > TestSuite::MAX_TIMEOUT) {
            return Err(Error::invalid("tests.case_time", "must be more than 0 and at most 3600 seconds"));
        }
        if self.cases.is_empty() {
            return Err(Error::invalid("tests.cases", "is empty: give at least one call and what is right for it"));
        }
        if self.cases.len().saturating_add(self.probes.len()) > Self::MAX {
            return Err(Error::invalid("tests.cases", format!("more than {} calls and probes", Self::MAX)));
        }
        let mut names = std::collections::HashSet::new();
        if let Some(twice) =
            (0..self.cases.len()).map(|number| self.name_of(number)).find(|name| !names.insert(name.clone()))
        {
            return Err(Error::invalid(
                "tests.cases",
                format!("two cases are called {twice:?}: a report tells them apart by name"),
            ));
        }
        let inputs = self.cases.iter().map(|case| &case.input).chain(&self.probes);
        match &self.call {
            Call::Function { language, file, name } => {
                if *language == Language::Text {
                    return Err(Error::invalid(
                        "tests.call.language",
                        "functions are called in python, rust and javascript",
                    ));
                }
                if file.trim().is_empty() || !is_name(name) {
                    let reason = "name the file and the function, such as solution.py and add";
                    return Err(Error::invalid("tests.call.function", reason));
                }
                if inputs.into_iter().any(|input| !input.stdin.is_empty()) {
                    return Err(Error::invalid("tests.cases", "a function has no stdin: give args"));
                }
            }
            Call::Program { command, .. } => {
                if command.iter().all(|part| part.trim().is_empty()) {
                    return Err(Error::invalid("tests.call.program", "is empty: name the program"));
                }
                if inputs.into_iter().any(|input| input.args.iter().any(|arg| !arg.is_string())) {
                    return Err(Error::invalid("tests.cases", "a program's args are texts"));
                }
                let is_text = |case: &Case| matches!(&case.expected, Expected::Returns(Value::String(_)));
                if !self.cases.iter().all(is_text) {
                    return Err(Error::invalid(
                        "tests.cases",
                        "of a program, the standard output is expected, as a text",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether code can spell it: letters, digits and underscores, in parts that dots or colons join.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.chars().all(|c| c.is_alphanumeric() || c == '_') && part.chars().next().is_some_and(|c| !c.is_numeric())
    };
    name.split('.').flat_map(|part| part.split("::")).all(is_part)
}
