//! Calls in Rust, written out: arguments become literals that fit the types of the function.

use aura_core::Input;
use serde_json::Value;

/// The program around the calls.
const HARNESS: &str = include_str!("call.rs.txt");

/// The program that makes these calls of `solution::<name>`.
pub(super) fn program<'a>(name: &str, calls: impl Iterator<Item = (usize, &'a Input)>) -> String {
    let mut arms = String::new();
    for (number, input) in calls {
        let args: Vec<String> = input.args.iter().map(literal).collect();
        arms.push_str(&format!("\"{number}\" => tell(&mark, &number, || solution::{name}({})),\n", args.join(", ")));
    }
    HARNESS.replace("// CALLS", &arms)
}

/// A text fits `&str` and `String`, a list `&[T]` and `Vec<T>`, an object a map. `{"Some": x}` and null fit `Option`.
fn literal(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(literal).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("{text:?}.into()"),
        Value::Array(values) => format!("(&[{}][..]).into()", all(values)),
        Value::Object(map) => match map.iter().next() {
            Some((key, value)) if key == "Some" && map.len() == 1 => format!("Some({})", literal(value)),
            _ => {
                let pairs: Vec<_> =
                    map.iter().map(|(key, value)| format!("({key:?}.into(), {})", literal(value))).collect();
                format!("[{}].into()", pairs.join(", "))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_become_literals() {
        for (value, expected) in [
            (json!(-3), "-3"),
            (json!(1.0), "1.0"),
            (json!("a\"\n"), r#""a\"\n".into()"#),
            (json!([1, [2]]), "(&[1, (&[2][..]).into()][..]).into()"),
            (json!({"Some": 1}), "Some(1)"),
            (json!({"k": true}), r#"[("k".into(), true)].into()"#),
        ] {
            assert_eq!(literal(&value), expected);
        }
    }

    #[test]
    fn only_the_calls_that_are_open_are_written() {
        let input = Input { args: vec![json!(1), json!(2)], ..Input::default() };
        let text = program("add", [(7, &input)].into_iter());
        assert!(text.contains("\"7\" => tell(&mark, &number, || solution::add(1, 2)),"), "{text}");
    }
}
