//! Code that a base model was to continue.

use aura_core::Language;

/// The prompt with its continuation, cut where the function's body ends.
pub(crate) fn continued(prompt: &str, continuation: &str, language: Language) -> String {
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
}
