//! Whether an answer is the right one: compared here, where the work cannot reach.

use aura_core::Expected;
use serde_json::{Number, Value};

use super::answers::Answer;

/// How far two numbers may lie apart where one of them is a fraction, as a share of the larger one.
const CLOSE: f64 = 1e-9;

pub(super) fn is_right(expected: &Expected, answer: &Answer) -> bool {
    match (expected, answer) {
        (Expected::Returns(expected), Answer::Returned(value, _)) => same(expected, value),
        (Expected::Returns(Value::String(expected)), Answer::Printed(Some(0), printed)) => {
            std::str::from_utf8(printed).is_ok_and(|printed| lines(expected).eq(lines(printed)))
        }
        (Expected::Raises(expected), Answer::Raised(kinds, _)) => kinds.contains(expected),
        _ => false,
    }
}

/// Without blanks at the ends of lines and without empty lines at the end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().lines().map(str::trim_end)
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    if a == b {
        return true;
    }
    let is_whole = |number: &Number| number.is_i64() || number.is_u64();
    if is_whole(a) && is_whole(b) {
        return false;
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= CLOSE * a.abs().max(b.abs()).max(1.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn returns(expected: Value, value: Value) -> bool {
        is_right(&Expected::Returns(expected), &Answer::Returned(value, None))
    }

    #[test]
    fn values_are_compared_by_what_they_are() {
        for (expected, value, right) in [
            (json!(3), json!(3), true),
            (json!(3), json!(3.0), true),
            (json!(0.3), json!(0.1 + 0.2), true),
            (json!(0.3), json!(0.300_001), false),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
            (json!(1), json!(true), false),
            (json!(1), json!("1"), false),
            (json!(null), json!([]), false),
            (json!([1, [2]]), json!([1, [2]]), true),
            (json!([1, 2]), json!([2, 1]), false),
            (json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1.0}), true),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
        ] {
            assert_eq!(returns(expected.clone(), value.clone()), right, "{expected} and {value}");
        }
    }

    #[test]
    fn a_program_is_right_by_what_it_prints_and_only_when_it_ends_well() {
        let prints = |expected: &str, code, printed: &str| {
            let expected = Expected::Returns(expected.into());
            is_right(&expected, &Answer::Printed(code, printed.as_bytes().to_vec()))
        };
        assert!(prints("a\nb", Some(0), "a  \nb\n\n"));
        assert!(!prints("a\nb", Some(0), "a\n\nb"));
        assert!(!prints("a", Some(1), "a"));
        assert!(!prints("a", None, "a"));
    }

    #[test]
    fn an_exception_is_right_by_any_of_its_classes_and_is_no_value() {
        let raised = Answer::Raised(vec!["JSONDecodeError".into(), "ValueError".into()], String::new());
        assert!(is_right(&Expected::Raises("ValueError".into()), &raised));
        assert!(!is_right(&Expected::Raises("TypeError".into()), &raised));
        assert!(!is_right(&Expected::Raises("ValueError".into()), &Answer::Returned(json!("ValueError"), None)));
        assert!(!is_right(&Expected::Returns(json!(null)), &Answer::Ended("exit code 0".into())));
    }

    proptest! {
        #[test]
        fn being_right_is_symmetric(a in -1e12..1e12_f64, b in -1e12..1e12_f64) {
            prop_assert_eq!(returns(json!(a), json!(b)), returns(json!(b), json!(a)));
            prop_assert!(returns(json!(a), json!(a)));
        }
    }
}
