//! JSON as it is hashed: sorted keys, no spaces, equal numbers alike.

use serde_json::{Map, Number, Value};

/// The one spelling of a value.
#[expect(clippy::expect_used, reason = "a value has no key that is no text, and memory takes all that is written")]
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out).expect("a JSON value is written to memory");
    out
}

fn write(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        Value::Object(map) => write_object(map, out),
        Value::Array(values) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
            Ok(())
        }
        Value::Number(number) => write_number(number, out),
        other => serde_json::to_writer(out, other),
    }
}

/// Keys come in their order, whatever order the map type keeps.
fn write_object(map: &Map<String, Value>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    out.push(b'{');
    for (i, (key, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key)?;
        out.push(b':');
        write(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// A whole number is written digit by digit, whatever spelling a store gave it: `1e16` and `10000000000000000` are one number,
/// and so are `-0.0` and `0`.
fn write_number(number: &Number, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 => {
            out.extend(digits(float).bytes());
            Ok(())
        }
        _ => serde_json::to_writer(out, number),
    }
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
}
