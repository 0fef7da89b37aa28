//! Reads a model's answer: code out of Markdown fences, unified diffs as patches, the rest as prose. What could be meant in more than
//! one way is decided by a rule, and said.

use super::names;
use crate::{
    artifact::NewArtifact,
    prd::{Language, SourceFile},
};

/// An answer taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedAnswer {
    /// Code files: one per named fence, and the unnamed ones joined into the language's solution file.
    pub files: Vec<SourceFile>,
    /// All unified diffs found, joined.
    pub patch: Option<String>,
    /// What stood around the code.
    pub prose: String,
    /// What was decided where the answer could be read in more than one way, in sentences.
    pub notes: Vec<String>,
}

struct Fence<'a> {
    info: &'a str,
    body: String,
    /// The last line of prose before it.
    before: &'a str,
}

impl Fence<'_> {
    /// The file that it names within its own first line.
    fn named(&self) -> Option<String> {
        names::in_info(self.info, language_word(self.info)).map(str::to_owned)
    }

    /// The file that is named around it: a way to write that is also used for mere headings and examples.
    fn named_around(&self) -> Option<String> {
        names::in_line_before(self.before).or_else(|| names::in_first_line(&self.body)).map(str::to_owned)
    }
}

impl ParsedAnswer {
    /// Takes an answer apart. An answer without any fence is code as it stands when it looks like code or a diff when it
    /// looks like one; a fence that is never closed runs to the end. What a model thought aloud between `<think>` and `</think>` at the
    /// beginning is no part of the answer; thoughts without an end are all there is of it, and so nothing.
    #[must_use]
    pub fn read(answer: &str, language: Language) -> Self {
        let mut notes = Vec::new();
        let answer = without_thoughts(answer, &mut notes);
        let (fences, prose) = split_fences(answer);
        if fences.is_empty() {
            return Self { notes, ..Self::unfenced(answer, language) };
        }
        let mut parsed = Self { prose, notes, ..Self::default() };
        let mut diffs = Vec::new();
        let mut unnamed = Vec::new();
        for fence in fences {
            if is_diff(&fence) {
                diffs.push(fence.body);
            } else if let Some(path) = fence.named() {
                parsed.files.push(SourceFile::new(path, fence.body));
            } else {
                unnamed.push(fence);
            }
        }
        // Fences of the asked language win over shell lines and sample output shown beside them.
        let fits = |fence: &Fence<'_>| Language::from_fence(language_word(fence.info)) == Some(language);
        let chosen: Vec<Fence<'_>> = if unnamed.iter().any(fits) {
            unnamed.into_iter().filter(fits).collect()
        } else if diffs.is_empty() && parsed.files.is_empty() {
            unnamed
        } else {
            Vec::new()
        };
        parsed.take_unnamed(chosen, language);
        parsed.patch = (!diffs.is_empty()).then(|| diffs.concat());
        parsed
    }

    /// Blocks that do not name their file themselves. Several, each with a file named around it, are these files; otherwise they are
    /// joined into the one file that was asked for.
    fn take_unnamed(&mut self, blocks: Vec<Fence<'_>>, language: Language) {
        let solution = language.solution_path();
        let around: Vec<Option<String>> = blocks.iter().map(Fence::named_around).collect();
        if blocks.len() > 1 && around.iter().all(Option::is_some) {
            for (path, block) in around.into_iter().flatten().zip(blocks) {
                self.notes.push(format!("a block of code was taken as {path}, which is named before it"));
                self.files.push(SourceFile::new(path, block.body));
            }
            return;
        }
        if blocks.is_empty() || self.files.iter().any(|file| file.path == solution) {
            return;
        }
        if let [Some(path)] = around.as_slice()
            && path != solution
        {
            self.notes.push(format!("the only block of code, called {path}, was taken as {solution}"));
        }
        if blocks.len() > 1 {
            self.notes.push(format!("{} blocks of code were joined into {solution}", blocks.len()));
        }
        let joined: Vec<String> = blocks.into_iter().map(|block| block.body).collect();
        self.files.push(SourceFile::new(solution, joined.join("\n")));
    }

    fn unfenced(answer: &str, language: Language) -> Self {
        if answer.trim().is_empty() {
            Self::default()
        } else if looks_like_diff(answer) {
            Self { patch: Some(answer.to_owned()), ..Self::default() }
        } else {
            Self { files: vec![SourceFile::new(language.solution_path(), answer)], ..Self::default() }
        }
    }

    /// The pieces to be stored.
    #[must_use]
    pub fn artifacts(&self) -> Vec<NewArtifact> {
        let files = (!self.files.is_empty()).then(|| NewArtifact::files(&self.files));
        let patch = self.patch.as_deref().map(NewArtifact::patch);
        let docs = (!self.prose.is_empty()).then(|| NewArtifact::docs(&self.prose));
        files.into_iter().chain(patch).chain(docs).collect()
    }
}

/// What comes behind the thoughts that some models write before their answer.
fn without_thoughts<'a>(answer: &'a str, notes: &mut Vec<String>) -> &'a str {
    let Some(inner) = answer.trim_start().strip_prefix("<think>") else { return answer };
    let (note, behind) = match inner.split_once("</think>") {
        Some((_, behind)) => ("what the model thought aloud was left out", behind),
        None => ("the model did not come to the end of its thoughts", ""),
    };
    notes.push(note.to_owned());
    behind
}

fn split_fences(answer: &str) -> (Vec<Fence<'_>>, String) {
    let mut fences = Vec::new();
    let mut prose: Vec<&str> = Vec::new();
    let mut before = "";
    let mut open: Option<(usize, Fence<'_>)> = None;
    for line in answer.lines() {
        let trimmed = line.trim_start();
        let ticks = trimmed.bytes().take_while(|b| *b == b'`').count();
        match open.take() {
            Some((width, fence)) if ticks >= width && trimmed.trim_end().len() == ticks => fences.push(fence),
            Some((width, mut fence)) => {
                fence.body.push_str(line);
                fence.body.push('\n');
                open = Some((width, fence));
            }
            // As Markdown has it: with further ticks in the line it is code within prose.
            None if ticks >= 3 && !trimmed.trim_start_matches('`').contains('`') => {
                let info = trimmed.trim_start_matches('`').trim();
                open = Some((ticks, Fence { info, body: String::new(), before: std::mem::take(&mut before) }));
            }
            None => {
                if !line.trim().is_empty() {
                    before = line;
                }
                prose.push(line);
            }
        }
    }
    fences.extend(open.map(|(_, fence)| fence));
    (fences, prose.join("\n").trim().to_owned())
}

fn language_word(info: &str) -> &str {
    info.split([' ', ',', '{', ':']).next().unwrap_or_default()
}

fn is_diff(fence: &Fence<'_>) -> bool {
    matches!(language_word(fence.info), "diff" | "patch") || looks_like_diff(&fence.body)
}

fn looks_like_diff(text: &str) -> bool {
    let mut lines = text.trim_start().lines().filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    first.starts_with("diff --git ")
        || (first.starts_with("--- ") && lines.next().is_some_and(|line| line.starts_with("+++ ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> ParsedAnswer {
        ParsedAnswer::read(answer, Language::Python)
    }

    #[test]
    fn shell_lines_beside_the_code_are_left_out() {
        let parsed = read("Run:\n```sh\npip install x\n```\nCode:\n```py\na = 1\n```\n");
        assert_eq!(parsed.files, [SourceFile::new("solution.py", "a = 1\n")]);
        assert_eq!(parsed.prose, "Run:\nCode:");
    }

    #[test]
    fn a_fence_cut_off_by_the_token_limit_runs_to_the_end() {
        assert_eq!(read("```python\na = 1").files, [SourceFile::new("solution.py", "a = 1\n")]);
    }

    #[test]
    fn named_fences_become_files_of_their_own() {
        let parsed = read("```python src/a.py\na\n```\n```python title=\"b.py\"\nb\n```");
        assert_eq!(parsed.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["src/a.py", "b.py"]);
    }

    #[test]
    fn several_blocks_each_named_in_the_line_before_are_several_files_and_it_is_said() {
        let parsed = read("**src/a.py**\n```python\na\n```\n### File: b.py\n```python\nb\n```");
        assert_eq!(parsed.files, [SourceFile::new("src/a.py", "a\n"), SourceFile::new("b.py", "b\n")]);
        assert_eq!(parsed.notes.len(), 2, "{:?}", parsed.notes);
    }

    #[test]
    fn one_block_is_the_solution_whatever_it_is_called_and_it_is_said() {
        let parsed = read("main.py\n```python\n# main.py\na\n```");
        assert_eq!(parsed.files, [SourceFile::new("solution.py", "# main.py\na\n")]);
        assert_eq!(parsed.notes, ["the only block of code, called main.py, was taken as solution.py"]);
        assert_eq!(read("solution.py:\n```python\na\n```").notes, [""; 0]);
    }

    #[test]
    fn joined_blocks_are_said_to_be_joined() {
        let parsed = read("First\n```python\na\n```\nthen\n```python\nb\n```");
        assert_eq!(parsed.files, [SourceFile::new("solution.py", "a\n\nb\n")]);
        assert_eq!(parsed.notes, ["2 blocks of code were joined into solution.py"]);
    }

    #[test]
    fn thoughts_before_the_answer_are_no_part_of_it() {
        let parsed = read("<think>\n```python\nwrong\n```\n</think>\n```python\na\n```");
        assert_eq!(parsed.files, [SourceFile::new("solution.py", "a\n")]);
        assert_eq!(parsed.notes, ["what the model thought aloud was left out"]);
    }

    #[test]
    fn thoughts_without_an_end_are_no_answer() {
        let parsed = read("<think>\n```python\nwrong\n```\nor perhaps");
        assert_eq!((parsed.artifacts(), parsed.notes.len()), (Vec::new(), 1));
        assert!(parsed.notes[0].contains("end of its thoughts"), "{parsed:?}");
    }

    #[test]
    fn a_diff_becomes_the_patch_with_and_without_a_fence() {
        let diff = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(read(diff).patch.as_deref(), Some(diff));
        assert_eq!(read(&format!("So:\n```diff\n{diff}```")).patch.as_deref(), Some(diff));
    }

    #[test]
    fn an_inner_fence_of_fewer_ticks_stays_in_the_code() {
        let parsed = read("````python\ns = '''\n```\n'''\n````");
        assert_eq!(parsed.files[0].text, "s = '''\n```\n'''\n");
    }

    #[test]
    fn a_line_that_opens_and_closes_its_ticks_is_prose() {
        let parsed = read("```pip install x``` first.\n```python\na\n```\n");
        assert_eq!(parsed.files, [SourceFile::new("solution.py", "a\n")]);
        assert_eq!(parsed.prose, "```pip install x``` first.");
    }

    #[test]
    fn an_empty_answer_has_nothing_in_it() {
        assert_eq!(read(" \n"), ParsedAnswer::default());
    }
}
