//! What all adapters of vendors do alike: put the task, send it, read the answer whole or as it comes, and give up in time.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use aura_core::{AdapterError, DeltaSink, GenerateRequest, Generation, Health, ModelAdapter, ModelProfile, Wait};
use serde::Serialize;

use super::{
    answer::{Answer, stub_answer},
    employee::Asking,
};
#[cfg(any(feature = "openai", feature = "gemini"))]
use crate::http::Events;
use crate::{
    http::{Endpoint, Exchange, Lines, MAX_ANSWER},
    prompt::Put,
    secret::Redactor,
};

/// One question, as a dialect writes it down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) model: &'a str,
    pub(super) request: &'a GenerateRequest,
    pub(super) put: &'a Put,
    pub(super) asking: &'a Asking,
    /// Whether log-probabilities are asked for.
    pub(super) logprobs: bool,
    pub(super) stream: bool,
}

/// How a vendor is spoken to.
#[async_trait]
pub(super) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The request's body.
    type Body: Serialize + Send + Sync;
    /// An answer under way.
    type Pieces: Pieces;
    /// How a stream is cut into messages.
    const FRAMES: Frames;

    /// Where questions go.
    fn path(&self, question: &Question<'_>) -> Cow<'static, str>;

    /// The question itself.
    fn body(&self, question: &Question<'_>) -> Self::Body;

    /// Whether the vendor can be reached, and has the model.
    async fn health(&self, endpoint: &Endpoint, model: &str) -> Health;
}

/// How a stream is cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    /// Server-sent events, each with JSON as its data; `[DONE]` may end them.
    #[cfg(any(feature = "openai", feature = "gemini"))]
    Events,
    /// A JSON object a line.
    #[cfg(feature = "ollama")]
    Lines,
}

/// An answer as its pieces are read.
pub(super) trait Pieces: Default + Send {
    /// Reads the whole body of an answer that was not streamed.
    fn whole(body: &[u8], endpoint: &Endpoint) -> Result<Self, AdapterError>;

    /// Reads one message of a stream.
    fn add(&mut self, message: &[u8], endpoint: &Endpoint) -> Result<(), AdapterError>;

    /// The text so far.
    fn text(&self) -> &str;

    /// How many bytes are kept so far: the text, and whatever else grows with the stream.
    fn held(&self) -> usize {
        self.text().len()
    }

    /// The answer, when nothing follows. One that does not say that it is whole is an error.
    fn end(self, endpoint: &Endpoint) -> Result<Answer, AdapterError>;
}

/// A model at a vendor.
#[derive(Debug)]
pub(super) struct Vendor<D> {
    profile: ModelProfile,
    /// What the vendor calls the model.
    model: String,
    asking: Asking,
    dialect: D,
    /// Whether log-probabilities are asked for: until the model refuses them.
    logprobs: AtomicBool,
    /// Absent in a stub.
    endpoint: Option<Endpoint>,
}

impl<D: Dialect> Vendor<D> {
    pub(super) fn new(
        profile: ModelProfile,
        model: String,
        asking: Asking,
        dialect: D,
        endpoint: Option<Endpoint>,
    ) -> Self {
        Self { profile, model, logprobs: AtomicBool::new(asking.logprobs), asking, dialect, endpoint }
    }

    #[cfg(test)]
    pub(super) const fn dialect(&self) -> &D {
        &self.dialect
    }

    #[cfg(test)]
    pub(super) const fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn question<'a>(&'a self, request: &'a GenerateRequest, put: &'a Put, stream: bool) -> Question<'a> {
        let logprobs = self.logprobs.load(Ordering::Relaxed);
        Question { model: &self.model, request, put, asking: &self.asking, logprobs, stream }
    }

    async fn send<'a>(
        &self,
        endpoint: &'a Endpoint,
        request: &GenerateRequest,
        put: &Put,
        stream: bool,
    ) -> Result<Exchange<'a>, AdapterError> {
        let question = self.question(request, put, stream);
        let sent = endpoint.post(&self.dialect.path(&question), &self.dialect.body(&question)).await;
        match sent {
            // Nothing was billed. It is asked without them from now on.
            Err(AdapterError::Rejected { status: 400 | 422, message, .. })
                if question.logprobs && message.to_ascii_lowercase().contains("logprobs") =>
            {
                self.logprobs.store(false, Ordering::Relaxed);
                tracing::info!(model = %self.profile.name, "the model refuses log-probabilities: it is asked without them");
                let question = self.question(request, put, stream);
                endpoint.post(&self.dialect.path(&question), &self.dialect.body(&question)).await
            }
            sent => sent,
        }
    }

    async fn whole(&self, endpoint: &Endpoint, request: &GenerateRequest, put: &Put) -> Result<Answer, AdapterError> {
        let body = self.send(endpoint, request, put, false).await?.body().await?;
        D::Pieces::whole(&body, endpoint)?.end(endpoint)
    }

    async fn streamed(
        &self,
        endpoint: &Endpoint,
        request: &GenerateRequest,
        put: &Put,
        sink: &dyn DeltaSink,
    ) -> Result<Answer, AdapterError> {
        let lines = self.send(endpoint, request, put, true).await?.lines();
        let mut messages = Messages::of(D::FRAMES, lines);
        let mut redactor = Redactor::new(endpoint.key());
        let mut pieces = D::Pieces::default();
        while let Some(message) = messages.next(endpoint).await? {
            let before = pieces.text().len();
            pieces.add(&message, endpoint)?;
            if pieces.held() > MAX_ANSWER {
                return Err(endpoint.malformed(format!("it is longer than {MAX_ANSWER} bytes")));
            }
            let shown = redactor.push(pieces.text().get(before..).unwrap_or_default());
            if !shown.is_empty() {
                sink.delta(&shown);
            }
        }
        let answer = pieces.end(endpoint)?;
        let rest = redactor.end();
        if !rest.is_empty() {
            sink.delta(&rest);
        }
        Ok(answer)
    }

    pub(super) async fn ask(
        &self,
        request: &GenerateRequest,
        sink: Option<Arc<dyn DeltaSink>>,
    ) -> Result<Generation, AdapterError> {
        let Some(endpoint) = &self.endpoint else {
            let answer = stub_answer(self.profile.stub.as_deref().unwrap_or_default());
            if let Some(sink) = sink {
                sink.delta(&answer.output);
            }
            return Ok(answer);
        };
        let put = self.asking.style.put(request, &self.asking.prompts, self.asking.room);
        let limit = self.asking.limit(request);
        let answer = async {
            match sink {
                Some(sink) => self.streamed(endpoint, request, &put, sink.as_ref()).await,
                None => self.whole(endpoint, request, &put).await,
            }
        };
        let answer = tokio::time::timeout(limit, answer).await;
        let mut answer = answer.map_err(|_| AdapterError::TimedOut { what: Wait::Whole, limit })??;
        answer.text = endpoint.redact(answer.text);
        answer.generation(request, self.asking.style, &put, &self.profile.identity.provider)
    }
}

/// The messages of a stream.
enum Messages {
    #[cfg(any(feature = "openai", feature = "gemini"))]
    Events(Events),
    #[cfg(feature = "ollama")]
    Lines(Lines),
}

impl Messages {
    fn of(frames: Frames, lines: Lines) -> Self {
        match frames {
            #[cfg(any(feature = "openai", feature = "gemini"))]
            Frames::Events => Self::Events(Events::new(lines)),
            #[cfg(feature = "ollama")]
            Frames::Lines => Self::Lines(lines),
        }
    }

    async fn next(&mut self, endpoint: &Endpoint) -> Result<Option<Vec<u8>>, AdapterError> {
        loop {
            let message = match self {
                #[cfg(any(feature = "openai", feature = "gemini"))]
                Self::Events(events) => events.next().await,
                #[cfg(feature = "ollama")]
                Self::Lines(lines) => lines.next().await.map(|line| line.map(<[u8]>::to_vec)),
            };
            match message.map_err(|error| endpoint.broken(error))? {
                Some(message) if message == b"[DONE]" => return Ok(None),
                Some(message) if message.iter().all(u8::is_ascii_whitespace) => {}
                message => return Ok(message),
            }
        }
    }
}

#[async_trait]
impl<D: Dialect> ModelAdapter for Vendor<D> {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        self.ask(request, None).await
    }

    async fn stream(&self, request: &GenerateRequest, sink: Arc<dyn DeltaSink>) -> Result<Generation, AdapterError> {
        self.ask(request, Some(sink)).await
    }

    async fn health(&self) -> Health {
        match &self.endpoint {
            Some(endpoint) => self.dialect.health(endpoint, &self.model).await,
            None => Health::Unhealthy(self.profile.stub.clone().unwrap_or_default()),
        }
    }
}

/// Makes an adapter of a type that holds a [`Vendor`] in its only field.
macro_rules! adapter_over_vendor {
    ($adapter:ty) => {
        #[async_trait::async_trait]
        impl aura_core::ModelAdapter for $adapter {
            fn profile(&self) -> &aura_core::ModelProfile {
                aura_core::ModelAdapter::profile(&self.0)
            }

            async fn generate(
                &self,
                request: &aura_core::GenerateRequest,
            ) -> Result<aura_core::Generation, aura_core::AdapterError> {
                self.0.generate(request).await
            }

            async fn stream(
                &self,
                request: &aura_core::GenerateRequest,
                sink: std::sync::Arc<dyn aura_core::DeltaSink>,
            ) -> Result<aura_core::Generation, aura_core::AdapterError> {
                self.0.stream(request, sink).await
            }

            async fn health(&self) -> aura_core::Health {
                self.0.health().await
            }
        }
    };
}

pub(super) use adapter_over_vendor;

/// Reads a message as JSON. One that ends in the middle was cut off on its way.
pub(super) fn read_json<'a, T: serde::Deserialize<'a>>(body: &'a [u8], endpoint: &Endpoint) -> Result<T, AdapterError> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() && matches!(body.first(), Some(b'{' | b'[')) {
            return endpoint.truncated(format!("its JSON ends in the middle: {error}"));
        }
        // Masked before it is cut: a part of the key would not be known as one.
        let text = endpoint.redact(String::from_utf8_lossy(body).into_owned());
        let start: String = text.chars().take(200).collect();
        endpoint.malformed(format!("{error}; it begins with: {}", crate::http::excerpt(&start)))
    })
}
