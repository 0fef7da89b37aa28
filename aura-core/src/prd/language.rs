//! The programming language of the work asked for.

use serde::{Deserialize, Serialize};

/// The programming language of the work asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Language {
    /// Python 3.
    #[default]
    Python,
    /// Rust.
    Rust,
    /// JavaScript.
    #[serde(alias = "js", alias = "node")]
    Javascript,
    /// Prose, or anything else.
    Text,
}

impl Language {
    /// The file that a single piece of code is written to, e.g. `solution.py`.
    #[must_use]
    pub const fn solution_path(self) -> &'static str {
        match self {
            Self::Python => "solution.py",
            Self::Rust => "src/lib.rs",
            Self::Javascript => "solution.js",
            Self::Text => "solution.txt",
        }
    }

    /// The language that a Markdown fence's info string names, e.g. `py` or `rust`.
    #[must_use]
    pub fn from_fence(info: &str) -> Option<Self> {
        match info.trim().to_ascii_lowercase().as_str() {
            "python" | "py" | "python3" => Some(Self::Python),
            "rust" | "rs" => Some(Self::Rust),
            "javascript" | "js" | "node" | "mjs" => Some(Self::Javascript),
            _ => None,
        }
    }
}
