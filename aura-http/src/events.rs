//! The live stream (SSE): every audit entry once and in order, read from the store page by page.
//!
//! The store is the only buffer: a page is read when the client has taken the one before, so a reader that is slow or
//! asleep costs no memory, and a reader that comes back goes on where it was.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use aura_core::{Action, AuditEntry, AuditSeq, JobId, Orchestra, PrdId};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};
use utoipa::IntoParams;

use crate::{
    Problem,
    params::{self, Params},
    router::App,
};

/// Entries read at once.
const PAGE: u32 = 100;
/// How long one wait for a change lasts: a write of another process rings no bell here.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Where to start, and what to leave out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamParams {
    /// Start after this place; 0 replays all that is kept. Without it the stream starts with what happens from now on. The
    /// header Last-Event-ID, which a browser sends when it connects again, goes before it.
    #[param(value_type = Option<i64>)]
    after: Option<String>,
    /// Only entries about this job.
    job: Option<String>,
    /// Only entries about this PRD or its jobs.
    prd: Option<String>,
    /// Only entries with one of these actions, joined by commas, e.g. `prd.settled,run.scored`.
    action: Option<String>,
}

/// The live stream (Server-Sent Events): every audit entry once and in order. `id` is its place, `event` its action, `data`
/// the entry as JSON. Where entries are no longer kept, an event `gap` with `{"missed_from", "oldest"}` stands in their
/// place. Ends when the orchestra stops.
#[utoipa::path(
    get, path = "/events", tag = "trail",
    params(StreamParams, ("Last-Event-ID" = Option<i64>, Header, description = "The last place that was seen")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 400, body = Problem, description = "The place is no number, or lies beyond the newest entry"),
        (status = 503, body = Problem, description = "Too many streams are open"),
    )
)]
pub(crate) async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&app.orchestra, &params).await?;
    let newest = app.orchestra.audit_range().await?.map_or(AuditSeq(0), |(_, newest)| newest);
    let after = start(&headers, params.after.as_deref(), newest)?;
    if app.orchestra.is_stopping() {
        return Err(aura_core::Error::Stopping.into());
    }
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        let detail = format!("{} live streams are open, and no more are served", app.options.max_streams);
        return Err(Problem::unavailable(detail, Duration::from_secs(10)));
    };
    let heartbeat = app.options.heartbeat;
    let reader = Reader { orchestra: app.orchestra, after, wanted, heartbeat, _permit: permit };
    let hello = Bytes::from(format!("retry: {}\n\n", RETRY.as_millis()));
    let frames = stream::unfold((reader, Some(hello)), |(mut reader, hello)| async move {
        let frame = match hello {
            Some(hello) => Some(hello),
            None => reader.next().await,
        };
        frame.map(|frame| (Ok::<_, Infallible>(frame), (reader, None)))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        // Tells proxies not to hold frames back.
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

/// The place to start after.
fn start(headers: &HeaderMap, after: Option<&str>, newest: AuditSeq) -> Result<AuditSeq, Problem> {
    let (field, text) = match headers.get("last-event-id") {
        Some(id) => ("Last-Event-ID", Some(id.to_str().unwrap_or_default())),
        None => ("after", after),
    };
    match params::word::<i64>(field, text)? {
        None => Ok(newest),
        Some(place) if (0..=newest.0).contains(&place) => Ok(AuditSeq(place)),
        Some(place) => {
            let detail = format!("{field}={place}: the places go from 0 to {newest}; the number is of another log");
            Err(Problem::bad_request(detail).field(field))
        }
    }
}

/// Reads one client's frames.
#[derive(Debug)]
struct Reader {
    orchestra: Orchestra,
    after: AuditSeq,
    wanted: Wanted,
    heartbeat: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next frames: as many as a page has, or a heartbeat; absent at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let deadline = Instant::now() + self.heartbeat;
        loop {
            if self.orchestra.is_stopping() {
                return None;
            }
            let page = match self.orchestra.audit(self.after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    // Ending is the honest answer: the client comes back with the last place that it saw.
                    tracing::error!(%error, "a live stream ends, since the audit log cannot be read");
                    return None;
                }
            };
            let frames = frames(&page, self.after, &self.wanted);
            let is_empty = page.is_empty();
            if let Some(last) = page.last() {
                self.after = last.seq;
            }
            if !frames.is_empty() {
                return Some(frames.into());
            }
            if Instant::now() >= deadline {
                return Some(Bytes::from_static(b": heartbeat\n\n"));
            }
            if is_empty {
                let changed = self.orchestra.changed(self.after, LOOK_AGAIN);
                tokio::select! {
                    // A timeout is no end: the loop looks at the deadline.
                    _ = timeout_at(deadline, changed) => {}
                    () = self.orchestra.stopping() => {}
                }
            }
        }
    }
}

/// Which entries a client wants.
#[derive(Debug, Default)]
struct Wanted {
    job: Option<String>,
    prd: Option<(String, HashSet<String>)>,
    actions: Option<HashSet<&'static str>>,
}

impl Wanted {
    async fn read(orchestra: &Orchestra, params: &StreamParams) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        if let Some(job) = params::word::<JobId>("job", params.job.as_deref())? {
            wanted.job = Some(orchestra.job(job).await?.id.to_string());
        }
        if let Some(prd) = params::word::<PrdId>("prd", params.prd.as_deref())? {
            let prd = orchestra.prd(prd).await?;
            wanted.prd = Some((prd.id.to_string(), prd.jobs.iter().map(ToString::to_string).collect()));
        }
        if let Some(words) = &params.action {
            let mut actions = HashSet::new();
            for word in words.split(',') {
                let action: Action = word.trim().parse().map_err(|error: aura_core::standing::UnknownWord| {
                    Problem::bad_request(error.to_string()).field("action")
                })?;
                actions.insert(action.as_str());
            }
            wanted.actions = Some(actions);
        }
        Ok(wanted)
    }

    fn takes(&self, entry: &AuditEntry) -> bool {
        let text = |key: &str| entry.details.get(key).and_then(serde_json::Value::as_str);
        self.job.as_deref().is_none_or(|wanted| entry.job_ids().any(|job| job == wanted))
            && self
                .prd
                .as_ref()
                .is_none_or(|(prd, jobs)| text("prd_id") == Some(prd) || entry.job_ids().any(|job| jobs.contains(job)))
            && self.actions.as_ref().is_none_or(|actions| actions.contains(entry.action.as_str()))
    }
}

/// A page as frames. A hole before or within it is told by a `gap`, whatever the client wants to see.
fn frames(page: &[AuditEntry], mut after: AuditSeq, wanted: &Wanted) -> String {
    let mut out = String::new();
    for entry in page {
        if entry.seq.0 != after.0 + 1 {
            let gap = serde_json::json!({ "missed_from": after.0 + 1, "oldest": entry.seq.0 });
            push_frame(&mut out, entry.seq.0 - 1, "gap", &gap.to_string());
        }
        after = entry.seq;
        if wanted.takes(entry) {
            match serde_json::to_string(entry) {
                Ok(data) => push_frame(&mut out, entry.seq.0, &entry.action, &data),
                Err(error) => tracing::error!(seq = entry.seq.0, %error, "an audit entry cannot be written as JSON"),
            }
        }
    }
    out
}

fn push_frame(out: &mut String, id: i64, event: &str, data: &str) {
    // The action of a row written by hand may hold anything; a line break in it would start a new field.
    let event: String = event.chars().map(|c| if c.is_control() { '_' } else { c }).take(128).collect();
    out.push_str(&format!("id: {id}\nevent: {event}\ndata: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use serde_json::{Value, json};

    fn entry(seq: i64, action: &str, details: Value) -> AuditEntry {
        let created_at = DateTime::UNIX_EPOCH;
        AuditEntry { seq: AuditSeq(seq), actor: "hr".into(), action: action.into(), details, created_at, hash: None }
    }

    fn ids(page: &[AuditEntry], after: i64, wanted: &Wanted) -> Vec<String> {
        let text = frames(page, AuditSeq(after), wanted);
        text.lines().filter_map(|line| line.strip_prefix("id: ").map(str::to_owned)).collect()
    }

    #[test]
    fn a_frame_has_id_event_and_one_line_of_data() {
        let text =
            frames(&[entry(7, "job.queued", json!({"text": "a\nb\r\n\nid: 9"}))], AuditSeq(6), &Wanted::default());
        let lines: Vec<_> = text.split('\n').collect();
        assert_eq!((lines[0], lines[1]), ("id: 7", "event: job.queued"));
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["details"]["text"], "a\nb\r\n\nid: 9");
        assert_eq!(lines[3..], ["", ""]);
    }

    #[test]
    fn an_action_written_by_hand_cannot_start_a_new_line() {
        let text = frames(&[entry(1, "x\r\ndata: forged\n\n", json!({}))], AuditSeq(0), &Wanted::default());
        assert_eq!(text.lines().filter(|line| line.starts_with("data:")).count(), 1);
        assert_eq!(text.matches("\n\n").count(), 1);
    }

    #[test]
    fn what_is_no_longer_kept_shows_as_a_gap() {
        let page = [entry(5, "job.queued", json!({})), entry(6, "job.queued", json!({}))];
        let text = frames(&page, AuditSeq(2), &Wanted::default());
        assert!(text.starts_with("id: 4\nevent: gap\ndata: {\"missed_from\":3,\"oldest\":5}\n\n"), "{text}");
        assert_eq!(ids(&page, 2, &Wanted::default()), ["4", "5", "6"]);
        assert_eq!(ids(&page, 4, &Wanted::default()), ["5", "6"]);
    }

    #[test]
    fn a_filter_keeps_what_is_about_the_job_the_prd_or_the_action() {
        let page = [
            entry(1, "prd.submitted", json!({"prd_id": "p"})),
            entry(2, "job.queued", json!({"job_id": "j"})),
            entry(3, "job.queued", json!({"job_id": "other"})),
        ];
        let job = Wanted { job: Some("j".into()), ..Wanted::default() };
        assert_eq!(ids(&page, 0, &job), ["2"]);
        let prd = Wanted { prd: Some(("p".into(), HashSet::from(["j".to_owned()]))), ..Wanted::default() };
        assert_eq!(ids(&page, 0, &prd), ["1", "2"]);
        let action = Wanted { actions: Some(HashSet::from(["job.queued"])), ..Wanted::default() };
        assert_eq!(ids(&page, 0, &action), ["2", "3"]);
    }

    #[test]
    fn a_place_that_is_no_number_negative_or_beyond_the_end_is_refused() {
        let start = |header: Option<&str>, after: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(id) = header {
                headers.insert("last-event-id", id.parse().unwrap());
            }
            super::start(&headers, after, AuditSeq(10)).ok()
        };
        for bad in ["", "x", "-1", "11", "9223372036854775808", "1.5", "1 OR 1=1"] {
            assert_eq!(start(Some(bad), Some("3")), None, "{bad}");
            assert_eq!(start(None, Some(bad)), None, "{bad}");
        }
        assert_eq!(start(None, None), Some(AuditSeq(10)));
        assert_eq!(start(None, Some("0")), Some(AuditSeq(0)));
        assert_eq!(start(Some("10"), Some("3")), Some(AuditSeq(10)));
    }
}
