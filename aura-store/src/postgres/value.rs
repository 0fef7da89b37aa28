//! Values that PostgreSQL cannot hold as they are: the character NUL, which its texts do not know, and times past its calendar.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;

pub(super) use crate::moment::{after, micros};

/// Stands where a NUL was. Models write NUL now and then, and a text that could not be stored would hold up its job for ever.
const IN_PLACE_OF_NUL: &str = "\u{fffd}";

/// A text without NUL.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', IN_PLACE_OF_NUL)),
        false => Cow::Borrowed(text),
    }
}

/// A structured value without NUL, in its keys too.
pub(super) fn json(value: Value) -> Value {
    if has_nul(&value) { without_nul(value) } else { value }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(held) => held.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(held) if held.contains('\0') => Value::String(text(&held).into_owned()),
        Value::Array(values) => Value::Array(values.into_iter().map(without_nul).collect()),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (text(&key).into_owned(), without_nul(value))).collect()
        }
        other => other,
    }
}

/// A structured value without NUL, as text.
pub(super) fn json_text(value: &Value) -> String {
    let written = written(value);
    // The escape may also be a backslash's: then the slow way finds nothing to replace.
    if written.contains("\\u0000") { self::written(&json(value.clone())) } else { written }
}

/// A value as text; several times as fast as its `Display`.
#[expect(clippy::expect_used, reason = "a value has no key that is no text, and memory takes all that is written")]
pub(super) fn written(value: &Value) -> String {
    serde_json::to_string(value).expect("a JSON value is written to memory")
}

/// Microseconds of a wait; one without end gives more than there are to the end of the year 9999.
pub(super) fn micros_of(wait: Duration) -> i64 {
    const MOST: i64 = 253_402_300_799_000_000;
    i64::try_from(wait.as_micros()).map_or(MOST, |micros| micros.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as make;

    #[test]
    fn a_nul_is_replaced_wherever_it_stands() {
        let value = make!({ "a\0": ["x\0y", { "b": "\\u0000" }], "n": 1 });
        let text = json_text(&value);
        assert_eq!(text, make!({ "a\u{fffd}": ["x\u{fffd}y", { "b": "\\u0000" }], "n": 1 }).to_string());
        assert_eq!(super::text("a\0b"), "a\u{fffd}b");
    }
}
