//! How a task is put to a model, and how code is made of what comes back.

use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage,
};
use aura_core::{GenerateRequest, Generation, Language, NewArtifact, SourceFile};

use super::answer::Answer;

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

impl PromptStyle {
    pub(super) fn messages(self, request: &GenerateRequest, system: Option<&str>) -> Vec<ChatCompletionRequestMessage> {
        match self {
            Self::Instruct => {
                let system = system.map_or_else(|| instructions(request), str::to_owned);
                vec![
                    ChatCompletionRequestSystemMessage::from(system.as_str()).into(),
                    ChatCompletionRequestUserMessage::from(task(request)).into(),
                ]
            }
            Self::Complete => {
                let mut text: String =
                    request.context.iter().map(|file| format!("{}\n\n", file.text.trim_end())).collect();
                text.push_str(&request.prompt);
                vec![ChatCompletionRequestUserMessage::from(text).into()]
            }
        }
    }

    /// Where the server may stop early: at most 4, which is all that the protocol takes. They save tokens; the cut itself
    /// is made here.
    pub(super) fn stops(self, language: Language) -> Option<Vec<String>> {
        let stops: &[&str] = match (self, language) {
            (Self::Instruct, _) => return None,
            (Self::Complete, Language::Python) => &["\ndef ", "\nclass ", "\nif __name__", "\n```"],
            (Self::Complete, _) => &["\n```"],
        };
        Some(stops.iter().map(|&stop| stop.to_owned()).collect())
    }

    pub(super) fn generation(self, request: &GenerateRequest, answer: Answer) -> Generation {
        let mut generation = match self {
            Self::Complete if !answer.text.trim_start().starts_with("```") => {
                let code = continued(&request.prompt, &answer.text, request.language);
                Generation {
                    artifacts: vec![NewArtifact::files(&[SourceFile::new(request.language.solution_path(), code)])],
                    explanation: "the prompt with the model's continuation".to_owned(),
                    output: answer.text,
                    ..Generation::default()
                }
            }
            // A chat model that was asked to continue code answers with a fence all the same.
            Self::Complete | Self::Instruct => Generation::from_answer(&answer.text, request.language),
        };
        generation.self_confidence = answer.confidence;
        generation.usage = answer.usage;
        if let Some(cut) = answer.cut {
            let gap = if generation.explanation.is_empty() { "" } else { " " };
            generation.explanation = format!("{}{gap}[{cut}]", generation.explanation);
        }
        generation
    }
}

fn instructions(request: &GenerateRequest) -> String {
    let (language, fence) = match request.language {
        Language::Python => ("Python 3", "python"),
        Language::Rust => ("Rust", "rust"),
        Language::Javascript => ("JavaScript", "javascript"),
        _ => return format!("You work in the role of {}. Do the task and answer with the result.", request.role),
    };
    format!(
        "You work in the role of {}. Do the task in {language}. Answer with one fenced code block that begins with \
         ```{fence} and holds the whole file {}: complete code that can be imported, with documentation, without example \
         calls. A change to a given file may instead be a unified diff in a block that begins with ```diff.",
        request.role,
        request.language.solution_path(),
    )
}

fn task(request: &GenerateRequest) -> String {
    let mut text = String::new();
    for file in &request.context {
        // A fence longer than any in the file, so that the file cannot end it.
        let ticks = "`".repeat(longest_run_of_ticks(&file.text).max(2) + 1);
        text.push_str(&format!("File {}:\n{ticks}\n{}\n{ticks}\n\n", file.path, file.text.trim_end_matches('\n')));
    }
    text.push_str(&request.prompt);
    text
}

fn longest_run_of_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// The prompt with its continuation, cut where the function's body ends.
fn continued(prompt: &str, continuation: &str, language: Language) -> String {
    let mut code = prompt.to_owned();
    if language != Language::Python {
        code.push_str(continuation);
        return code;
    }
    let last_line = prompt.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut inside = is_indented(last_line) || last_line.trim_end().ends_with(':');
    // What comes first may continue the prompt's unfinished last line.
    let mut begins_a_line = prompt.is_empty() || prompt.ends_with('\n');
    for line in continuation.split_inclusive('\n') {
        let blank = line.trim().is_empty();
        if begins_a_line && !blank && !is_indented(line) && (inside || line.starts_with("```")) {
            break;
        }
        inside |= begins_a_line && is_indented(line) && !blank;
        code.push_str(line);
        begins_a_line = true;
    }
    code.truncate(code.trim_end().len());
    code.push('\n');
    code
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "def add(a, b):\n    \"\"\"Sum.\"\"\"\n";

    #[test]
    fn a_continuation_ends_before_the_next_statement_at_the_left_margin() {
        for rest in ["\n\nprint(add(1, 2))\n", "\n# Python 2\ndef add(a,", "\n\nclass A:\n    pass", "\n```\nSo:", ""] {
            let code = continued(HEAD, &format!("    return a + b{rest}"), Language::Python);
            assert_eq!(code, format!("{HEAD}    return a + b\n"), "{rest:?}");
        }
    }

    #[test]
    fn blank_lines_inside_the_body_stay() {
        let body = "    c = a\n\n    return c + b\n";
        assert_eq!(continued(HEAD, body, Language::Python), format!("{HEAD}{body}"));
    }

    #[test]
    fn an_unfinished_last_line_is_continued() {
        assert_eq!(continued("def one():\n    return", " 1\nx = 2", Language::Python), "def one():\n    return 1\n");
        assert_eq!(
            continued("import re\n", "def f():\n    pass\nx", Language::Python),
            "import re\ndef f():\n    pass\n"
        );
    }

    #[test]
    fn other_languages_are_continued_as_they_come() {
        assert_eq!(continued("fn one() -> u8 {\n", "    1\n}\n", Language::Rust), "fn one() -> u8 {\n    1\n}\n");
    }

    #[test]
    fn a_file_cannot_end_the_fence_around_it() {
        assert_eq!(longest_run_of_ticks("a ```` b `c`"), 4);
    }
}
