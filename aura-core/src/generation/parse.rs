//! Reads a model's answer: code out of Markdown fences, unified diffs as patches, the rest as prose.

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
}

struct Fence<'a> {
    info: &'a str,
    body: String,
}

impl ParsedAnswer {
    /// Takes an answer apart. An answer without any fence is code as it stands when it looks like code or a diff when it
    /// looks like one; a fence that is never closed runs to the end.
    #[must_use]
    pub fn read(answer: &str, language: Language) -> Self {
        let (fences, prose) = split_fences(answer);
        if fences.is_empty() {
            return Self::unfenced(answer, language);
        }
        let mut parsed = Self { prose, ..Self::default() };
        let mut diffs = Vec::new();
        let mut unnamed = Vec::new();
        for fence in fences {
            if is_diff(&fence) {
                diffs.push(fence.body);
            } else if let Some(path) = named_path(fence.info) {
                parsed.files.push(SourceFile::new(path, fence.body));
            } else {
                unnamed.push(fence);
            }
        }
        // Fences of the asked language win over shell lines and sample output shown beside them.
        let fits = |fence: &Fence<'_>| Language::from_fence(language_word(fence.info)) == Some(language);
        let chosen: Vec<String> = if unnamed.iter().any(fits) {
            unnamed.into_iter().filter(fits).map(|fence| fence.body).collect()
        } else if diffs.is_empty() && parsed.files.is_empty() {
            unnamed.into_iter().map(|fence| fence.body).collect()
        } else {
            Vec::new()
        };
        if !chosen.is_empty() && !parsed.files.iter().any(|file| file.path == language.solution_path()) {
            parsed.files.push(SourceFile::new(language.solution_path(), chosen.join("\n")));
        }
        parsed.patch = (!diffs.is_empty()).then(|| diffs.concat());
        parsed
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

fn split_fences(answer: &str) -> (Vec<Fence<'_>>, String) {
    let mut fences = Vec::new();
    let mut prose = Vec::new();
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
            None if ticks >= 3 => {
                let info = trimmed.trim_start_matches('`').trim();
                open = Some((ticks, Fence { info, body: String::new() }));
            }
            None => prose.push(line),
        }
    }
    fences.extend(open.map(|(_, fence)| fence));
    (fences, prose.join("\n").trim().to_owned())
}

fn language_word(info: &str) -> &str {
    info.split([' ', ',', '{', ':']).next().unwrap_or_default()
}

/// A path written into the fence's first line, as in `python src/app.py`, `python:src/app.py` or `python title="a.py"`.
fn named_path(info: &str) -> Option<&str> {
    let rest = info.strip_prefix(language_word(info))?.trim_start_matches([' ', ':', ',']);
    let rest = ["title=", "path=", "file=", "filename="].iter().find_map(|key| rest.strip_prefix(key)).unwrap_or(rest);
    let path = rest.trim_matches(['"', '\'', ' ']);
    (path.contains('.') && !path.contains([' ', '{', '='])).then_some(path)
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
    fn an_empty_answer_has_nothing_in_it() {
        assert_eq!(read(" \n"), ParsedAnswer::default());
    }
}
