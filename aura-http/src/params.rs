//! Reads ids from paths and words from query strings.

use std::{fmt::Display, str::FromStr, time::Duration};

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{Uri, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{Problem, router::App};

/// Longest wait of a long-poll; a longer one that is asked for ends at this.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

/// The id in the path.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr<Err: Display> + Send> FromRequestParts<App> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Name(text) = Name::from_request_parts(parts, app).await?;
        text.parse().map(Self).map_err(|error| {
            let shown: String = text.chars().take(64).collect();
            Problem::bad_request(format!("{shown:?} is no id: {error}")).field("id")
        })
    }
}

/// The name in the path, decoded.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl FromRequestParts<App> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        path.map(|Path(name)| Self(name)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The query string.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(params)| Self(params)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// One word of a query string.
pub(crate) fn word<T: FromStr<Err: Display>>(name: &'static str, text: Option<&str>) -> Result<Option<T>, Problem> {
    let read = |text: &str| {
        let shown: String = text.chars().take(64).collect();
        text.parse().map_err(|error| Problem::bad_request(format!("{name}={shown:?}: {error}")).field(name))
    };
    text.map(read).transpose()
}

/// How many rows are wanted: 1 to 1000, 100 unless the caller says otherwise.
pub(crate) fn limit(text: Option<&str>) -> Result<u32, Problem> {
    match word::<u32>("limit", text)?.unwrap_or(100) {
        limit @ 1..=1000 => Ok(limit),
        other => Err(Problem::bad_request(format!("limit={other}: use 1 to 1000")).field("limit")),
    }
}

/// A duration: `500ms`, `30s`, `2m`, or a plain number of seconds; at most [`MAX_WAIT`].
pub(crate) fn wait(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let (number, scale) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else {
        (text, 1.0)
    };
    let seconds = number.parse::<f64>().ok().filter(|_| number.starts_with(|c: char| c.is_ascii_digit()));
    match seconds.map(|seconds| seconds * scale) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds.min(MAX_WAIT.as_secs_f64()))),
        None => {
            let shown: String = text.chars().take(64).collect();
            Err(Problem::bad_request(format!("wait={shown:?}: write 500ms, 30s, 1m or a number of seconds"))
                .field("wait"))
        }
    }
}

/// Checks free text that goes into the trail.
pub(crate) fn sentence(field: &'static str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() || text.len() > 4096 {
        return Err(Problem::invalid(field, format!("{field}: must be 1 to 4096 bytes of text")));
    }
    Ok(())
}

/// The `Link` header that leads to the next page: this request with another cursor.
pub(crate) fn next_page(uri: &Uri, cursor: &str, value: impl Display) -> String {
    let kept = uri.query().unwrap_or_default().split('&');
    let mut query: Vec<&str> = kept.filter(|part| !part.is_empty() && part.split('=').next() != Some(cursor)).collect();
    let next = format!("{cursor}={value}");
    query.push(&next);
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("1.5s", 1_500), ("1m", 60_000), ("2", 2_000), ("0", 0)]
        {
            assert_eq!(wait(Some(text)).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn a_long_wait_ends_at_a_minute() {
        for text in ["2m", "1000h".trim_end_matches('h'), "1e300"] {
            assert_eq!(wait(Some(text)).unwrap(), MAX_WAIT, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "-1s", "NaN", "inf", "1h", "30 s", "+1"] {
            assert!(wait(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_next_page_is_the_same_request_with_another_cursor() {
        let uri = "/aura/jobs?status=FAILED&after=1&model=a%2Bb".parse().unwrap();
        assert_eq!(next_page(&uri, "after", 7), "</aura/jobs?status=FAILED&model=a%2Bb&after=7>; rel=\"next\"");
        assert_eq!(next_page(&"/prds".parse().unwrap(), "before", 7), "</prds?before=7>; rel=\"next\"");
    }

    #[test]
    fn a_limit_is_one_to_a_thousand() {
        assert_eq!(limit(None).unwrap(), 100);
        assert_eq!(limit(Some("1000")).unwrap(), 1000);
        for bad in ["0", "1001", "-1", "x", "1 OR 1=1"] {
            assert!(limit(Some(bad)).is_err(), "{bad}");
        }
    }
}
