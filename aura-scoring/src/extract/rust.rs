//! Functions of Rust: `fn` with a name, free, in an `impl` or a trait, or nested.

use super::{Function, doc_text, first_names, list};
use crate::lex::{Kind, Token};

pub(super) fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    let mut found = Vec::new();
    // Doc comments since the last item ended; they belong to the next one.
    let mut docs: Vec<&str> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match (token.kind, token.text) {
            (Kind::Doc, text) => docs.push(text),
            (Kind::Punct, "{" | "}" | ";") => docs.clear(),
            (Kind::Word, "doc") => docs.extend(tokens.get(at + 1..).and_then(doc_attribute)),
            (Kind::Word, "fn") => {
                if let Some((name, parameters)) = tokens.get(at + 1..).and_then(head) {
                    found.push(Function { name, parameters, docs: doc_text(docs.drain(..)) });
                }
            }
            _ => {}
        }
    }
    found
}

/// The text of `#[doc = "…"]`, from after the `doc`.
fn doc_attribute<'a>(tokens: &[Token<'a>]) -> Option<&'a str> {
    match tokens {
        [equals, text, close, ..] if equals.is("=") && text.kind == Kind::Literal && close.is("]") => {
            Some(text.text.trim_matches('"'))
        }
        _ => None,
    }
}

/// Name and parameters of the function whose name comes first; a pointer type `fn(…)` has none.
fn head(tokens: &[Token<'_>]) -> Option<(String, Vec<String>)> {
    // `r#type` is the name `type`.
    let (name, mut rest) = match tokens {
        [r, hash, name, rest @ ..] if r.is("r") && hash.is("#") => (name, rest),
        [name, rest @ ..] => (name, rest),
        [] => return None,
    };
    if rest.first()?.is("<") {
        rest = rest.get(list(rest, true).length..)?;
    }
    if name.kind != Kind::Word || !rest.first()?.is("(") {
        return None;
    }
    let mut parameters = first_names(&list(rest, true).pieces, &["mut", "ref"]);
    if parameters.first().is_some_and(|first| first == "self") {
        parameters.remove(0);
    }
    Some((name.text.to_owned(), parameters))
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
        functions(&lex(text, Language::Rust)).into_iter().map(show).collect()
    }

    #[test]
    fn generics_receivers_and_patterns_are_read() {
        let text = "
pub(crate) const unsafe extern \"C\" fn run<'a, F: Fn(i32) -> Vec<u8>, const N: usize>(
    mut f: F, map: HashMap<K, V>, &(a, b): &'a (u8, u8), [c, ..]: [u8; N], g: fn(i32, i32) -> i32,
) -> impl Fn(u8) { fn nested() {} }
impl A { fn size(&'a mut self, n: usize) -> usize { n } fn boxed(self: Box<Self>) {} }
fn r#type(a: u8) {}
";
        assert_eq!(found(text), ["run(f, map, a, c, g)", "nested()", "size(n)", "boxed()", "type(a)"]);
    }

    #[test]
    fn docs_belong_to_the_item_that_follows() {
        let text = "
//! About the file.
/// A struct.
#[derive(Debug)]
struct A { /// a field
 a: u8 }
fn bare() {}
/// Adds
/// them.
#[inline]
pub fn add(a: u8) {}
/** Blocks. */ fn block() {}
#[doc = \"By attribute.\"] fn attribute() {}
";
        assert_eq!(
            found(text),
            ["bare()", "add(a) // Adds\nthem.", "block() // Blocks.", "attribute() // By attribute."]
        );
    }

    #[test]
    fn a_pointer_type_string_or_comment_is_no_function() {
        assert_eq!(found("type F = fn(u8); // fn a() {}\nconst S: &str = \"fn b() {}\"; /* fn c() {} */"), [""; 0]);
    }
}
