//! Stored pieces of a generation, and the work that they add up to.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    generation::ParsedAnswer,
    ids::{ArtifactId, JobId, ModelId},
    prd::{Language, SourceFile},
    standing::text_enum,
};

text_enum!(
    /// What a piece is.
    ArtifactKind, "artifact type" {
        /// A unified diff, for people to read.
        Diff => "diff",
        /// A unified diff to be applied.
        Patch => "patch",
        /// Files, or an answer as text.
        Result => "result",
        /// Prose about the work.
        Docs => "docs",
    }
);

/// A piece that is not stored yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewArtifact {
    /// What it is.
    #[serde(rename = "artifact_type")]
    pub kind: ArtifactKind,
    /// The piece itself: `{"files": [{path, text}]}`, `{"patch": "…"}`, `{"text": "…"}`, or a bare string.
    #[serde(rename = "artifact")]
    pub body: Value,
}

impl NewArtifact {
    /// Largest body accepted, in bytes of JSON (8 MiB).
    pub const MAX_BYTES: usize = 8 << 20;

    /// Whole files.
    #[must_use]
    pub fn files(files: &[SourceFile]) -> Self {
        Self { kind: ArtifactKind::Result, body: json!({ "files": files }) }
    }

    /// A unified diff to be applied.
    #[must_use]
    pub fn patch(patch: &str) -> Self {
        Self { kind: ArtifactKind::Patch, body: json!({ "patch": patch }) }
    }

    /// Prose about the work.
    #[must_use]
    pub fn docs(text: &str) -> Self {
        Self { kind: ArtifactKind::Docs, body: json!({ "text": text }) }
    }
}

/// A stored piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its number in the store.
    pub id: ArtifactId,
    /// The job it came from.
    pub job_id: JobId,
    /// The attempt it came from.
    pub attempt: u32,
    /// The model that made it.
    pub model_id: ModelId,
    /// What it is, and the piece itself.
    #[serde(flatten)]
    pub content: NewArtifact,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// What a model handed in, as scorers and sandboxes see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Submission {
    /// Whole files.
    pub files: Vec<SourceFile>,
    /// Unified diffs, in the order they came.
    pub patches: Vec<String>,
    /// Prose about the work.
    pub docs: String,
}

impl Submission {
    /// Adds up one attempt's artifacts. What comes from a worker that wrote plain text is read like a model's answer:
    /// code out of fences, diffs as patches.
    pub fn from_artifacts<'a>(artifacts: impl IntoIterator<Item = &'a NewArtifact>, language: Language) -> Self {
        let mut work = Self::default();
        for artifact in artifacts {
            work.add(artifact, language);
        }
        work
    }

    fn add(&mut self, artifact: &NewArtifact, language: Language) {
        let body = &artifact.body;
        let text = ["patch", "diff", "text", "docs", "code", "output", "content", "result"]
            .iter()
            .find_map(|key| body.get(key).and_then(Value::as_str))
            .or_else(|| body.as_str())
            .unwrap_or_default();
        match artifact.kind {
            ArtifactKind::Docs => self.add_docs(text),
            ArtifactKind::Diff | ArtifactKind::Patch => self.add_patch(text),
            ArtifactKind::Result => {
                match body.get("files").and_then(|files| Vec::<SourceFile>::deserialize(files).ok()) {
                    Some(files) => self.files.extend(files),
                    None => self.add_answer(text, language),
                }
            }
        }
    }

    fn add_answer(&mut self, text: &str, language: Language) {
        let parsed = ParsedAnswer::read(text, language);
        self.add_docs(&parsed.prose);
        self.files.extend(parsed.files);
        self.add_patch(parsed.patch.as_deref().unwrap_or_default());
    }

    /// A patch that came before, as an artifact of its own or within an answer, is not applied twice.
    fn add_patch(&mut self, text: &str) {
        let is_known = self.patches.iter().any(|known| known.trim() == text.trim());
        if !text.is_empty() && !is_known {
            self.patches.push(text.to_owned());
        }
    }

    fn add_docs(&mut self, text: &str) {
        if !text.is_empty() {
            if !self.docs.is_empty() {
                self.docs.push('\n');
            }
            self.docs.push_str(text);
        }
    }

    /// All code in one text, for comparing.
    #[must_use]
    pub fn code(&self) -> String {
        let files = self.files.iter().map(|file| file.text.as_str());
        files.chain(self.patches.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
    }

    /// Whether there is neither code nor a patch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.text.trim().is_empty()) && self.patches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_string_of_fenced_code_becomes_the_solution_file() {
        let artifact = NewArtifact { kind: ArtifactKind::Result, body: json!("```python\nx = 1\n```") };
        let work = Submission::from_artifacts([&artifact], Language::Python);
        assert_eq!(work.files, [SourceFile::new("solution.py", "x = 1\n")]);
    }

    #[test]
    fn the_same_patch_sent_as_diff_and_patch_is_applied_once() {
        let patch = NewArtifact::patch("--- a/x\n+++ b/x\n");
        let diff = NewArtifact { kind: ArtifactKind::Diff, body: patch.body.clone() };
        assert_eq!(Submission::from_artifacts([&patch, &diff], Language::Python).patches.len(), 1);
    }

    #[test]
    fn the_same_patch_sent_alone_and_within_an_answer_is_applied_once() {
        let text = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n";
        let body = json!({ "output": format!("Here it is:\n```diff\n{text}```\n") });
        let answer = NewArtifact { kind: ArtifactKind::Result, body };
        let patch = NewArtifact::patch(text);
        for pieces in [[&patch, &answer], [&answer, &patch], [&answer, &answer]] {
            assert_eq!(Submission::from_artifacts(pieces, Language::Python).patches.len(), 1);
        }
    }
}
