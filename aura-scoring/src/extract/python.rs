//! Functions of Python: `def` with a name, plain or async, top-level, nested or a method.

use super::{Function, MAX_HEAD, first_names, list};
use crate::lex::{Kind, Token};

pub(super) fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    let defs = tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Word && token.text == "def");
    defs.filter_map(|(at, _)| function(tokens.get(at + 1..)?)).collect()
}

/// The function whose name comes first.
fn function(tokens: &[Token<'_>]) -> Option<Function> {
    let name = tokens.first().filter(|token| token.kind == Kind::Word)?;
    let mut at = 1;
    if tokens.get(at)?.is("[") {
        at += list(tokens.get(at..)?, false).length;
    }
    let head = tokens.get(at..).filter(|head| head.first().is_some_and(|token| token.is("(")))?;
    let parameters = list(head, false);
    let mut names = first_names(&parameters.pieces, &[]);
    if names.first().is_some_and(|first| matches!(first.as_str(), "self" | "cls")) {
        names.remove(0);
    }
    let docs = head.get(parameters.length..).and_then(docs_of_body);
    Some(Function { name: name.text.to_owned(), parameters: names, docs })
}

/// The docstring of a body, from after the parameters: the first statement, if it is a string.
fn docs_of_body(after: &[Token<'_>]) -> Option<String> {
    let mut depth = 0_usize;
    let colon = after.iter().take(MAX_HEAD).position(|token| {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.is(":")
    })?;
    let body = after.get(colon + 1..)?;
    let mut statement = body.iter().skip_while(|token| matches!(token.kind, Kind::LineEnd | Kind::Comment));
    let first = statement.next().filter(|token| token.kind == Kind::Literal)?;
    // A formatted string documents nothing, and bytes neither.
    let documents = !first.text.split(['"', '\'']).next().is_some_and(|prefix| prefix.contains(['f', 'F', 'b', 'B']));
    let alone = statement.next().is_none_or(|next| matches!(next.kind, Kind::LineEnd | Kind::Comment) || next.is(";"));
    (documents && alone).then(|| docstring(first.text)).filter(|text| !text.is_empty())
}

/// The text of a string literal, without prefix and quotes.
pub(super) fn docstring(literal: &str) -> String {
    literal.trim_start_matches(['r', 'R', 'u', 'U']).trim_matches(['"', '\'']).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;
    use aura_core::Language;

    fn found(text: &str) -> Vec<(String, Vec<String>, Option<String>)> {
        let tokens = lex(text, Language::Python);
        functions(&tokens).into_iter().map(|f| (f.name, f.parameters, f.docs)).collect()
    }

    fn row(name: &str, parameters: &[&str], docs: Option<&str>) -> (String, Vec<String>, Option<String>) {
        (name.to_owned(), parameters.iter().map(ToString::to_string).collect(), docs.map(ToOwned::to_owned))
    }

    #[test]
    fn async_decorated_nested_and_method_functions_are_found() {
        let text = "\
@app.get('/def x(a)')\r
async def outer(a: Dict[str, int], *args, key=(1, 2), **rest) -> Dict[str, int]:\r
    '''Doc of outer.'''\r
    def inner(): return lambda q: q\r
class A:\r
    @property\r
    def size(self, /, n: 'int' = 3): # a remark\r
        # another\r
        r\"\"\"How big\r
        it is.\"\"\"\r
        return 1\r
";
        assert_eq!(
            found(text),
            [
                row("outer", &["a", "args", "key", "rest"], Some("Doc of outer.")),
                row("inner", &[], None),
                row("size", &["n"], Some("How big\r\n        it is.")),
            ]
        );
    }

    #[test]
    fn a_def_in_a_string_or_comment_is_no_function() {
        assert_eq!(found("# def a(): pass\ns = 'def b(): pass'\n\"\"\"\ndef c(): pass\n\"\"\"\n"), []);
    }

    #[test]
    fn a_string_that_is_only_used_documents_nothing() {
        assert_eq!(found("def a():\n    'x'.join([])\n"), [row("a", &[], None)]);
        assert_eq!(found("def a():\n    f'x'\n"), [row("a", &[], None)]);
        assert_eq!(found("def a():\n    return 'x'\n"), [row("a", &[], None)]);
    }

    #[test]
    fn type_parameters_are_no_parameters() {
        assert_eq!(found("def first[T: (int, str)](items: list[T]) -> T: ..."), [row("first", &["items"], None)]);
    }

    #[test]
    fn code_cut_off_in_the_head_keeps_what_was_read() {
        assert_eq!(found("def a(b, c"), [row("a", &["b", "c"], None)]);
        assert_eq!(found("def a"), []);
        assert_eq!(found("def"), []);
    }
}
