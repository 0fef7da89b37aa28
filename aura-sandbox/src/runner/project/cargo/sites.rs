//! Where a test can be made wrong.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    BinOp, Block, Expr, ExprForLoop, ExprMethodCall, Macro, Pat, Stmt, Token, UnOp, punctuated::Punctuated,
    spanned::Spanned as _,
};

use super::literals::{bare, elements_of_vec, is_nothing, literals, place};
use crate::runner::project::{
    copies::{Edit, Literal, Site, Span, Way},
    wrong::Scalar,
};

/// Macros that end a test, besides those whose names begin with "assert".
const ENDS: [&str; 4] = ["panic", "unreachable", "unimplemented", "todo"];

/// Macros that assert nothing.
const HARMLESS: [&str; 17] = [
    "vec",
    "format",
    "println",
    "eprintln",
    "print",
    "eprint",
    "matches",
    "dbg",
    "write",
    "writeln",
    "concat",
    "stringify",
    "include_str",
    "include_bytes",
    "env",
    "option_env",
    "json",
];
/// Signs and calls by which a value is asked whether it is like another one.
const COMPARES: [&str; 6] = ["==", "!=", "<=", ">=", ".eq(", ".ne("];

/// What is known of a file's own functions and modules.
#[derive(Debug, Default)]
pub(super) struct Helpers {
    /// Those that assert something, or may.
    pub(super) asserting: HashSet<String>,
    /// All functions that are no tests.
    pub(super) functions: HashSet<String>,
}

/// What a name stands for: in each of these groups, one literal can be made wrong.
type Groups = Vec<Vec<Literal>>;

/// The sites of a test, and why it is weak.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) found: Vec<Site>,
    pub(super) weak: String,
    /// Messages of assertions.
    pub(super) blank: Vec<Span>,
    /// What keeps a failure for the end of the test.
    pub(super) always: Vec<Edit>,
}

/// Looks through the body of a test.
///
/// A failed assertion does not end a copy: the rest of it is run, and the first failure goes on at its end. So a twin leaves behind what
/// the test itself leaves: nothing is locked, open or set for those that come after it.
pub(super) fn sites_of(body: &Block, file: &str, helpers: &Helpers) -> Sites {
    let mut words = HashMap::new();
    count_words(body.to_token_stream(), &mut words);
    let compared = HashSet::new();
    let mut scan = Scan { file, helpers, words, tables: HashMap::new(), compared, sites: Sites::default() };
    if scan.words.contains_key("return") {
        "it may return early".clone_into(&mut scan.sites.weak);
    }
    scan.statements(&body.stmts, &HashMap::new());
    if !scan.sites.always.is_empty() {
        let around = place(body.span());
        let put = |at: usize, text: &str| Edit { at: Span(at, at), text: text.to_owned() };
        // In front of what is put in at the same place.
        scan.sites.always.insert(0, put(around.0 + 1, " let mut failed_first = None; let outcome = {"));
        scan.sites.always.push(put(
            around.1.saturating_sub(1),
            " }; if let Some(failure) = failed_first { ::std::panic::resume_unwind(failure) } outcome ",
        ));
    }
    scan.sites
}

struct Scan<'a> {
    file: &'a str,
    helpers: &'a Helpers,
    /// How often each word is in the test, in format strings too.
    words: HashMap<String, usize>,
    /// Arrays that a name stands for.
    tables: HashMap<String, Expr>,
    /// Names that stand for the outcome of a comparison.
    compared: HashSet<String>,
    sites: Sites,
}

fn count_words(tokens: TokenStream, words: &mut HashMap<String, usize>) {
    for token in tokens {
        let found: Vec<String> = match token {
            TokenTree::Group(group) => {
                count_words(group.stream(), words);
                continue;
            }
            TokenTree::Ident(word) => vec![word.to_string()],
            TokenTree::Literal(literal) => {
                let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
                let text = literal.to_string();
                text.split('{').skip(1).map(|part| part.chars().take_while(is_part).collect()).collect()
            }
            TokenTree::Punct(_) => continue,
        };
        found.into_iter().for_each(|word| *words.entry(word).or_insert(0) += 1);
    }
}

/// Whether one of these words is there.
fn has_any(tokens: TokenStream, is_one: &dyn Fn(&str) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => has_any(group.stream(), is_one),
        TokenTree::Ident(word) => is_one(&word.to_string()),
        TokenTree::Literal(_) | TokenTree::Punct(_) => false,
    })
}

/// Whether something asserts: by a macro, unless it is a harmless one, or by a function that does.
pub(super) fn asserts(tokens: TokenStream, asserting: &HashSet<String>) -> bool {
    let mut before = None;
    for token in tokens {
        match &token {
            TokenTree::Group(group) if asserts(group.stream(), asserting) => return true,
            TokenTree::Group(_) | TokenTree::Literal(_) => before = None,
            TokenTree::Ident(word) => {
                let word = word.to_string();
                if asserting.contains(&word) {
                    return true;
                }
                before = Some(word);
            }
            TokenTree::Punct(mark) => {
                let is_macro = mark.as_char() == '!' && mark.spacing() == Spacing::Alone;
                if let Some(word) = before.take().filter(|_| is_macro) {
                    let ends = word.contains("assert") || ENDS.contains(&word.as_str());
                    if ends || !HARMLESS.contains(&word.as_str()) && !is_keyword(&word) {
                        return true;
                    }
                }
            }
        }
    }
    false
}

/// Words before a `!` that stands for "not".
fn is_keyword(word: &str) -> bool {
    matches!(word, "if" | "while" | "return" | "in" | "match" | "else" | "macro_rules")
}

impl Scan<'_> {
    fn statements(&mut self, statements: &[Stmt], outer: &HashMap<String, Rc<Groups>>) {
        let mut names = outer.clone();
        for statement in statements {
            match statement {
                Stmt::Macro(call) if call.attrs.is_empty() => self.call(&call.mac, statement, &names),
                Stmt::Expr(Expr::Macro(call), _) if call.attrs.is_empty() => self.call(&call.mac, statement, &names),
                Stmt::Expr(Expr::Block(block), _) if block.label.is_none() => {
                    self.statements(&block.block.stmts, &names)
                }
                Stmt::Expr(Expr::Unsafe(block), _) => self.statements(&block.block.stmts, &names),
                Stmt::Expr(Expr::ForLoop(repeat), _) => self.repeat(repeat, &names),
                Stmt::Local(local) => {
                    self.hidden(statement);
                    let Some(init) = local.init.as_ref().filter(|init| init.diverge.is_none()) else { continue };
                    let compares = self.source(place(init.expr.span()));
                    if let Pat::Ident(name) = &local.pat
                        && COMPARES.iter().any(|sign| compares.contains(sign))
                    {
                        self.compared.insert(name.ident.to_string());
                    }
                    let Some(name) = self.used_once(&local.pat) else { continue };
                    let groups = literals(&init.expr, self.file);
                    if !groups.is_empty() {
                        names.insert(name.clone(), Rc::new(groups));
                    }
                    self.tables.insert(name, init.expr.as_ref().clone());
                }
                other => self.hidden(other),
            }
        }
    }

    /// A name that is used once after it was given: a value that is used elsewhere too would be wrong there as well, and on both sides
    /// nothing would be.
    fn used_once(&self, pattern: &Pat) -> Option<String> {
        match pattern {
            Pat::Ident(name) if name.subpat.is_none() && name.mutability.is_none() => {
                let name = name.ident.to_string();
                (self.words.get(&name) == Some(&2)).then_some(name)
            }
            Pat::Type(typed) => self.used_once(&typed.pat),
            Pat::Reference(inner) => self.used_once(&inner.pat),
            Pat::Paren(inner) => self.used_once(&inner.pat),
            _ => None,
        }
    }

    /// What may not be reached, or does something that nobody knows.
    fn hidden(&mut self, statement: &impl ToTokens) {
        let tokens = statement.to_token_stream();
        if asserts(tokens, &self.helpers.asserting) {
            let line = statement.span().start().line;
            self.weaken(format!("it may not get to an assertion in line {line}"));
        }
    }

    fn weaken(&mut self, why: String) {
        if self.sites.weak.is_empty() {
            self.sites.weak = why;
        }
    }

    fn source(&self, span: Span) -> &str {
        self.file.get(span.0..span.1).unwrap_or_default()
    }

    /// A loop whose rows are written out, and whose body is certain to be run to its end.
    fn repeat(&mut self, repeat: &ExprForLoop, names: &HashMap<String, Rc<Groups>>) {
        let leaves = has_any(repeat.body.to_token_stream(), &|word| matches!(word, "break" | "continue"));
        let rows = rows(&repeat.expr, &self.tables);
        if leaves || repeat.label.is_some() || rows.is_empty() {
            self.hidden(repeat);
            return;
        }
        let mut inner = names.clone();
        for (name, cells) in self.columns(&repeat.pat, &rows) {
            inner.insert(name, Rc::new(cells));
        }
        self.statements(&repeat.body.stmts, &inner);
    }

    /// The literals that each name of a loop stands for, row by row.
    fn columns(&self, pattern: &Pat, rows: &[Expr]) -> Vec<(String, Groups)> {
        let mut columns: Vec<(&Pat, Option<usize>)> = Vec::new();
        let mut pattern = pattern;
        while let Pat::Reference(inner) = pattern {
            pattern = &inner.pat;
        }
        match pattern {
            Pat::Tuple(tuple) => columns.extend(tuple.elems.iter().enumerate().map(|(at, part)| (part, Some(at)))),
            whole => columns.push((whole, None)),
        }
        let named = columns.into_iter().filter_map(|(part, at)| {
            let cell = |row: &Expr| match (at, bare(row)) {
                (None, whole) => literals(whole, self.file),
                (Some(at), Expr::Tuple(row)) => {
                    row.elems.iter().nth(at).map(|cell| literals(cell, self.file)).unwrap_or_default()
                }
                (Some(_), _) => Vec::new(),
            };
            let cells: Vec<Groups> = rows.iter().map(cell).collect();
            let name = self.used_once(part)?;
            (!cells.iter().any(Vec::is_empty)).then(|| (name, cells.concat()))
        });
        named.collect()
    }

    /// A macro that stands as a statement.
    fn call(&mut self, call: &Macro, whole: &Stmt, names: &HashMap<String, Rc<Groups>>) {
        let Some(name) = call.path.segments.last().filter(|_| is_of_std(call)) else { return self.hidden(whole) };
        let name = name.ident.to_string();
        let count = match name.as_str() {
            "assert_eq" | "assert_ne" => 2,
            "assert" => 1,
            _ => return self.hidden(whole),
        };
        let arguments = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        let Some(arguments) = arguments.ok().filter(|arguments| arguments.len() >= count) else {
            return self.hidden(whole);
        };
        let statement = place(whole.span());
        let operands: Vec<&Expr> = arguments.iter().take(count).collect();
        if operands.iter().any(|operand| asserts(operand.to_token_stream(), &self.helpers.asserting)) {
            return self.hidden(whole);
        }
        self.keep(whole);
        if let (Some(from), Some(last)) = (operands.last(), arguments.last().filter(|_| arguments.len() > count)) {
            self.sites.blank.push(Span(place(from.span()).1, place(last.span()).1));
        }
        let flip = |to: &str| {
            let at = call.path.segments.last().map(|last| place(last.span())).unwrap_or_default();
            Way::Other(vec![Edit { at, text: to.to_owned() }])
        };
        let ways = match (name.as_str(), operands.as_slice()) {
            ("assert_eq", [left, right]) => self.equal(left, right, names, flip("assert_ne")),
            ("assert_ne", _) => Some(vec![flip("assert_eq")]),
            (_, [condition]) => self.condition(condition, names),
            _ => None,
        };
        match ways {
            Some(ways) => {
                self.sites.found.extend(ways.into_iter().map(|way| Site { statement, way }));
            }
            None => {
                let line: String =
                    self.source(statement).lines().next().unwrap_or_default().chars().take(120).collect();
                self.weaken(format!("what is right is not written out in `{line}`"));
            }
        }
    }

    /// Keeps what fails in a statement for the end of the test; not where something in it leaves the test or waits.
    fn keep(&mut self, whole: &Stmt) {
        let leaves =
            has_any(whole.to_token_stream(), &|word| matches!(word, "await" | "return" | "break" | "continue"));
        let at = place(whole.span());
        if leaves || self.source(at).contains('?') {
            return;
        }
        let put = |at: usize, text: &str| Edit { at: Span(at, at), text: text.to_owned() };
        self.sites.always.push(put(at.0, "match ::std::panic::catch_unwind(::std::panic::AssertUnwindSafe(|| { "));
        self.sites.always.push(put(
            at.1,
            " })) { Err(failure) if failed_first.is_none() => failed_first = Some(failure), _ => {} }",
        ));
    }

    /// Two that are to be the same: the right one is written out, or is nothing and is turned around.
    fn equal(&self, left: &Expr, right: &Expr, names: &HashMap<String, Rc<Groups>>, turned: Way) -> Option<Vec<Way>> {
        let value = |side: &Expr| {
            if let Expr::Path(path) = bare(side)
                && let Some(groups) = path.path.get_ident().and_then(|name| names.get(&name.to_string()))
            {
                return Some(groups.as_ref().clone());
            }
            Some(literals(side, self.file)).filter(|groups| !groups.is_empty())
        };
        // Of two that are written out, one is what the work was given.
        let found = value(right).map(|groups| (groups, left)).or_else(|| Some((value(left)?, right)));
        if let Some((groups, other)) = found {
            let asked = self.source(place(other.span()));
            let is_bool = groups.iter().flatten().all(|literal| matches!(literal.value, Scalar::Bool(_)));
            // A value that is the same as everything would be so in both forms.
            let hides = is_bool && COMPARES.iter().any(|sign| asked.contains(sign));
            return (!hides).then(|| vec![Way::Value(groups)]);
        }
        // Who gives nothing at all passes such a test, and so does one who lies about being the same: that is no easier.
        (is_nothing(left, self.file) != is_nothing(right, self.file)).then(|| vec![turned])
    }

    /// The ways to make a condition wrong; none when it is weak.
    fn condition(&self, condition: &Expr, names: &HashMap<String, Rc<Groups>>) -> Option<Vec<Way>> {
        let swap = |at: Span, to: &str| Some(vec![Way::Other(vec![Edit { at, text: to.to_owned() }])]);
        match condition {
            Expr::Paren(inner) => self.condition(&inner.expr, names),
            Expr::Binary(both) => {
                let at = place(both.op.span());
                match both.op {
                    BinOp::And(_) => {
                        let mut ways = self.condition(&both.left, names)?;
                        ways.append(&mut self.condition(&both.right, names)?);
                        Some(ways)
                    }
                    BinOp::Eq(_) => {
                        let turned = Way::Other(vec![Edit { at, text: "!=".to_owned() }]);
                        self.equal(&both.left, &both.right, names, turned)
                    }
                    BinOp::Ne(_) => swap(at, "=="),
                    BinOp::Lt(_) | BinOp::Le(_) if is_distance(&both.left) => {
                        self.close(&both.left, &both.right).map(|way| vec![way])
                    }
                    BinOp::Lt(_) => swap(at, ">="),
                    BinOp::Ge(_) => swap(at, "<"),
                    BinOp::Gt(_) => swap(at, "<="),
                    BinOp::Le(_) => swap(at, ">"),
                    _ => self.turned(condition),
                }
            }
            Expr::Unary(not) if matches!(not.op, UnOp::Not(_)) => swap(place(not.op.span()), ""),
            Expr::MethodCall(call) => match self.needle(call) {
                Some(way) => Some(vec![way]),
                None => self.turned(condition),
            },
            _ => self.turned(condition),
        }
    }

    /// A text that is looked for in another.
    fn needle(&self, call: &ExprMethodCall) -> Option<Way> {
        let looks = ["contains", "starts_with", "ends_with"].iter().any(|name| call.method == name);
        let argument = call.args.first().filter(|_| looks && call.args.len() == 1)?;
        let is_text = matches!(bare(argument), Expr::Lit(lit) if matches!(lit.lit, syn::Lit::Str(_)));
        is_text.then(|| Way::Needle(far_from(literals(argument, self.file))))
    }

    /// What `(f() - 2.5).abs() < 1e-9` says is right: to turn that around would tell which copy is the twin. Another value has to be out
    /// of reach of the tolerance.
    fn close(&self, left: &Expr, tolerance: &Expr) -> Option<Way> {
        let Expr::MethodCall(call) = left else { return None };
        let Expr::Binary(both) = bare(&call.receiver) else { return None };
        let sides = [&both.right, &both.left].map(|side| literals(side, self.file));
        let groups = sides.into_iter().find(|groups| !groups.is_empty())?;
        let tolerance = literals(tolerance, self.file);
        let [tolerance] = tolerance.first()?.as_slice() else { return None };
        let reach = tolerance.value.number()?.abs();
        let is_out = |literal: &Literal| literal.value.number().is_some_and(|value| reach * 4.0 < value.abs() + 9.0);
        groups.iter().flatten().all(is_out).then(|| Way::Value(far_from(groups)))
    }

    /// The opposite of a condition.
    fn turned(&self, condition: &Expr) -> Option<Vec<Way>> {
        let at = place(condition.span());
        let text = self.source(at);
        // A value that is the same as everything would pass such a test, and fail its opposite.
        let named = |word: &str| self.compared.contains(word) || self.helpers.functions.contains(word);
        let hides =
            ["==", ".eq("].iter().any(|sign| text.contains(sign)) || has_any(condition.to_token_stream(), &named);
        if hides || matches!(condition, Expr::Lit(_)) {
            return None;
        }
        let put = |at: usize, text: &str| Edit { at: Span(at, at), text: text.to_owned() };
        // As people write it: a parenthesis that is not needed would tell which copy is the twin.
        let binds = matches!(
            condition,
            Expr::MethodCall(_) | Expr::Call(_) | Expr::Path(_) | Expr::Macro(_) | Expr::Field(_) | Expr::Index(_)
        );
        Some(vec![Way::Other(if binds { vec![put(at.0, "!")] } else { vec![put(at.0, "!("), put(at.1, ")")] })])
    }
}

/// Whether an expression is how far two numbers are apart.
fn is_distance(expr: &Expr) -> bool {
    let Expr::MethodCall(call) = expr else { return false };
    call.method == "abs" && matches!(bare(&call.receiver), Expr::Binary(both) if matches!(both.op, BinOp::Sub(_)))
}

/// To be made wrong by far: a value close to it might do as well, or contain it.
fn far_from(groups: Groups) -> Groups {
    let far = |literal: Literal| Literal { far: true, ..literal };
    groups.into_iter().map(|group| group.into_iter().map(far).collect()).collect()
}

/// Whether it is the macro of the standard library, by its path.
fn is_of_std(call: &Macro) -> bool {
    let of = call.path.segments.first().map(|first| first.ident.to_string()).unwrap_or_default();
    call.path.segments.len() == 1 || call.path.segments.len() == 2 && matches!(of.as_str(), "std" | "core")
}

/// The rows of a table; none when they are not written out.
fn rows(table: &Expr, tables: &HashMap<String, Expr>) -> Vec<Expr> {
    match bare(table) {
        Expr::Array(array) => array.elems.iter().cloned().collect(),
        Expr::Macro(vec) => elements_of_vec(vec),
        Expr::MethodCall(call) if ["iter", "into_iter", "iter_mut"].iter().any(|name| call.method == name) => {
            rows(&call.receiver, tables)
        }
        Expr::Path(path) => {
            let table = path.path.get_ident().and_then(|name| tables.get(&name.to_string()));
            match table.map(bare) {
                Some(Expr::Array(array)) => array.elems.iter().cloned().collect(),
                Some(Expr::Macro(vec)) => elements_of_vec(vec),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
