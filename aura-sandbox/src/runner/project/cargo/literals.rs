//! The values that an expression writes out.

use proc_macro2::Span as Tokens;
use syn::{
    Expr, ExprCall, ExprLit, ExprMacro, ExprMethodCall, Lit, Path, UnOp, punctuated::Punctuated, spanned::Spanned as _,
};

use crate::runner::project::{
    copies::{Literal, Span},
    wrong::Scalar,
};

/// Functions whose result is as different as what they are given.
const KEEPING: &[&str] = &["from", "new", "from_secs", "from_millis", "from_micros", "from_nanos", "from_str"];
/// Methods whose result is as different as what they are called on.
const KEEPING_METHODS: &[&str] =
    &["to_string", "to_owned", "into", "as_str", "as_bytes", "to_vec", "into_bytes", "into_boxed_str", "as_slice"];
/// Collections of pairs, in which a later one wins.
const MAPS: &[&str] = &["HashMap", "BTreeMap", "IndexMap"];
/// Collections in which two that are alike are one.
const SETS: &[&str] = &["HashSet", "BTreeSet", "IndexSet"];

/// Where these tokens stand in their file.
pub(super) fn place(tokens: Tokens) -> Span {
    let range = tokens.byte_range();
    Span(range.start, range.end)
}

/// The literals in an expression: another value of any one of them makes the whole another. None when nothing is written out.
pub(super) fn literals(expr: &Expr, file: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    collect(expr, file, &mut found);
    found
}

/// Whether an expression is the one value of its type that says "nothing".
pub(super) fn is_nothing(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "None"),
        Expr::Array(array) => array.elems.is_empty(),
        Expr::Macro(vec) => vec.mac.path.is_ident("vec") && vec.mac.tokens.is_empty(),
        Expr::Call(call) if call.args.is_empty() => {
            let Expr::Path(path) = call.func.as_ref() else { return false };
            path.path.segments.len() > 1 && path.path.segments.last().is_some_and(|last| last.ident == "new")
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

fn collect(expr: &Expr, file: &str, found: &mut Vec<Literal>) {
    let mut all = |parts: &mut dyn Iterator<Item = &Expr>| parts.for_each(|part| collect(part, file, found));
    match expr {
        Expr::Lit(lit) => found.extend(literal(&lit.lit, false, place(expr.span()))),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            if let Expr::Lit(ExprLit { lit, .. }) = unary.expr.as_ref() {
                found.extend(literal(lit, true, place(expr.span())));
            }
        }
        Expr::Paren(_) | Expr::Group(_) | Expr::Reference(_) => collect(bare(expr), file, found),
        Expr::Array(array) => all(&mut array.elems.iter()),
        Expr::Tuple(tuple) => all(&mut tuple.elems.iter()),
        Expr::Struct(object) => all(&mut object.fields.iter().map(|field| &field.expr)),
        Expr::Macro(vec) => all(&mut elements_of_vec(vec).iter()),
        Expr::MethodCall(call) => collect_method(call, file, found),
        Expr::Call(call) => collect_call(call, file, found),
        Expr::Path(path) => {
            let names = siblings(&path.path, file);
            if let [name, _, ..] = names.as_slice() {
                let value = Scalar::OneOf(name.clone(), names);
                found.push(Literal { at: place(expr.span()), value, far: false });
            }
        }
        _ => {}
    }
}

fn collect_method(call: &ExprMethodCall, file: &str, found: &mut Vec<Literal>) {
    if KEEPING_METHODS.iter().any(|method| call.method == method) && call.args.is_empty() {
        collect(&call.receiver, file, found);
    }
}

fn collect_call(call: &ExprCall, file: &str, found: &mut Vec<Literal>) {
    let Expr::Path(path) = call.func.as_ref() else { return };
    let segments = &path.path.segments;
    let Some(last) = segments.last().map(|last| last.ident.to_string()) else { return };
    let of = segments.iter().rev().nth(1).map(|of| of.ident.to_string()).unwrap_or_default();
    let constructs = last.starts_with(char::is_uppercase);
    if !constructs && !(KEEPING.contains(&last.as_str()) && of.starts_with(char::is_uppercase)) {
        return;
    }
    let mut inner = Vec::new();
    if MAPS.contains(&of.as_str()) {
        // The value of the last pair is certain to be in it.
        if let Some(Expr::Array(pairs)) = call.args.first().map(bare)
            && let Some(Expr::Tuple(pair)) = pairs.elems.last()
            && let Some(value) = pair.elems.last()
        {
            collect(value, file, &mut inner);
        }
    } else {
        call.args.iter().for_each(|argument| collect(argument, file, &mut inner));
        let distinct = |(at, one): (usize, &Literal)| inner.iter().skip(at + 1).all(|other| other.value != one.value);
        if SETS.contains(&of.as_str()) && !inner.iter().enumerate().all(distinct) {
            inner.clear();
        }
    }
    found.append(&mut inner);
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
        if is_variant(name) && !names.contains(&whole) {
            names.push(whole);
        }
    };
    if of.last().is_some_and(|of| of == "Ordering") {
        ["Less", "Equal", "Greater"].into_iter().for_each(&mut add);
    }
    let is_part =
        |at: usize| file.get(..at).is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    for (at, _) in file.match_indices(&prefix).filter(|(at, _)| !is_part(*at)) {
        let rest = file.get(at + prefix.len()..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        // One that holds something cannot stand alone.
        if !rest.get(end..).unwrap_or_default().trim_start().starts_with(['(', '{', ':', '<', '!']) {
            add(rest.get(..end).unwrap_or_default());
        }
    }
    names
}
