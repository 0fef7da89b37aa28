//! The tests that a file holds.

use std::collections::BTreeSet;

use aura_core::SourceFile;
use proc_macro2::TokenStream;
use syn::{Attribute, Expr, Item, ItemFn, Lit, Meta, spanned::Spanned as _};

use super::{
    bounds,
    literals::place,
    sites::{Sites, sites_of},
};
use crate::runner::project::{
    copies::{Edit, Found, Literal, Site, Span, Test, Way},
    wrong::Scalar,
};

/// Most tests of one file.
const MAX_TESTS: usize = 2000;
/// Attributes that leave a test what it is.
const HARMLESS: &[&str] = &["allow", "expect", "warn", "doc", "inline", "must_use"];
/// Words by which tests know their own names or places.
const KNOWS_ITSELF: &[&str] =
    &["snapshot", "expect_file!", "expect!", "module_path!", "line!", "thread::current", "type_name"];

/// Adds the tests of a file that cargo runs as a target of its own.
///
/// # Errors
/// Why it cannot be told which tests there are.
pub(super) fn read(
    number: usize,
    file: &SourceFile,
    modules: &BTreeSet<String>,
    found: &mut Found,
) -> Result<(), String> {
    let (path, text) = (file.path.as_str(), file.text.as_str());
    // Places are told from the first byte that the parser reads.
    if text.starts_with('\u{feff}') || text.starts_with("#!") && !text.starts_with("#![") {
        return Err(format!("{path} begins with a mark"));
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
    let mut reader = Reader { number, path, text, modules, found };
    reader.items(&parsed.items, &format!("{path}::"))?;
    blank_comments(number, text, tokens, found);
    Ok(())
}

struct Reader<'a> {
    number: usize,
    path: &'a str,
    text: &'a str,
    modules: &'a BTreeSet<String>,
    found: &'a mut Found,
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
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let may_be = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
        if may_be.iter().any(|path| self.modules.contains(path)) {
            return Ok(());
        }
        Err(format!("the module {name} of {} may hold tests", self.path))
    }

    fn function(&mut self, function: &ItemFn, prefix: &str) -> Result<(), String> {
        let Some(marks) = Marks::of(self.path, &function.attrs)? else { return Ok(()) };
        if self.found.tests.iter().filter(|test| test.file == self.number).count() >= MAX_TESTS {
            return Err(format!("{} holds more than {MAX_TESTS} tests", self.path));
        }
        let Sites { mut found, mut weak, blank } = sites_of(&function.block, self.text);
        self.found.blank.extend(blank.into_iter().map(|span| (self.number, span)));
        if let Some(site) = marks.panics {
            // A failed assertion is a panic too: only what panic is expected tells anything.
            found = vec![site];
            weak.clear();
        }
        self.found.tests.push(Test {
            file: self.number,
            prefix: prefix.to_owned(),
            name: function.sig.ident.to_string(),
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
