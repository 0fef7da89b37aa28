//! What was wrong with an attempt, for whoever tries next.

use serde::{Deserialize, Serialize};

use crate::{evidence::TestCase, prd::SourceFile};

/// Why the attempt before was rejected. All of it comes from the tests and from what was handed in; the tests' files do not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// In a sentence: why it was rejected.
    pub why: String,
    /// The tests that did not pass, with their messages.
    #[serde(default)]
    pub failed: Vec<TestCase>,
    /// The end of what the tests printed.
    #[serde(default)]
    pub output: String,
    /// What had been handed in.
    #[serde(default)]
    pub work: Vec<SourceFile>,
    /// The diffs that had been handed in.
    #[serde(default)]
    pub patches: Vec<String>,
}
