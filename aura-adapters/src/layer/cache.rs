//! Answering again what was answered before, so that an evaluation can be replayed without a model.

use aura_core::{AdapterError, Gate, GenerateRequest, Generation, ModelAdapter, Timings, Usage};

use super::{
    around::adapter_around_inner,
    ask::Ask,
    recordings::{self, Recordings},
};

/// Stands at the head of the explanation of every replay.
const LABEL: &str = "Replayed from a recording, no model was asked.";

/// What happens to a question that was not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CacheMode {
    /// The model is asked, and its answer is recorded.
    #[default]
    ReadWrite,
    /// Nobody is asked: it is an error.
    ReadOnly,
}

/// Answers from [`Recordings`] what was asked before.
///
/// The same question is one with the same prompt, context, language, role, form, feedback and `max_tokens`, to the same provider and
/// model. Settings that the profile does not show, such as a temperature or a prompt book, are told apart by
/// [`variant`](Self::variant). Only generations are recorded, never errors. In a stream a replay is one piece of text.
///
/// A replay says so at the head of its `explanation`. Its usage is 0 tokens and its timings are absent: a replay uses up nothing, and
/// the money of the first time must not be counted twice. What was used up the first time stands in the recording.
///
/// Feedback quotes what the tests printed. Where they print times, a second attempt is another question at every replay.
///
/// # Errors
/// With [`CacheMode::ReadOnly`], a question that was not recorded is [`Shut`](AdapterError::Shut) by the gate `cache`. A recording that
/// cannot be read is so too, and otherwise asked anew. One that cannot be written is told of in the log: the answer is paid
/// for and is given out.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use aura_adapters::{Cache, OfflineAdapter, Recordings};
/// use aura_core::{GenerateRequest, ModelAdapter};
/// let model = Cache::new(OfflineAdapter::builder("employee").build()?, Recordings::in_memory());
/// let first = model.generate(&GenerateRequest::new("Write add(a, b)")).await.unwrap();
/// let again = model.generate(&GenerateRequest::new("Write add(a, b)")).await.unwrap();
/// assert_eq!(again.output, first.output);
/// assert!(again.explanation.starts_with("Replayed from a recording"));
/// # Ok::<(), aura_adapters::BuildError>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[must_use]
pub struct Cache<A> {
    inner: A,
    recordings: Recordings,
    mode: CacheMode,
    variant: String,
}

impl<A: ModelAdapter> Cache<A> {
    /// Answers for `inner` from these recordings.
    pub const fn new(inner: A, recordings: Recordings) -> Self {
        Self { inner, recordings, mode: CacheMode::ReadWrite, variant: String::new() }
    }

    /// What happens to a question that was not recorded (default [`CacheMode::ReadWrite`]).
    pub const fn mode(mut self, mode: CacheMode) -> Self {
        self.mode = mode;
        self
    }

    /// Tells apart adapters of the same model with different settings that share recordings (default: empty).
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        self.variant = variant.into();
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        let model = &self.profile().identity;
        let key = recordings::key(model, &self.variant, request)
            .map_err(|error| AdapterError::Setup(format!("the request cannot be written as JSON: {error}")))?;
        match (self.recordings.get(&key).await, self.mode) {
            (Ok(Some(generation)), _) => return Ok(replay(generation, &ask)),
            (Ok(None), CacheMode::ReadOnly) => {
                return Err(shut(format!(
                    "there is no recording {key} of this question: record it with CacheMode::ReadWrite"
                )));
            }
            (Err(error), CacheMode::ReadOnly) => {
                return Err(shut(format!("the recording {key} cannot be read: {error}")));
            }
            (Ok(None), CacheMode::ReadWrite) => {}
            (Err(error), CacheMode::ReadWrite) => {
                tracing::warn!(key, %error, "a recording cannot be read: asking anew")
            }
        }
        let generation = ask.of(&self.inner, request).await?;
        if let Err(error) = self.recordings.put(&key, model, &generation).await {
            tracing::warn!(key, %error, "an answer could not be recorded");
        }
        Ok(generation)
    }

    /// What happens to questions that were not recorded.
    fn gate(&self) -> Gate {
        let state = match self.mode {
            CacheMode::ReadWrite => "answers are recorded, and replayed when asked again",
            CacheMode::ReadOnly => "answers are replayed only",
        };
        Gate { name: "cache".to_owned(), passes: true, state: state.to_owned() }
    }
}

fn shut(reason: String) -> AdapterError {
    AdapterError::Shut { gate: "cache", reason, retry_after: None }
}

fn replay(mut generation: Generation, ask: &Ask) -> Generation {
    generation.explanation = format!("{LABEL} {}", generation.explanation).trim_end().to_owned();
    generation.usage = Usage { input_tokens: Some(0), cached_input_tokens: None, output_tokens: Some(0) };
    generation.timings = Timings::default();
    if let Ask::Told(sink) = ask {
        sink.delta(&generation.output);
    }
    generation
}

adapter_around_inner!(Cache, gate);
