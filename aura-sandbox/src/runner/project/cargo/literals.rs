//! The values that an expression writes out.

use proc_macro2::Span as Tokens;
use syn::{
    Expr, ExprCall, ExprLit, ExprMacro, ExprMethodCall, Lit, Path, UnOp, punctuated::Punctuated, spanned::Spanned as _,
};

use crate::runner::project::{
    copies::{Literal, Span},
    wrong::Scalar,
};

/// Types of the standard library that are as different as what they are made of: those that are known everywhere, and those that a file
/// has to ask for.
const PRELUDE: [&str; 3] = ["String", "Box", "Vec"];
const STD: &[&str] =
    &["Rc", "Arc", "Cow", "VecDeque", "PathBuf", "OsString", "Duration", "HashMap", "BTreeMap", "HashSet", "BTreeSet"];
/// Their functions that keep it so.
const KEEPING: &[&str] = &["from", "new", "from_secs", "from_millis", "from_micros", "from_nanos"];
/// Methods whose result is as different as what they are called on.
const KEEPING_METHODS: &[&str] = &["to_string", "to_owned", "as_str", "as_bytes", "to_vec", "into_bytes", "as_slice"];
/// What the standard library wraps a value in.
const WRAPPERS: [&str; 3] = ["Some", "Ok", "Err"];
/// Most names of one kind that are looked at.
const MAX_SIBLINGS: usize = 16;
/// How often such a name is looked for.
const MAX_LOOKED_AT: usize = 256;
/// Collections of pairs, in which a later one wins.
const MAPS: [&str; 2] = ["HashMap", "BTreeMap"];
/// Collections in which two that are alike are one.
const SETS: [&str; 2] = ["HashSet", "BTreeSet"];

/// Where these tokens stand in their file.
pub(super) fn place(tokens: Tokens) -> Span {
    let range = tokens.byte_range();
    Span(range.start, range.end)
}

/// What can be made wrong in an expression: when one literal of the group gets another value, the whole is another for certain. No group
/// when nothing is written out. What a type of the work is made of is not looked at: such a type says itself what is the same.
pub(super) fn literals(expr: &Expr, file: &str) -> Vec<Vec<Literal>> {
    let mut reader = Reader { file, found: Vec::new() };
    reader.collect(expr);
    Some(reader.found).filter(|found| !found.is_empty()).into_iter().collect()
}

/// Whether a type is the standard library's, as far as the file tells.
fn is_of_std(name: &str, file: &str) -> bool {
    let asks = || file.split(';').any(|item| item.contains("use std::") && item.contains(name));
    PRELUDE.contains(&name) || STD.contains(&name) && asks()
}

/// Whether an expression is the one value of its type that says "nothing".
pub(super) fn is_nothing(expr: &Expr, file: &str) -> bool {
    match bare(expr) {
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "None"),
        Expr::Array(array) => array.elems.is_empty(),
        Expr::Macro(vec) => vec.mac.path.is_ident("vec") && vec.mac.tokens.is_empty(),
        Expr::Call(call) if call.args.is_empty() => {
            let Expr::Path(path) = call.func.as_ref() else { return false };
            let parts: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
            matches!(parts.as_slice(), [.., of, new] if new == "new" && is_of_std(of, file))
        }
        _ => false,
    }
}

/// An expression without the parentheses and references around it.
pub(super) fn bare(mut expr: &Expr) -> &Expr {
    loop {
        expr = match expr {
            Expr::Paren(inner) => &inner.expr,
            Expr::Group(inner) => &inner.expr,
            Expr::Reference(inner) => &inner.expr,
            Expr::Unary(inner) if matches!(inner.op, UnOp::Deref(_)) => &inner.expr,
            other => return other,
        }
    }
}

/// The elements of `vec![a, b]`; none for another macro, and for `vec![a; n]`.
pub(super) fn elements_of_vec(vec: &ExprMacro) -> Vec<Expr> {
    let elements = Punctuated::<Expr, syn::Token![,]>::parse_terminated;
    if !vec.mac.path.is_ident("vec") {
        return Vec::new();
    }
    vec.mac.parse_body_with(elements).map(|all| all.into_iter().collect()).unwrap_or_default()
}

struct Reader<'a> {
    file: &'a str,
    found: Vec<Literal>,
}

impl Reader<'_> {
    fn all<'e>(&mut self, parts: impl IntoIterator<Item = &'e Expr>) {
        parts.into_iter().for_each(|part| self.collect(part));
    }

    fn collect(&mut self, expr: &Expr) {
        match expr {
            Expr::Lit(lit) => self.found.extend(literal(&lit.lit, false, place(expr.span()))),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
                if let Expr::Lit(ExprLit { lit, .. }) = unary.expr.as_ref() {
                    self.found.extend(literal(lit, true, place(expr.span())));
                }
            }
            Expr::Paren(_) | Expr::Group(_) | Expr::Reference(_) => self.collect(bare(expr)),
            Expr::Array(array) => self.all(&array.elems),
            Expr::Tuple(tuple) => self.all(&tuple.elems),
            Expr::Macro(vec) => self.all(&elements_of_vec(vec)),
            Expr::MethodCall(call) => self.method(call),
            Expr::Call(call) => self.call(call),
            Expr::Path(path) => {
                let names = siblings(&path.path, self.file);
                if let [name, _, ..] = names.as_slice() {
                    let value = Scalar::OneOf(name.clone(), names);
                    self.found.push(Literal { at: place(expr.span()), value, far: false });
                }
            }
            _ => {}
        }
    }

    /// A method of a value of the standard library: what one of another type does is up to the work.
    fn method(&mut self, call: &ExprMethodCall) {
        let mut inner = Reader { file: self.file, found: Vec::new() };
        if KEEPING_METHODS.iter().any(|method| call.method == method) && call.args.is_empty() {
            inner.collect(&call.receiver);
        }
        if !inner.found.iter().any(|literal| literal.value.has_few_others()) {
            self.found.append(&mut inner.found);
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let Expr::Path(path) = call.func.as_ref() else { return };
        let parts: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
        let (of, name) = match parts.as_slice() {
            [.., of, name] => (of.as_str(), name.as_str()),
            [name] => ("", name.as_str()),
            [] => return,
        };
        let keeps = WRAPPERS.contains(&name) || KEEPING.contains(&name) && is_of_std(of, self.file);
        if !keeps {
            return;
        }
        if MAPS.contains(&of) {
            // The value of the last pair is certain to be in it.
            if let Some(Expr::Array(pairs)) = call.args.first().map(bare)
                && let Some(Expr::Tuple(pair)) = pairs.elems.last()
                && let Some(value) = pair.elems.last()
            {
                self.collect(value);
            }
            return;
        }
        let before = self.found.len();
        self.all(&call.args);
        let inner = self.found.get(before..).unwrap_or_default();
        let distinct = |(at, one): (usize, &Literal)| inner.iter().skip(at + 1).all(|other| other.value != one.value);
        if SETS.contains(&of) && !inner.iter().enumerate().all(distinct) {
            self.found.truncate(before);
        }
    }
}

/// A literal's value; absent for one that has no other of its type.
fn literal(lit: &Lit, is_negative: bool, at: Span) -> Option<Literal> {
    let (sign, factor) = if is_negative { (-1, -1.0) } else { (1, 1.0) };
    let value = match lit {
        Lit::Int(int) => Scalar::Int(sign * int.base10_parse::<i128>().ok()?, int.suffix().to_owned()),
        Lit::Float(float) => Scalar::Float(factor * float.base10_parse::<f64>().ok()?, float.suffix().to_owned()),
        Lit::Str(text) if text.suffix().is_empty() => Scalar::Text(text.value()),
        Lit::ByteStr(bytes) => Scalar::Bytes(bytes.value()),
        Lit::Byte(byte) => Scalar::Byte(byte.value()),
        Lit::Char(c) => Scalar::Char(c.value()),
        Lit::Bool(bool) => Scalar::Bool(bool.value),
        _ => return None,
    };
    Some(Literal { at, value, far: false })
}

/// The names that may stand in place of a variant, itself first: those of its kind that the file uses.
fn siblings(path: &Path, file: &str) -> Vec<String> {
    let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    let is_variant =
        |name: &str| name.starts_with(char::is_uppercase) && (name.contains(char::is_lowercase) || name.len() == 1);
    let Some((own, of)) = parts.split_last().filter(|(own, of)| is_variant(own) && !of.is_empty()) else {
        return Vec::new();
    };
    let prefix = format!("{}::", of.join("::"));
    let mut names = vec![format!("{prefix}{own}")];
    let mut add = |name: &str| {
        let whole = format!("{prefix}{name}");
        if names.len() < MAX_SIBLINGS && is_variant(name) && !names.contains(&whole) {
            names.push(whole);
        }
    };
    if of.last().is_some_and(|of| of == "Ordering") {
        ["Less", "Equal", "Greater"].into_iter().for_each(&mut add);
    }
    let is_part =
        |at: usize| file.get(..at).is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    for (at, _) in file.match_indices(&prefix).filter(|(at, _)| !is_part(*at)).take(MAX_LOOKED_AT) {
        let rest = file.get(at + prefix.len()..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        // One that holds something cannot stand alone.
        if !rest.get(end..).unwrap_or_default().trim_start().starts_with(['(', '{', ':', '<', '!']) {
            add(rest.get(..end).unwrap_or_default());
        }
    }
    names
}
