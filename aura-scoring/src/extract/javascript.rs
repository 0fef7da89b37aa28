//! Functions of JavaScript: declarations, functions and arrows bound to a name, methods of classes and objects.

use super::{Function, doc_text, first_names, list};
use crate::lex::{Kind, Token};

/// Words that may stand before `(…) {` and name no function.
const NO_NAME: [&str; 8] = ["if", "for", "while", "switch", "catch", "with", "function", "await"];

pub(super) fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    let closings = closings(tokens);
    let mut found = Vec::new();
    // The doc comment since the last statement ended; it belongs to the next one.
    let mut docs: Option<&str> = None;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Doc => docs = Some(token.text),
            Kind::Punct if matches!(token.text, "{" | "}" | ";") => docs = None,
            Kind::Word => {
                let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                if let Some(open) = open_of(tokens, &closings, at, before) {
                    let parameters = tokens.get(open..).map(|open| match open.first() {
                        Some(first) if first.is("(") => first_names(&list(open, false).pieces, &[]),
                        first => first.map(|name| name.text.to_owned()).into_iter().collect(),
                    });
                    let parameters = parameters.unwrap_or_default();
                    found.push(Function { name: token.text.to_owned(), parameters, docs: doc_text(docs.take()) });
                }
            }
            _ => {}
        }
    }
    found
}

/// Where the parameters of the function named at `at` begin: at its `(`, or at an arrow's only name.
fn open_of(tokens: &[Token<'_>], closings: &[usize], at: usize, before: Option<&Token<'_>>) -> Option<usize> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.is(text));
    let arrow_after = |end: usize| is(end + 1, "=") && is(end + 2, ">");
    let closing = |open: usize| closings.get(open).copied().filter(|close| *close > open);
    let next = tokens.get(at + 1)?;
    if next.is("(") {
        let other = before.is_some_and(|before| before.is(".") || before.is("new"));
        let named = !other && !NO_NAME.contains(&tokens.get(at)?.text);
        return (named && closing(at + 1).is_some_and(|close| is(close + 1, "{"))).then_some(at + 1);
    }
    if !(next.is("=") || next.is(":")) {
        return None;
    }
    let mut value = at + 2;
    if is(value, "async") {
        value += 1;
    }
    if is(value, "function") {
        // A name of its own belongs to the inner one, which is found by itself.
        let open = if is(value + 1, "*") { value + 2 } else { value + 1 };
        return is(open, "(").then_some(open);
    }
    if is(value, "(") {
        return closing(value).filter(|close| arrow_after(*close)).map(|_| value);
    }
    (tokens.get(value)?.kind == Kind::Word && arrow_after(value)).then_some(value)
}

/// For each opening round bracket, where it closes; 0 for everything else.
fn closings(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut closings = vec![0; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.is("(") {
            open.push(at);
        } else if token.is(")")
            && let Some(opened) = open.pop()
            && let Some(slot) = closings.get_mut(opened)
        {
            *slot = at;
        }
    }
    closings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;
    use aura_core::Language;

    fn found(text: &str) -> Vec<String> {
        let show = |f: Function| {
            let docs = f.docs.map(|docs| format!(" // {docs}")).unwrap_or_default();
            format!("{}({}){docs}", f.name, f.parameters.join(", "))
        };
        functions(&lex(text, Language::Javascript)).into_iter().map(show).collect()
    }

    #[test]
    fn declarations_and_bound_functions_are_found() {
        let text = "
/** Adds. */
export async function add(a, b = f(1, 2), {c, d}, ...rest) { return a }
function* walk(tree) {}
/**
 * Doubles.
 */
const twice = async (n) => n * 2;
let id = x => x, plus = (a, b) => { return a + b };
module.exports.minus = function (a, b) { return a - b };
";
        assert_eq!(
            found(text),
            ["add(a, b, c, rest) // Adds.", "walk(tree)", "twice(n) // Doubles.", "id(x)", "plus(a, b)", "minus(a, b)"]
        );
    }

    #[test]
    fn methods_are_found_and_calls_and_blocks_are_not() {
        let text = "
class A extends B {
  constructor(size) { super(size); if (size) { run(size) } }
  static async make(n) { for (const x of y) { z.each(function (q) { w() }) } }
  get size() { return new Foo() }
  /** Waits. */
  async *items(of) { while (true) {} }
}
const o = { go(x) { }, stop: (a) => 1, key: value };
";
        assert_eq!(found(text), ["constructor(size)", "make(n)", "size()", "items(of) // Waits.", "go(x)", "stop(a)"]);
    }

    #[test]
    fn a_function_in_a_string_template_regex_or_comment_is_none() {
        assert_eq!(
            found("'function a() {}' + `function b() {}` // function c() {}\n/* d() {} */ x = /e() {}/"),
            [""; 0]
        );
    }
}
