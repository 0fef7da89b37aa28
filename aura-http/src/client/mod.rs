//! The door of a manager from the other side: what a worker on another machine works through.

mod exchange;
mod token;

use std::time::Duration;

use async_trait::async_trait;
use aura_core::{
    Artifact, Error, Feedback, Job, LeaseProof, Manager, ModelName, ModelProfile, NewArtifact, Prd, Result, StoreError,
    contract::{ArtifactUpload, Claimed, Release, Report, Reported, Sighting, WorkRequest},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use self::exchange::{Exchange, MAX_ANSWER, Refusal};
pub use self::token::Token;
use crate::HttpError;

/// Most bytes that one claimed job may come in, with its texts (48 MiB).
const MAX_JOB: usize = 48 << 20;
/// Most bytes that the answer to one claim may have (512 MiB).
const MAX_CLAIM: usize = 512 << 20;
/// Most bytes of artifacts in one call: the manager takes 16 MiB, and the rest of the body needs room.
const MAX_UPLOAD: usize = 15 << 20;
/// Most leases in one call.
const MAX_LEASES: usize = 1000;
/// Longest reason that the manager takes, in bytes.
const MAX_REASON: usize = 4096;

/// A manager on the other side of an HTTP connection.
///
/// Every error is the one that the manager had. What could not be asked at all, or not now, is
/// [`Error::ManagerAway`](aura_core::Error::ManagerAway) and may be asked again. [`Release::blameless`] stays here: a manager does not
/// take it from a worker elsewhere.
///
/// # Examples
/// ```
/// let manager = aura_http::HttpManager::builder("http://127.0.0.1:8000").build()?;
/// assert_eq!(manager.place(), "http://127.0.0.1:8000");
/// # Ok::<(), aura_http::HttpError>(())
/// ```
#[derive(Debug)]
pub struct HttpManager {
    exchange: Exchange,
    patience: Duration,
}

/// Puts an [`HttpManager`] together.
#[derive(Debug)]
#[must_use = "nothing happens before `build`"]
pub struct HttpManagerBuilder {
    url: String,
    token: Option<Token>,
    connect: Duration,
    patience: Duration,
}

impl HttpManagerBuilder {
    /// What is shown to be let in (default: nothing).
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// How long a connection may take (default 10 s).
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// How long a call may take, beside the wait that a claim asks for (default 30 s).
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Checks the address. Nobody is asked yet.
    ///
    /// # Errors
    /// [`HttpError::Client`] names what is wrong, [`HttpError::ClientSetup`] says why this machine cannot encrypt.
    pub fn build(self) -> Result<HttpManager, HttpError> {
        let exchange = Exchange::new(&self.url, self.token, self.connect)?;
        Ok(HttpManager { exchange, patience: self.patience })
    }
}

impl HttpManager {
    /// The manager at this address, such as `http://127.0.0.1:8000`.
    pub fn builder(url: impl Into<String>) -> HttpManagerBuilder {
        HttpManagerBuilder {
            url: url.into(),
            token: None,
            connect: Duration::from_secs(10),
            patience: Duration::from_secs(30),
        }
    }

    /// Where the manager is.
    #[must_use]
    pub fn place(&self) -> &str {
        self.exchange.place()
    }

    /// Tells the manager of a model that works here. Its `origin` is not told: to the manager, its answers are a model's.
    ///
    /// # Errors
    /// [`Error::ModelExists`] when it knows one of that name.
    pub async fn register(&self, profile: &ModelProfile) -> Result<()> {
        self.tell_of(profile, false).await
    }

    /// As [`register`](Self::register), but where the manager knows the same model by that name already, from another worker or an
    /// earlier day, it is brought up to date.
    ///
    /// # Errors
    /// [`Error::ModelExists`] when the name is another model's.
    pub async fn employ(&self, profile: &ModelProfile) -> Result<()> {
        self.tell_of(profile, true).await
    }

    async fn tell_of(&self, profile: &ModelProfile, update: bool) -> Result<()> {
        let body = json!({
            "kind": profile.kind,
            "endpoint": profile.endpoint,
            "provider": profile.identity.provider,
            "model": profile.identity.model,
            "roles": profile.roles,
            "concurrency": profile.concurrency,
            "price": profile.price,
            "needs": profile.needs,
            "stub": profile.stub,
            "update": update,
        });
        let path = ["models", profile.name.as_str(), "register"];
        self.post::<Value>(&path, &body).await.map(drop)
    }

    async fn post<T: serde::de::DeserializeOwned>(&self, path: &[&str], body: &Value) -> Result<T> {
        self.exchange.post(path, body, self.patience, MAX_ANSWER).await
    }

    async fn beat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>> {
        let Some(first) = leases.first() else { return Ok(Vec::new()) };
        let shown: Vec<_> = leases
            .iter()
            .map(|lease| json!({ "job_id": lease.job, "worker_id": lease.worker, "token": lease.token }))
            .collect();
        let body = json!({ "worker_id": first.worker, "leases": shown });
        let mut beats = self.post::<Beats>(&["jobs", "heartbeat"], &body).await?.leases.into_iter();
        let answers = leases.iter().map(|lease| match beats.next() {
            Some(Beat { until: Some(until), .. }) => Ok(until),
            Some(Beat { problem: Some(problem), .. }) => Err(self.exchange.error_of(problem)),
            _ => Err(StoreError::not_found("lease on job", lease.job).into()),
        });
        Ok(answers.collect())
    }
}

#[derive(Debug, Deserialize)]
struct ClaimedJobs {
    jobs: Vec<ClaimedJob>,
}

#[derive(Debug, Deserialize)]
struct ClaimedJob {
    record: Job,
    model: ModelName,
    prd: Prd,
    feedback: Option<Feedback>,
}

#[derive(Debug, Deserialize)]
struct Beats {
    leases: Vec<Beat>,
}

#[derive(Debug, Deserialize)]
struct Beat {
    until: Option<DateTime<Utc>>,
    problem: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct ReportTaken {
    repeated: bool,
}

#[async_trait]
impl Manager for HttpManager {
    async fn claim(&self, request: &WorkRequest) -> Result<Vec<Claimed>> {
        let patience = self.patience.saturating_add(request.wait);
        let most = MAX_JOB.saturating_mul(request.max as usize).clamp(MAX_ANSWER, MAX_CLAIM);
        let claimed: ClaimedJobs = self.exchange.post(&["jobs", "claim"], request, patience, most).await?;
        let claimed = claimed.jobs.into_iter();
        Ok(claimed
            .map(|ClaimedJob { record: job, model, prd, feedback }| Claimed { job, model, prd, feedback })
            .collect())
    }

    async fn heartbeat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>> {
        let mut answers = Vec::with_capacity(leases.len());
        for some in leases.chunks(MAX_LEASES) {
            answers.extend(self.beat(some).await?);
        }
        Ok(answers)
    }

    async fn observe(&self, sighting: &Sighting) -> Result<()> {
        self.exchange.post::<Value>(&["jobs", "heartbeat"], sighting, self.patience, MAX_ANSWER).await.map(drop)
    }

    async fn upload_artifacts(&self, upload: &ArtifactUpload) -> Result<Vec<Artifact>> {
        check_sizes(&upload.items)?;
        let body = json!({
            "job_id": upload.job, "worker_id": upload.worker, "token": upload.token, "artifacts": upload.items,
        });
        self.post(&["models", upload.model.as_str(), "artifacts"], &body).await
    }

    async fn report(&self, report: &Report) -> Result<Reported> {
        let Report { proof, success, details } = report;
        let body = json!({ "worker_id": proof.worker, "token": proof.token, "success": success, "details": details });
        let job = proof.job.to_string();
        let taken: ReportTaken = self.post(&["jobs", &job, "report"], &body).await?;
        Ok(Reported { job: proof.job, repeated: taken.repeated })
    }

    async fn release(&self, release: &Release) -> Result<()> {
        let Release { proof, reason, retry_after, blameless: _, unbilled } = release;
        let wait = retry_after.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let body = json!({
            "worker_id": proof.worker, "token": proof.token, "reason": in_short(reason), "retry_after_ms": wait,
            "unbilled": unbilled,
        });
        self.post::<Value>(&["jobs", &proof.job.to_string(), "release"], &body).await.map(drop)
    }
}

/// Too large a body would be cut off while it is sent, which looks like a manager that went away.
fn check_sizes(items: &[NewArtifact]) -> Result<()> {
    let sizes: Vec<_> = items.iter().map(|item| item.body.to_string().len()).collect();
    let (largest, all) = (sizes.iter().max().copied().unwrap_or(0), sizes.iter().sum::<usize>());
    let most = if largest > NewArtifact::MAX_BYTES { NewArtifact::MAX_BYTES } else { MAX_UPLOAD };
    let bytes = if largest > NewArtifact::MAX_BYTES { largest } else { all };
    if bytes > most {
        return Err(Error::invalid("artifact", format!("is {bytes} bytes long, at most {most} are accepted")));
    }
    Ok(())
}

/// A reason as the manager takes it: some text, not too long, without NUL.
fn in_short(reason: &str) -> String {
    let mut short = String::new();
    for c in reason.chars().filter(|c| *c != '\0') {
        if short.len() + c.len_utf8() > MAX_REASON {
            break;
        }
        short.push(c);
    }
    if short.trim().is_empty() { "handed back by its worker".to_owned() } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_that_the_manager_takes() {
        assert_eq!(in_short("key \0missing"), "key missing");
        assert_eq!(in_short(" \0"), "handed back by its worker");
        let long = in_short(&"ä".repeat(5000));
        assert_eq!(long.len(), MAX_REASON);
    }

    #[test]
    fn pieces_that_would_not_pass_are_refused_before_they_are_sent() {
        let piece =
            |bytes: usize| NewArtifact { kind: aura_core::ArtifactKind::Result, body: "x".repeat(bytes).into() };
        assert!(check_sizes(&[piece(7 << 20), piece(7 << 20)]).is_ok());
        assert!(check_sizes(&[piece(9 << 20)]).is_err());
        assert!(check_sizes(&[piece(7 << 20), piece(7 << 20), piece(7 << 20)]).is_err());
    }
}
