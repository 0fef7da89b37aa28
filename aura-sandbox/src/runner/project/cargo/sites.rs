//! Where a test can be made wrong.

use std::collections::HashMap;

use syn::{
    BinOp, Block, Expr, ExprForLoop, ExprMethodCall, Macro, Pat, Stmt, Token, UnOp, punctuated::Punctuated,
    spanned::Spanned as _,
};

use super::literals::{bare, elements_of_vec, is_nothing, literals, place};
use crate::runner::project::copies::{Edit, Literal, Site, Span, Way};

/// What an assertion is known by where it may not be reached.
const ASSERTS: [&str; 5] = ["assert", "panic!", "unreachable!", "fail(", "unimplemented!"];

/// What a name stands for: in each of these groups, one literal can be made wrong.
type Groups = Vec<Vec<Literal>>;

/// The sites of a test, and why it is weak.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) found: Vec<Site>,
    pub(super) weak: String,
    /// Messages of assertions.
    pub(super) blank: Vec<Span>,
}

/// Looks through the body of a test.
pub(super) fn sites_of(body: &Block, file: &str) -> Sites {
    let span = place(body.span());
    let text = file.get(span.0..span.1).unwrap_or_default();
    let mut scan = Scan { file, text, tables: HashMap::new(), sites: Sites::default() };
    if word_count(text, "return") > 0 {
        "it may return early".clone_into(&mut scan.sites.weak);
    }
    scan.statements(&body.stmts, &HashMap::new());
    scan.sites
}

struct Scan<'a> {
    file: &'a str,
    /// The test's own text.
    text: &'a str,
    /// Arrays that a name stands for.
    tables: HashMap<String, Expr>,
    sites: Sites,
}

/// How often a word is in a text, in format strings too.
fn word_count(text: &str, word: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: &usize| {
        !text.get(..*at).is_some_and(|before| before.ends_with(is_part))
            && !text.get(at + word.len()..).is_some_and(|after| after.starts_with(is_part))
    };
    text.match_indices(word).map(|(at, _)| at).filter(whole).count()
}

impl Scan<'_> {
    fn statements(&mut self, statements: &[Stmt], outer: &HashMap<String, Groups>) {
        let mut names = outer.clone();
        for statement in statements {
            match statement {
                Stmt::Macro(call) if call.attrs.is_empty() => self.call(&call.mac, place(statement.span()), &names),
                Stmt::Expr(Expr::Macro(call), _) if call.attrs.is_empty() => {
                    self.call(&call.mac, place(statement.span()), &names);
                }
                Stmt::Expr(Expr::Block(block), _) if block.label.is_none() => {
                    self.statements(&block.block.stmts, &names)
                }
                Stmt::Expr(Expr::Unsafe(block), _) => self.statements(&block.block.stmts, &names),
                Stmt::Expr(Expr::ForLoop(repeat), _) => self.repeat(repeat, &names),
                Stmt::Local(local) => {
                    self.hidden(place(statement.span()));
                    let Some(init) = local.init.as_ref().filter(|init| init.diverge.is_none()) else { continue };
                    let Some(name) = self.used_once(&local.pat) else { continue };
                    let group = literals(&init.expr, self.file);
                    if !group.is_empty() {
                        names.insert(name.clone(), vec![group]);
                    }
                    self.tables.insert(name, init.expr.as_ref().clone());
                }
                other => self.hidden(place(other.span())),
            }
        }
    }

    /// A name that is used once after it was given: a value that is used elsewhere too would be wrong there as well, and on both sides
    /// nothing would be.
    fn used_once(&self, pattern: &Pat) -> Option<String> {
        match pattern {
            Pat::Ident(name) if name.subpat.is_none() && name.mutability.is_none() => {
                let name = name.ident.to_string();
                (word_count(self.text, &name) == 2).then_some(name)
            }
            Pat::Type(typed) => self.used_once(&typed.pat),
            Pat::Reference(inner) => self.used_once(&inner.pat),
            Pat::Paren(inner) => self.used_once(&inner.pat),
            _ => None,
        }
    }

    /// What may not be reached, or does something that nobody knows.
    fn hidden(&mut self, statement: Span) {
        let text = self.source(statement);
        if ASSERTS.iter().any(|mark| text.contains(mark)) {
            let line = self.file.get(..statement.0).unwrap_or_default().matches('\n').count() + 1;
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
    fn repeat(&mut self, repeat: &ExprForLoop, names: &HashMap<String, Groups>) {
        let body = self.source(place(repeat.body.span()));
        let leaves = ["break", "continue"].iter().any(|word| word_count(body, word) > 0);
        let rows = rows(&repeat.expr, &self.tables);
        if leaves || repeat.label.is_some() || rows.is_empty() {
            self.hidden(place(repeat.span()));
            return;
        }
        let mut inner = names.clone();
        for (name, cells) in self.columns(&repeat.pat, &rows) {
            inner.insert(name, cells);
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
            let cells: Groups = rows.iter().map(cell).collect();
            let name = self.used_once(part)?;
            (!cells.iter().any(Vec::is_empty)).then_some((name, cells))
        });
        named.collect()
    }

    /// A macro that stands as a statement.
    fn call(&mut self, call: &Macro, statement: Span, names: &HashMap<String, Groups>) {
        let Some(name) = call.path.segments.last().filter(|_| is_of_std(call)) else { return self.hidden(statement) };
        let name = name.ident.to_string();
        let count = match name.as_str() {
            "assert_eq" | "assert_ne" => 2,
            "assert" => 1,
            _ => return self.hidden(statement),
        };
        let arguments = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        let Some(arguments) = arguments.ok().filter(|arguments| arguments.len() >= count) else {
            return self.hidden(statement);
        };
        let operands: Vec<&Expr> = arguments.iter().take(count).collect();
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

    /// Two that are to be the same: the right one is written out, or is nothing and is turned around.
    fn equal(&self, left: &Expr, right: &Expr, names: &HashMap<String, Groups>, turned: Way) -> Option<Vec<Way>> {
        let value = |side: &Expr| {
            if let Expr::Path(path) = bare(side)
                && let Some(groups) = path.path.get_ident().and_then(|name| names.get(&name.to_string()))
            {
                return Some(groups.clone());
            }
            let group = literals(side, self.file);
            (!group.is_empty()).then(|| vec![group])
        };
        // Of two that are written out, one is what the work was given.
        if let Some(groups) = value(right).or_else(|| value(left)) {
            return Some(vec![Way::Value(groups)]);
        }
        // Who gives nothing at all passes such a test, and so does one who lies about being the same: that is no easier.
        (is_nothing(left) != is_nothing(right)).then(|| vec![turned])
    }

    /// The ways to make a condition wrong; none when it is weak.
    fn condition(&self, condition: &Expr, names: &HashMap<String, Groups>) -> Option<Vec<Way>> {
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
                    BinOp::Lt(_) | BinOp::Le(_) if self.close(&both.left).is_some() => {
                        self.close(&both.left).map(|way| vec![way])
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
        let far = |literal: Literal| Literal { far: true, ..literal };
        is_text.then(|| Way::Value(vec![literals(argument, self.file).into_iter().map(far).collect()]))
    }

    /// What `(f() - 2.5).abs() < 1e-9` says is right: to turn that around would tell which copy is the twin.
    fn close(&self, left: &Expr) -> Option<Way> {
        let Expr::MethodCall(call) = left else { return None };
        let Expr::Binary(both) = bare(&call.receiver) else { return None };
        if call.method != "abs" || !matches!(both.op, BinOp::Sub(_)) {
            return None;
        }
        let far = |literal: Literal| Literal { far: true, ..literal };
        let sides = [&both.right, &both.left].map(|side| literals(side, self.file));
        let group = sides.into_iter().find(|group| !group.is_empty())?;
        Some(Way::Value(vec![group.into_iter().map(far).collect()]))
    }

    /// The opposite of a condition.
    fn turned(&self, condition: &Expr) -> Option<Vec<Way>> {
        let at = place(condition.span());
        let text = self.source(at);
        // A value that is the same as everything would pass such a test, and fail its opposite.
        if text.contains("==") || text.contains(".eq(") || matches!(condition, Expr::Lit(_)) {
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
