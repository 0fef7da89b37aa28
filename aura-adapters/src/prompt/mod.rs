//! How a task is put to a model: a system prompt for its role, the context files within a budget, what was wrong before.

mod book;
mod complete;
mod feedback;
mod room;
mod template;

use aura_core::{AnswerFormat, GenerateRequest, Language};

pub use book::PromptBook;
pub(crate) use complete::continued;
use room::{Room, fenced};

/// How a task is put to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PromptStyle {
    /// As an instruction to a chat model, under a system prompt that asks for one fenced code block.
    #[default]
    Instruct,
    /// As code to be continued, for base models that know no chat: the prompt is sent alone (after the context files, if
    /// there are any), and the work is the prompt with its continuation. In Python the continuation ends before the first
    /// statement at the left margin, so that it holds the body of one function.
    Complete,
}

/// A task as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Put {
    pub(crate) system: Option<String>,
    pub(crate) user: String,
    /// What was left out for lack of room; it is said to the model, and in the generation's explanation.
    pub(crate) notes: Vec<String>,
}

impl PromptStyle {
    /// Puts a task; `room` is how many bytes the context files and the feedback may have besides the prompt.
    pub(crate) fn put(self, request: &GenerateRequest, book: &PromptBook, room: usize) -> Put {
        let mut room = Room::new(room);
        match self {
            Self::Instruct => {
                let system = book.system(request);
                // Feedback is short, and worth more than another file.
                let feedback = request.feedback.as_ref().map(|feedback| feedback::text(feedback, &mut room));
                let mut user = room.files(&request.context);
                user.push_str(&request.prompt);
                if let Some(feedback) = feedback {
                    user.push_str("\n\n");
                    user.push_str(&feedback);
                }
                Put { system: Some(system), user, notes: room.notes() }
            }
            Self::Complete => {
                let mut user = String::new();
                for file in &request.context {
                    user.push_str(&room.whole_or_nothing(&file.path, &format!("{}\n\n", file.text.trim_end())));
                }
                user.push_str(&request.prompt);
                Put { system: None, user, notes: room.notes() }
            }
        }
    }

    /// Where the server may stop early: at most 4, which is all that the vendors take. They save tokens; the cut itself
    /// is made here.
    pub(crate) fn stops(self, language: Language) -> Vec<String> {
        let stops: &[&str] = match (self, language) {
            (Self::Instruct, _) => &[],
            (Self::Complete, Language::Python) => &["\ndef ", "\nclass ", "\nif __name__", "\n```"],
            (Self::Complete, _) => &["\n```"],
        };
        stops.iter().map(|&stop| stop.to_owned()).collect()
    }
}

/// The language's name, and the word that opens its fences; absent where no code is asked for.
const fn words(language: Language) -> Option<(&'static str, &'static str)> {
    match language {
        Language::Python => Some(("Python 3", "python")),
        Language::Rust => Some(("Rust", "rust")),
        Language::Javascript => Some(("JavaScript", "javascript")),
        _ => None,
    }
}

/// What a form of answer asks for in words, for models whose server cannot enforce it.
fn form(format: &AnswerFormat) -> Option<String> {
    match format {
        AnswerFormat::Free => None,
        AnswerFormat::JsonSchema(schema) => {
            let schema = schema.to_string();
            Some(format!(
                "Answer with one JSON value and nothing else. It must fit this JSON Schema:\n{}",
                fenced(&schema)
            ))
        }
        _ => Some("Answer with one JSON value and nothing else.".to_owned()),
    }
}
