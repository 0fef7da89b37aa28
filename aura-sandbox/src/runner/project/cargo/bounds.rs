//! What a parser can take: it goes as deep as a text is nested, and a text from outside must not end the process that reads it.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// Deepest nesting of brackets, and most tokens in a row that an expression may nest by itself (`- - - 1`), on one way down.
const DEEPEST: usize = 1000;
/// Deepest nesting of brackets alone.
const BRACKETS: usize = 60;
/// What the parser has for itself, in bytes: more than enough for the deepest text on a build without optimization.
pub(super) const STACK: usize = 256 << 20;

/// Whether a text is nested deeper than a parser should follow.
pub(super) fn is_too_deep(tokens: &TokenStream) -> bool {
    too_deep(tokens.clone(), 0, 0)
}

fn too_deep(tokens: TokenStream, brackets: usize, above: usize) -> bool {
    // A comma ends a row, but not between the parameters of a closure or of a type, which may be nested in one another.
    let (mut row, mut nests) = (0, false);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        row += 1;
        if above + row > DEEPEST {
            return true;
        }
        match token {
            TokenTree::Group(group) => {
                if brackets == BRACKETS || too_deep(group.stream(), brackets + 1, above + row) {
                    return true;
                }
                let goes_on = matches!(tokens.peek(), Some(TokenTree::Ident(word)) if word == "else");
                if group.delimiter() == Delimiter::Brace && !goes_on && !nests {
                    row = 0;
                }
            }
            TokenTree::Punct(mark) => match mark.as_char() {
                ';' => (row, nests) = (0, false),
                ',' if !nests => row = 0,
                '|' | '<' => nests = true,
                _ => {}
            },
            TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
    }
    false
}

/// Where each token and each bracket of a text stands, in order.
pub(super) fn parts(tokens: TokenStream, each: &mut dyn FnMut(Span)) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => parts(group.stream(), each),
            TokenTree::Group(group) => {
                each(group.span_open());
                parts(group.stream(), each);
                each(group.span_close());
            }
            other => each(other.span()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_deep(text: &str) -> bool {
        is_too_deep(&text.parse().unwrap())
    }

    #[test]
    fn ordinary_files_are_not_too_deep_and_hostile_ones_are() {
        let many = "#[test]\nfn a() { assert_eq!(f(&[1, 2], || { 3 }), 4); }\n".repeat(3000);
        let table = format!("fn t() {{ for (a, b) in [{}] {{}} }}", "(1, 2),".repeat(5000));
        for fine in [many.as_str(), &table, "fn f() { if a { b } else { c } }"] {
            assert!(!too_deep(fine));
        }
        let brackets = format!("{}{}", "(".repeat(100), ")".repeat(100));
        let chain = format!("fn f() {{ if a {{}} {} }}", "else if a {}".repeat(2000));
        let closures = format!("fn f() {{ let f = {}1; }}", "|a,b| ".repeat(10_000));
        let types = format!("fn f() {{ let f: {}u8{} = 1; }}", "A<u8,".repeat(10_000), ">".repeat(10_000));
        let blocks = format!("fn f() {{ let f = {}1; }}", "|a| {} + ".repeat(10_000));
        for hostile in [
            &closures,
            &types,
            &blocks,
            &brackets,
            &chain,
            &"-".repeat(5000),
            &"a = ".repeat(5000),
            &"!".repeat(200_000),
        ] {
            assert!(too_deep(hostile));
        }
    }
}
