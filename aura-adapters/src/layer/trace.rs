//! Writing down in the log how each call went.

use aura_core::{AdapterError, GenerateRequest, Generation, ModelAdapter, ModelProfile};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::{around::adapter_around_inner, ask::Ask};

/// Puts every call into a `tracing` span, target `aura::model`, and writes one line at its end.
///
/// The span `generate` names the employee, its provider and model, the job and the attempt; what layers inside write stands in it.
/// The line at the end says how long the call took and how it ended: at level info with tokens and cost (in dollars) when
/// there is a generation, at level warn with the kind of error when there is none, at level info when the call was dropped.
///
/// Neither prompt nor answer nor key is ever written; nor is the text of an error, because vendors quote the request in it. The
/// text is kept with the run.
///
/// # Examples
/// ```
/// use aura_adapters::{OfflineAdapter, Trace};
/// let model = Trace::new(OfflineAdapter::builder("employee").build()?);
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Trace<A> {
    inner: A,
}

impl<A: ModelAdapter> Trace<A> {
    /// Traces calls to `inner`.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        let profile = self.profile();
        let span = tracing::info_span!(
            target: "aura::model",
            "generate",
            employee = %profile.name,
            provider = profile.identity.provider,
            model = profile.identity.model,
            job = %request.job,
            attempt = request.attempt,
        );
        let call = Call { span: span.clone(), started: Instant::now(), ended: false };
        let answer = ask.of(&self.inner, request).instrument(span).await;
        call.end(profile, &answer);
        answer
    }
}

adapter_around_inner!(Trace);

/// A call under way. Dropped before its end, it writes that.
struct Call {
    span: Span,
    started: Instant,
    ended: bool,
}

impl Call {
    fn end(mut self, profile: &ModelProfile, answer: &Result<Generation, AdapterError>) {
        self.ended = true;
        let seconds = self.seconds();
        self.span.in_scope(|| match answer {
            Ok(Generation { usage, .. }) => {
                let cost = profile.price.and_then(|price| price.cost(usage)).map(|cost| cost.as_dollars());
                let (input_tokens, output_tokens) = (usage.input_tokens, usage.output_tokens);
                tracing::info!(target: "aura::model", outcome = "generated", seconds, input_tokens, output_tokens, cost);
            }
            Err(error) => {
                let retry_after = error.retry_after().map(|wait| wait.as_secs_f64());
                tracing::warn!(target: "aura::model", outcome = kind(error), seconds, status = status(error), retry_after);
            }
        });
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            let seconds = self.seconds();
            self.span.in_scope(|| tracing::info!(target: "aura::model", outcome = "dropped", seconds));
        }
    }
}

/// The error in a word or two.
const fn kind(error: &AdapterError) -> &'static str {
    match error.last_try() {
        AdapterError::Unreachable { .. } => "unreachable",
        AdapterError::Busy { .. } => "busy",
        AdapterError::Failed { .. } => "failed",
        AdapterError::Unauthorized { .. } => "unauthorized",
        AdapterError::UnknownModel { .. } => "unknown model",
        AdapterError::QuotaExhausted { .. } => "quota exhausted",
        AdapterError::Rejected { .. } => "rejected",
        AdapterError::Refused(_) => "refused",
        AdapterError::NoAnswer { .. } => "no answer",
        AdapterError::Truncated { .. } => "truncated",
        AdapterError::Malformed { .. } => "malformed",
        AdapterError::TimedOut { .. } => "timed out",
        AdapterError::Shut { .. } => "shut",
        AdapterError::Setup(_) => "set up wrongly",
        _ => "other",
    }
}

const fn status(error: &AdapterError) -> Option<u16> {
    match error.last_try() {
        AdapterError::Failed { status, .. }
        | AdapterError::Unauthorized { status, .. }
        | AdapterError::Rejected { status, .. } => Some(*status),
        _ => None,
    }
}
