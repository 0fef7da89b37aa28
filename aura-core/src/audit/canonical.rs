//! JSON as it is hashed: sorted keys, no spaces, equal numbers alike.

use serde_json::{Map, Number, Value};

/// The one spelling of a value.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => write_object(map, out),
        Value::Array(values) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(value, out);
            }
            out.push(b']');
        }
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

#[expect(clippy::expect_used, reason = "memory takes all that is written")]
fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text is written to memory");
}

/// Keys come in their order, whatever order the map type keeps.
fn write_object(map: &Map<String, Value>, out: &mut Vec<u8>) {
    out.push(b'{');
    if map.keys().is_sorted() {
        write_entries(map.iter(), out);
    } else {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| key.as_str());
        write_entries(entries.into_iter(), out);
    }
    out.push(b'}');
}

fn write_entries<'v>(entries: impl Iterator<Item = (&'v String, &'v Value)>, out: &mut Vec<u8>) {
    for (i, (key, value)) in entries.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        write(value, out);
    }
}

/// A whole number is written digit by digit, whatever spelling a store gave it: `1e16` and `10000000000000000` are one number,
/// and so are `-0.0` and `0`.
fn write_number(number: &Number, out: &mut Vec<u8>) {
    let spelling = match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 => digits(float),
        _ => number.to_string(),
    };
    out.extend_from_slice(spelling.as_bytes());
}

/// The digits of a whole float: the fewest that tell it from others, then zeros.
fn digits(float: f64) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = exponent.parse::<usize>().unwrap_or(0).saturating_sub(fraction.len());
    format!("{whole}{fraction}{}", "0".repeat(zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_hash_alike_however_they_are_spelt() {
        let written = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        for (one, other) in [
            ("1e16", "10000000000000000"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1e20", "100000000000000000000"),
            ("-1e16", "-10000000000000000"),
            ("1.2345678901234568e18", "1234567890123456800"),
            ("1.5e3", "1500"),
            ("1e300", &format!("1{}", "0".repeat(300))),
        ] {
            assert_eq!(written(one), written(other), "{one} and {other}");
        }
        assert_ne!(written("9007199254740993"), written("9007199254740992"));
        assert_ne!(written("0.1"), written("0.2"));
        assert_eq!(written("0.1"), b"0.1");
    }

    #[test]
    fn keys_are_sorted_and_escaped_as_texts_are() {
        let value = serde_json::json!({ "b\"\n\u{1f}": "\u{e9}\\\t", "a": [true, null, 0.25] });
        let text = r#"{"a":[true,null,0.25],"b\"\n\u001f":"é\\\t"}"#;
        assert_eq!(String::from_utf8(canonical(&value)).unwrap(), text);
    }
}
