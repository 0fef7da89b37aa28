//! The system prompts, by role.

use std::{collections::BTreeMap, fs, path::Path};

use aura_core::{GenerateRequest, Role};

use super::{form, template::Template, words};
use crate::error::BuildError;

/// Largest template accepted, in bytes (64 KiB).
const MAX_TEMPLATE: u64 = 64 << 10;

const CODE: &str = "You work in the role of {{role}}. Do the task in {{language}}. Answer with one fenced code block that begins with \
                    ```{{fence}} and holds the whole file {{file}}: complete code that can be imported, with documentation, without \
                    example calls. A change to a given file may instead be a unified diff in a block that begins with ```diff.";
const TEXT: &str = "You work in the role of {{role}}. Do the task and answer with the result.";
const REVIEWER: &str = "You work in the role of {{role}}. Look for what is wrong: errors, cases that are not handled, promises that are \
                        not kept. Name the file and the line, say what happens, and how to mend it. Say nothing about what is right.";

/// The system prompts of an orchestra, one for each role. Those for `coder` and `reviewer` are built in, and every other role gets the
/// coder's; any of them can be replaced.
///
/// A prompt is a text with places: `{{role}}`, `{{language}}` (such as `Python 3`), `{{fence}}` (the word that opens a code block) and
/// `{{file}}` (where the solution belongs, such as `solution.py`).
///
/// # Examples
/// ```
/// use aura_adapters::PromptBook;
/// let book = PromptBook::default().role("reviewer", "You review {{language}}. Answer in one sentence.")?;
/// assert!(PromptBook::default().role("reviewer", "{{model}}").is_err());
/// # drop(book);
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PromptBook {
    roles: BTreeMap<String, Template>,
    others: Option<Template>,
}

impl PromptBook {
    /// Replaces the prompt for a role.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] for a role or a place that cannot be.
    pub fn role(mut self, role: &str, prompt: &str) -> Result<Self, BuildError> {
        let checked: Result<Role, _> = role.parse();
        if checked.is_err() {
            return Err(BuildError::invalid("prompts", format!("{role:?} cannot be the name of a role")));
        }
        self.roles.insert(role.to_owned(), Template::read(role, prompt)?);
        Ok(self)
    }

    /// Replaces the prompt for every role that has none of its own.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] for a place that cannot be.
    pub fn others(mut self, prompt: &str) -> Result<Self, BuildError> {
        self.others = Some(Template::read("other roles", prompt)?);
        Ok(self)
    }

    /// Reads prompts from a folder: `coder.txt` for the role `coder`, and so on; `default.txt` for all others. Files with other endings
    /// are passed over.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] names the file.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, BuildError> {
        let folder = folder.as_ref();
        let refuse = |path: &Path, why: String| BuildError::invalid("prompts", format!("{}: {why}", path.display()));
        let entries = fs::read_dir(folder).map_err(|error| refuse(folder, error.to_string()))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| refuse(folder, error.to_string()))?.path());
        }
        paths.sort();
        let mut book = Self::default();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "txt")) {
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            let size = fs::metadata(path).map_err(|error| refuse(path, error.to_string()))?.len();
            if size > MAX_TEMPLATE {
                return Err(refuse(path, format!("is {size} bytes long, at most {MAX_TEMPLATE} are accepted")));
            }
            let text = fs::read_to_string(path).map_err(|error| refuse(path, error.to_string()))?;
            let read = if name == "default" { book.others(&text) } else { book.role(name, &text) };
            book = read.map_err(|error| match error {
                BuildError::Invalid { reason, .. } => refuse(path, reason),
                other => other,
            })?;
        }
        Ok(book)
    }

    /// The system prompt for a request.
    pub(crate) fn system(&self, request: &GenerateRequest) -> String {
        let own = self.roles.get(request.role.as_str()).or(self.others.as_ref());
        let mut system = match own {
            Some(template) => template.fill(request),
            None => built_in(request).fill(request),
        };
        if let Some(form) = form(&request.format) {
            system.push_str("\n\n");
            system.push_str(&form);
        }
        system
    }
}

fn built_in(request: &GenerateRequest) -> Template {
    let text = if request.role.as_str() == "reviewer" {
        REVIEWER
    } else if words(request.language).is_none() || !request.format.is_free() {
        TEXT
    } else {
        CODE
    };
    Template::built_in(text.to_owned())
}

#[cfg(test)]
mod tests {
    use aura_core::{AnswerFormat, Language};

    use super::*;

    fn request(role: &str, language: Language) -> GenerateRequest {
        GenerateRequest { role: role.parse().unwrap(), language, ..GenerateRequest::new("x") }
    }

    #[test]
    fn a_coder_is_told_the_language_the_fence_and_the_file() {
        let system = PromptBook::default().system(&request("coder", Language::Rust));
        assert!(system.contains("in Rust") && system.contains("```rust") && system.contains("src/lib.rs"), "{system}");
    }

    #[test]
    fn a_replaced_prompt_is_used_for_its_role_alone() {
        let book = PromptBook::default().role("coder", "Mine.").unwrap();
        assert_eq!(book.system(&request("coder", Language::Python)), "Mine.");
        assert!(book.system(&request("tester", Language::Python)).contains("role of tester"));
        let book = book.others("Yours, {{role}}.").unwrap();
        assert_eq!(book.system(&request("tester", Language::Python)), "Yours, tester.");
        assert_eq!(book.system(&request("coder", Language::Python)), "Mine.");
    }

    #[test]
    fn the_form_of_the_answer_is_said_whatever_the_template() {
        let mut request = request("coder", Language::Text);
        request.format = AnswerFormat::JsonSchema(serde_json::json!({ "type": "object" }));
        let system = PromptBook::default().role("coder", "Mine.").unwrap().system(&request);
        assert!(system.starts_with("Mine.") && system.contains(r#"{"type":"object"}"#), "{system}");
    }
}
