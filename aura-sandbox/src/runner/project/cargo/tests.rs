//! The tests that a file holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use aura_core::SourceFile;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, Expr, Item, ItemFn, Lit, Meta, spanned::Spanned as _};

use super::{
    bounds,
    literals::place,
    sites::{Helpers, Sites, asserts, sites_of},
};
use crate::runner::project::{
    copies::{Edit, Found, Literal, Site, Span, Test, Way},
    wrong::Scalar,
};

/// Longest file that is read, in bytes.
const MAX_TEXT: usize = 512 << 10;
/// How long the reading of one file may take.
const WITHIN: Duration = Duration::from_secs(3);
/// How long a chain of helpers is followed.
const MAX_CALLS: usize = 8;
/// Most tests of one file.
const MAX_TESTS: usize = 2000;
/// Attributes that leave a test what it is.
const HARMLESS: &[&str] = &["allow", "expect", "warn", "doc", "inline", "must_use"];
/// Words by which tests know their own names or places.
const KNOWS_ITSELF: &[&str] =
    &["snapshot", "expect_file!", "expect!", "module_path!", "current()", "type_name", "Location::", "column!"];

/// Adds the tests of a file that cargo runs as a target of its own. `modules` are files that hold no test, and whether they assert
/// something.
///
/// # Errors
/// Why it cannot be told which tests there are.
pub(super) fn read(
    number: usize,
    file: &SourceFile,
    modules: &BTreeMap<String, bool>,
    found: &mut Found,
) -> Result<(), String> {
    let (path, text) = (file.path.as_str(), file.text.as_str());
    // Places are told from the first byte that the parser reads.
    if text.starts_with('\u{feff}') || text.starts_with("#!") && !text.starts_with("#![") {
        return Err(format!("{path} begins with a mark"));
    }
    if text.contains('\r') {
        // A text over several lines would not be written alike.
        return Err(format!("the lines of {path} end by CR LF"));
    }
    if text.len() > MAX_TEXT {
        return Err(format!("{path} is longer than {MAX_TEXT} bytes"));
    }
    if let Some(word) = KNOWS_ITSELF.iter().find(|word| text.contains(**word)) {
        return Err(format!("{path} may depend on the names of its tests by `{word}`"));
    }
    let tokens: TokenStream = text.parse().map_err(|error| format!("{path} is no Rust: {error}"))?;
    if bounds::is_too_deep(&tokens) {
        return Err(format!("{path} is nested too deep"));
    }
    let parsed = syn::parse2::<syn::File>(tokens.clone()).map_err(|error| format!("{path} is no Rust: {error}"))?;
    unknown(path, &parsed.attrs)?;
    let called = called(tokens.clone());
    let helpers =
        helpers(&parsed.items, &|module| elsewhere(path, module).iter().any(|at| modules.get(at) == Some(&false)));
    let until = Instant::now() + WITHIN;
    let mut reader = Reader { number, path, text, modules, helpers, called, until, found };
    reader.items(&parsed.items, &format!("{path}::"))?;
    blank_comments(number, text, tokens, found);
    Ok(())
}

struct Reader<'a> {
    number: usize,
    path: &'a str,
    text: &'a str,
    modules: &'a BTreeMap<String, bool>,
    helpers: Helpers,
    /// Functions that are called by their bare names.
    called: BTreeSet<String>,
    until: Instant,
    found: &'a mut Found,
}

/// Where a module of a file may stand.
fn elsewhere(path: &str, name: &str) -> [String; 2] {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
}

/// The names that stand before parentheses, and are no part of a path or a value.
fn called(tokens: TokenStream) -> BTreeSet<String> {
    let (mut found, mut before, mut last) = (BTreeSet::new(), None, None);
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            found.extend(called(group.stream()));
            if group.delimiter() == Delimiter::Parenthesis {
                found.extend(last.take());
            }
        }
        let is_bare = !matches!(&before, Some(TokenTree::Punct(mark)) if matches!(mark.as_char(), '.' | ':'))
            && !matches!(&before, Some(TokenTree::Ident(word)) if word == "fn");
        last = match &token {
            TokenTree::Ident(word) if is_bare => Some(word.to_string()),
            _ => None,
        };
        before = Some(token);
    }
    found
}

/// The functions and macros of a file, and of its modules, that are no tests; those that assert, or that call one that does.
fn helpers(items: &[Item], asserts_nothing: &dyn Fn(&str) -> bool) -> Helpers {
    let mut bodies: Vec<(String, TokenStream)> = Vec::new();
    let mut helpers = Helpers::default();
    let mut open: Vec<&Item> = items.iter().collect();
    while let Some(item) = open.pop() {
        match item {
            Item::Fn(function) if !function.attrs.iter().any(|attribute| name(attribute).ends_with("test")) => {
                let name = function.sig.ident.to_string();
                helpers.functions.insert(name.clone());
                bodies.push((name, function.block.to_token_stream()));
            }
            Item::Macro(made) => {
                let Some(name) = &made.ident else { continue };
                bodies.push((name.to_string(), made.mac.tokens.clone()));
            }
            Item::Impl(block) => {
                for part in &block.items {
                    if let syn::ImplItem::Fn(method) = part {
                        bodies.push((method.sig.ident.to_string(), method.block.to_token_stream()));
                    }
                }
            }
            Item::Mod(module) => match &module.content {
                Some((_, inner)) => open.extend(inner),
                None => {
                    let name = module.ident.to_string();
                    if !asserts_nothing(&name) {
                        helpers.asserting.insert(name);
                    }
                }
            },
            _ => {}
        }
    }
    for _ in 0..MAX_CALLS {
        let known = helpers.asserting.len();
        for (name, body) in &bodies {
            if !helpers.asserting.contains(name) && asserts(body.clone(), &helpers.asserting) {
                helpers.asserting.insert(name.clone());
            }
        }
        if helpers.asserting.len() == known {
            return helpers;
        }
    }
    // They call one another in a longer chain than anybody needs.
    helpers.asserting.extend(bodies.into_iter().map(|(name, _)| name));
    helpers
}

impl Reader<'_> {
    fn items(&mut self, items: &[Item], prefix: &str) -> Result<(), String> {
        let path = self.path;
        for item in items {
            match item {
                Item::Fn(function) => self.function(function, prefix)?,
                Item::Mod(module) => {
                    unknown(path, &module.attrs)?;
                    let Some((_, inner)) = &module.content else {
                        self.elsewhere(&module.ident.to_string())?;
                        continue;
                    };
                    self.items(inner, &format!("{prefix}{}::", module.ident))?;
                }
                Item::Macro(made) if made.ident.is_none() => {
                    let name = made.mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
                    return Err(format!("`{name}!` of {path} may make tests of its own"));
                }
                Item::Macro(made) if made.ident.as_ref().is_some_and(|name| name.to_string().starts_with("assert")) => {
                    return Err(format!("{path} makes an assertion of its own"));
                }
                Item::Verbatim(_) => return Err(format!("{path} holds what nobody knows")),
                _ => {}
            }
        }
        Ok(())
    }

    /// A module in another file: one that holds no test.
    fn elsewhere(&self, name: &str) -> Result<(), String> {
        let is_known = elsewhere(self.path, name).iter().any(|path| self.modules.contains_key(path));
        is_known.then_some(()).ok_or_else(|| format!("the module {name} of {} may hold tests", self.path))
    }

    fn function(&mut self, function: &ItemFn, prefix: &str) -> Result<(), String> {
        let Some(marks) = Marks::of(self.path, &function.attrs)? else { return Ok(()) };
        if self.found.tests.iter().filter(|test| test.file == self.number).count() >= MAX_TESTS {
            return Err(format!("{} holds more than {MAX_TESTS} tests", self.path));
        }
        if Instant::now() > self.until {
            return Err(format!("{} takes too long to read", self.path));
        }
        let name = function.sig.ident.to_string();
        if self.called.contains(&name) {
            return Err(format!("{} uses the test {name} by its name", self.path));
        }
        let Sites { mut found, mut weak, blank, mut always } = sites_of(&function.block, self.text, &self.helpers);
        self.found.blank.extend(blank.into_iter().map(|span| (self.number, span)));
        if let Some(site) = marks.panics {
            // A failed assertion is a panic too: only what panic is expected tells anything.
            found = vec![site];
            always.clear();
            weak.clear();
        }
        self.found.always.extend(always.into_iter().map(|edit| (self.number, edit)));
        self.found.tests.push(Test {
            file: self.number,
            prefix: prefix.to_owned(),
            name,
            name_at: place(function.sig.ident.span()),
            may_skip: marks.may_skip,
            weak,
            sites: found,
        });
        Ok(())
    }
}

/// What attributes say of a test.
#[derive(Debug, Default)]
struct Marks {
    may_skip: bool,
    panics: Option<Site>,
}

impl Marks {
    /// Reads the attributes of a function; absent when it is no test.
    fn of(path: &str, attributes: &[Attribute]) -> Result<Option<Self>, String> {
        let (mut is_test, mut marks) = (false, Self::default());
        let mut others = Vec::new();
        for attribute in attributes {
            let name = name(attribute);
            match name.as_str() {
                "test" | "tokio::test" => is_test = true,
                "ignore" => marks.may_skip = true,
                "should_panic" => marks.panics = Some(expected_panic(attribute)),
                name if HARMLESS.contains(&name) => {}
                _ => others.push(name),
            }
        }
        let makes_tests = |name: &&String| {
            ["test", "case", "rstest", "param", "bench", "cfg", "prop"].iter().any(|part| name.contains(part))
        };
        let unknown = if is_test { others.first() } else { others.iter().find(makes_tests) };
        match unknown {
            Some(name) => Err(format!("nobody knows what `#[{name}]` in {path} makes of a test")),
            None => Ok(is_test.then_some(marks)),
        }
    }
}

fn name(attribute: &Attribute) -> String {
    let parts: Vec<String> = attribute.path().segments.iter().map(|part| part.ident.to_string()).collect();
    parts.join("::")
}

/// Attributes of a file or module that may leave tests out, or make others.
fn unknown(path: &str, attributes: &[Attribute]) -> Result<(), String> {
    match attributes.iter().map(name).find(|name| !HARMLESS.contains(&name.as_str())) {
        Some(name) => Err(format!("nobody knows what `{name}` makes of the tests of {path}")),
        None => Ok(()),
    }
}

/// A panic that has to come: another text in it, or that none has to come.
fn expected_panic(attribute: &Attribute) -> Site {
    let statement = place(attribute.span());
    let text = match &attribute.meta {
        Meta::NameValue(pair) => literal_text(&pair.value),
        Meta::List(_) => {
            let mut text = None;
            let read = attribute.parse_nested_meta(|meta| {
                text = literal_text(&meta.value()?.parse::<Expr>()?);
                Ok(())
            });
            text.filter(|_| read.is_ok())
        }
        Meta::Path(_) => None,
    };
    let way = match text {
        Some((at, text)) => Way::Value(vec![vec![Literal { at, value: Scalar::Text(text), far: true }]]),
        None => Way::Raises(vec![Edit { at: statement, text: " ".to_owned() }]),
    };
    Site { statement, way }
}

fn literal_text(expr: &Expr) -> Option<(Span, String)> {
    let Expr::Lit(lit) = expr else { return None };
    let Lit::Str(text) = &lit.lit else { return None };
    Some((place(text.span()), text.value()))
}

/// Leaves all comments out of the copies: they may tell what is right.
fn blank_comments(number: usize, text: &str, tokens: TokenStream, found: &mut Found) {
    let mut parts = Vec::new();
    bounds::parts(tokens, &mut |span| parts.push(place(span)));
    let part = |span: &Span| text.get(span.0..span.1).unwrap_or_default();
    let (mut from, mut spans) = (0, Vec::new());
    for span in parts.into_iter().chain([Span(text.len(), text.len())]) {
        let between = Span(from, span.0);
        if !part(&between).trim().is_empty() {
            spans.push(between);
        }
        // What documents is an attribute to the parser, of several tokens at the same place.
        let documents = part(&span).starts_with("//") || part(&span).starts_with("/*");
        if documents && from <= span.0 {
            spans.push(span);
        }
        from = from.max(span.1);
    }
    let own: Vec<Span> = found.blank.iter().filter(|(file, _)| *file == number).map(|(_, span)| *span).collect();
    spans.retain(|span| !own.iter().any(|other| other.0 <= span.0 && span.1 <= other.1));
    found.blank.extend(spans.into_iter().map(|span| (number, span)));
}

#[cfg(test)]
mod checks {
    use super::*;

    /// What is found in a file, or why nothing can be.
    fn found(text: &str) -> Result<Found, String> {
        let mut found = Found::default();
        let modules = BTreeMap::from([("tests/common/mod.rs".to_owned(), false)]);
        read(0, &SourceFile::new("tests/a.rs", text), &modules, &mut found).map(|()| found)
    }

    /// Why a test with this body is weak.
    fn weak(body: &str) -> String {
        let helpers = "fn helper(n: i32) -> bool { n > 1 }\nfn verify<T>(got: T, want: i32) { deep(got) }\nfn deep<T>(got: T) { assert!(got) }\n";
        let found = found(&format!("{helpers}#[test]\nfn t() {{ {body} }}")).unwrap();
        found.tests[0].weak.clone()
    }

    #[test]
    fn what_is_certain_and_written_out_is_not_weak() {
        for body in [
            "assert_eq!(f(1), 2);",
            "assert_eq!(f(1), Some(vec![(\"a\", 1.5)]), \"it may return {}\", 1);",
            "assert_eq!(&f(1)[..], &[b'a', b'b']);",
            "assert_eq!(f(), (Point { x: 1, y: 2 }, 3)); unsafe { assert!(g() < 3) }",
            "let want = String::from(\"x\"); assert_eq!(f(), want);",
            "for (a, b) in &[(1, 2), (3, 4)] { let c = f(a); assert_eq!(c, *b, \"{a}\"); }",
            "assert!(f().is_ok()); std::assert!(!g()); assert!((f() - 0.5).abs() <= 0.1);",
            "use std::collections::HashMap; assert_eq!(f(), None); assert_eq!(g(), HashMap::from([(1, 2)]));",
            "assert!((f() - 100.0).abs() < 20.0);",
            "let text = format!(\"{}\", 1); assert_eq!(f(&text), 1);",
        ] {
            assert_eq!(weak(body), "", "{body}");
        }
    }

    #[test]
    fn what_may_not_be_reached_or_is_not_written_out_is_weak() {
        for (body, why) in [
            ("if a { assert_eq!(f(1), 2); }", "may not get to"),
            ("match f() { Ok(_) => {} Err(_) => panic!() }", "may not get to"),
            ("let check = |a| assert_eq!(f(a), 2); check(1);", "may not get to"),
            ("for a in [1, 2] { if a == 1 { continue; } assert_eq!(f(a), 2); }", "may not get to"),
            ("for a in 0..3 { assert_eq!(f(a), 2); }", "may not get to"),
            ("assert_close!(f(1), 2.0);", "may not get to"),
            ("let Some(x) = f() else { return }; assert_eq!(x, 1);", "return early"),
            ("assert_eq!(f(1), g(1));", "not written out"),
            ("assert!(f(1) == g(1));", "not written out"),
            ("assert!(all().iter().all(|x| x == 1));", "not written out"),
            ("let n = 3; assert_eq!(f(n), n);", "not written out"),
            // What a type of the work makes of a value is up to the work: another value may come to the same.
            ("assert_eq!(f(1), Level::new(500));", "not written out"),
            ("assert_eq!(f(1), Num(3).to_string());", "not written out"),
            ("assert_eq!(f(1), Angle(370).into());", "not written out"),
            ("assert_eq!(f(1), 500.into());", "not written out"),
            ("assert_eq!(f(1), Point { x: 1, y: 2 });", "not written out"),
            ("assert_eq!(f(1), Err(ParseError::Invalid(1)));", "not written out"),
            ("assert_eq!(f(1), Path::new(\"a\"));", "not written out"),
            ("assert_eq!(f(1), Stack::new());", "not written out"),
            // A value that is the same as everything is so in both forms.
            ("let same = f(1) == 2; assert!(same);", "not written out"),
            ("assert_eq!(f(1) == 2, true);", "not written out"),
            ("assert!(helper(f(1)));", "not written out"),
            // Another value within reach is right too.
            ("assert!((f() - 100).abs() < 200);", "not written out"),
            ("check!(f(1), 2); assert_eq!(f(1), 2);", "may not get to"),
            ("verify(f(1), 2); assert_eq!(f(1), 2);", "may not get to"),
        ] {
            assert!(weak(body).contains(why), "{body}: {:?}", weak(body));
        }
    }

    #[test]
    fn tests_of_modules_and_with_marks_are_found() {
        let text = "mod common;\nmod inner { #[test] #[ignore] fn a() {} #[tokio::test] async fn b() {} }\n\
            #[test]\n#[should_panic(expected = \"x\")]\nfn c() { f(); }\nfn helper() {}\n";
        let found = found(text).unwrap();
        let seen: Vec<_> = found.tests.iter().map(|t| (format!("{}{}", t.prefix, t.name), t.may_skip)).collect();
        let expected = [("tests/a.rs::inner::a", true), ("tests/a.rs::inner::b", false), ("tests/a.rs::c", false)];
        assert_eq!(seen, expected.map(|(id, skip)| (id.to_owned(), skip)));
        assert!(matches!(found.tests[2].sites[0].way, Way::Value(_)));
    }

    #[test]
    fn which_tests_there_are_cannot_be_told_from_every_file() {
        for (text, why) in [
            ("proptest! { #[test] fn a(x: i32) {} }", "proptest!"),
            ("#[rstest] #[case(1)] fn a(x: i32) {}", "rstest"),
            ("#[test] #[cfg(unix)] fn a() {}", "cfg"),
            ("#![cfg(unix)]\n#[test] fn a() {}", "cfg"),
            ("mod others;\n#[test] fn a() {}", "may hold tests"),
            ("macro_rules! assert_eq { () => {} }", "assertion of its own"),
            ("#[test] fn a() { insta::assert_snapshot!(f()); }", "snapshot"),
            ("fn b() { a(); }\n#[test] fn a() { assert!(f()); }", "by its name"),
            ("#[test]\r\nfn a() {}", "CR LF"),
            ("#[test] fn a() { ", "no Rust"),
            ("fn a() { let = ; }", "no Rust"),
        ] {
            assert!(found(text).is_err_and(|said| said.contains(why)), "{text}");
        }
        let deep = format!("fn a() {{ {}1{} }}", "(".repeat(5000), ")".repeat(5000));
        assert!(found(&deep).is_err_and(|said| said.contains("deep")));
    }

    #[test]
    fn comments_and_messages_are_left_out() {
        let text = "//! top\nuse a::b; // right: 5\n/// documented\n#[test]\nfn t() { /* five */ assert_eq!(f(/* in */), 5, \"five {}\", /* c */ 5); }\n// end";
        let found = found(text).unwrap();
        let mut spans: Vec<_> = found.blank.iter().map(|(_, span)| (span.0, span.1)).collect();
        spans.sort_unstable();
        let mut kept = text.to_owned();
        spans.iter().rev().for_each(|(from, to)| kept.replace_range(*from..*to, " "));
        let bare: String = kept.split_whitespace().collect();
        assert_eq!(bare, "useb;#[test]fnt(){assert_eq!(f(),5);}".replace("useb", "usea::b"));
    }
}
