//! Reads JSON bodies: bounded in size, time, depth and number of values, and with the wrong field named.

use std::{cell::Cell, fmt};

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{Problem, router::App};

/// Most values that a body may hold: each takes far more memory than its text.
const MAX_VALUES: u32 = 200_000;

/// A JSON body of this shape.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        is_json(&request)?;
        let bytes = read(request, app).await?;
        shape(parse(&bytes)?).map(Self)
    }
}

/// A JSON body of this shape, or the default where there is no body.
#[derive(Debug)]
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let json = is_json(&request);
        let bytes = read(request, app).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        json?;
        shape(parse(&bytes)?).map(Self)
    }
}

fn is_json(request: &Request) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return refuse("compressed bodies are not read: send the JSON as it is, without Content-Encoding");
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        Ok(())
    } else {
        refuse("send the body as JSON, with the header Content-Type: application/json")
    }
}

async fn read(request: Request, app: &App) -> Result<Vec<u8>, Problem> {
    let max = app.options.max_body;
    let too_large = || {
        let detail = format!("at most {max} bytes are accepted");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > max) {
        return Err(too_large());
    }
    match tokio::time::timeout(app.options.body_timeout, to_bytes(request.into_body(), max)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad_request("the body ended too early")),
        Err(_) => {
            let detail = format!("the body did not arrive within {:?}", app.options.body_timeout);
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    // The error type belongs to http-body-util, which is no dependency of ours; its text is all that we can see.
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("length limit"))
}

/// Text to values. Refuses what parsers disagree on (a key that stands twice), what no store holds (NUL) and what no
/// number can hold.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let budget = Cell::new(MAX_VALUES);
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value =
        Strict(&budget).deserialize(&mut text).and_then(|value| text.end().map(|()| value)).map_err(|error| {
            if is_impossible_number(bytes, &error) {
                let detail = format!("numbers must be finite: {error}");
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
            } else {
                Problem::bad_request(format!("the body is not the JSON that is expected: {error}"))
            }
        })?;
    match find_nul(&value) {
        Some(path) => Err(Problem::invalid(path, "contains a NUL character, which cannot be stored")),
        None => Ok(value),
    }
}

/// Values to a type, with the field named that does not fit.
pub(crate) fn shape<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let at = error.path().to_string();
        let said = error.inner().to_string();
        let named = said.split('`').nth(1).filter(|_| said.starts_with("missing field"));
        let field = match (at.as_str(), named) {
            ("." | "", Some(name)) => name.to_owned(),
            ("." | "", None) => "body".to_owned(),
            (_, Some(name)) => format!("{at}.{name}"),
            (_, None) => at,
        };
        Problem::invalid(field.clone(), format!("{field}: {said}"))
    })
}

/// NaN, infinities, and numbers such as `1e999`: the text is no JSON, but what is meant is clear.
fn is_impossible_number(bytes: &[u8], error: &serde_json::Error) -> bool {
    if error.to_string().starts_with("number out of range") {
        return true;
    }
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let from = error.column().saturating_sub(2);
    let rest = line.get(from..).unwrap_or_default();
    ["NaN", "nan", "Infinity", "inf"].iter().any(|word| {
        let near = rest.get(..rest.len().min(word.len() + 2)).unwrap_or_default();
        near.windows(word.len()).any(|window| window == word.as_bytes())
    })
}

fn find_nul(value: &Value) -> Option<String> {
    let inner = |name: String, value: &Value| {
        find_nul(value).map(|rest| if rest.is_empty() { name.clone() } else { format!("{name}.{rest}") })
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| inner(i.to_string(), item)),
        Value::Object(map) => map.iter().find_map(|(key, item)| {
            if key.contains('\0') { Some(key.replace('\0', "\u{fffd}")) } else { inner(key.clone(), item) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Reads any value within a budget; a key that stands twice in one object is an error.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<u32>);

impl Strict<'_> {
    fn spend<E: serde::de::Error>(self) -> Result<(), E> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(E::custom(format!("more than {MAX_VALUES} values in one body"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.spend()?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                let shown: String = key.chars().take(64).collect();
                return Err(A::Error::custom(format!("the key {shown:?} stands twice in one object")));
            }
            let value = map.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn status_of(body: &str) -> u16 {
        parse(body.as_bytes()).map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn broken_deep_wide_or_ambiguous_json_is_a_bad_request() {
        for bad in ["", "{", "{\"a\": 1} x", r#"{"a": 1, "a": 2}"#, r#"{"a": {"b": 1, "b": 1}}"#, "\"\u{1}\""] {
            assert_eq!(status_of(bad), 400, "{bad}");
        }
        assert_eq!(status_of(&"[".repeat(100_000)), 400);
        assert_eq!(status_of(&format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))), 400);
        let million: Vec<String> = (0..1_000_000).map(|i| format!("\"k{i}\":1")).collect();
        assert_eq!(status_of(&format!("{{{}}}", million.join(","))), 400);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_as_values() {
        for bad in ["NaN", "-NaN", "Infinity", "-Infinity", "1e999", "-1e999"] {
            assert_eq!(status_of(&format!("{{\"score\": {bad}}}")), 422, "{bad}");
            assert_eq!(status_of(&format!("{{\n  \"score\":{bad}\n}}")), 422, "{bad}");
        }
        assert_eq!(status_of("{\"score\": nothing}"), 400);
        assert_eq!(status_of("{\"score\": 0.5}"), 200);
    }

    #[test]
    fn a_nul_is_refused_by_the_path_where_it_stands() {
        let problem = parse(br#"{"files": [{"text": "a"}, {"text": "a\u0000b"}]}"#).unwrap_err();
        assert_eq!(problem, Problem::invalid("files.1.text", "contains a NUL character, which cannot be stored"));
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its shape matters")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its shape matters")]
        count: u32,
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        let field = |body: &str| {
            let problem = shape::<Outer>(parse(body.as_bytes()).unwrap()).unwrap_err();
            serde_json::to_value(problem).unwrap()["field"].as_str().unwrap().to_owned()
        };
        assert_eq!(field("{}"), "inner");
        assert_eq!(field(r#"{"inner": {}}"#), "inner.count");
        assert_eq!(field(r#"{"inner": {"count": "3"}}"#), "inner.count");
        assert_eq!(field(r#"{"inner": {"count": -1}}"#), "inner.count");
        assert_eq!(field(r#"{"inner": {"count": 1}, "innner": 1}"#), "innner");
        assert_eq!(field("[]"), "body");
    }
}
