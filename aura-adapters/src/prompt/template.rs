//! System prompts with places that are filled in.

use aura_core::{GenerateRequest, Language};

use super::words;
use crate::error::BuildError;

/// The places that a template may have.
const PLACES: [&str; 4] = ["role", "language", "fence", "file"];

/// A text with places such as `{{role}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(String);

impl Template {
    /// Checks that every place is known. `name` tells which template it is.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, BuildError> {
        for part in text.split("{{").skip(1) {
            let place = part.split_once("}}").map(|(place, _)| place.trim());
            if !place.is_some_and(|place| PLACES.contains(&place)) {
                let shown: String = place.unwrap_or(part).chars().take(40).collect();
                let known = PLACES.map(|place| format!("{{{{{place}}}}}")).join(", ");
                let reason = format!("the prompt for {name} has the place {{{{{shown}}}}}: the places are {known}");
                return Err(BuildError::invalid("prompts", reason));
            }
        }
        Ok(Self(text.trim().to_owned()))
    }

    pub(super) const fn built_in(text: String) -> Self {
        Self(text)
    }

    /// Fills the places in. What is filled in is not looked at for places again.
    pub(super) fn fill(&self, request: &GenerateRequest) -> String {
        let (language, fence) = words(request.language).unwrap_or(("plain text", "text"));
        let mut filled = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            filled.push_str(before);
            let Some((place, behind)) = after.split_once("}}") else { break };
            filled.push_str(match place.trim() {
                "role" => request.role.as_str(),
                "language" => language,
                "fence" => fence,
                "file" => file(request.language),
                _ => "",
            });
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

const fn file(language: Language) -> &'static str {
    language.solution_path()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_and_unknown_ones_are_refused_by_name() {
        let template =
            Template::read("coder", "You are a {{role}}. Write {{ language }} into {{file}}, as ```{{fence}}.")
                .unwrap();
        let filled = template.fill(&GenerateRequest::new("x"));
        assert_eq!(filled, "You are a coder. Write Python 3 into solution.py, as ```python.");
        for bad in ["{{model}}", "{{role", "{{}}"] {
            let error = Template::read("coder", bad).unwrap_err().to_string();
            assert!(error.contains("coder") && error.contains("{{fence}}"), "{error}");
        }
    }
}
