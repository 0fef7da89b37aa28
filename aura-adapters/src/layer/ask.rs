//! How a call wants its answer: whole, or told of as it comes. Every layer handles both by one path.

use std::sync::Arc;

use aura_core::{AdapterError, DeltaSink, GenerateRequest, Generation, ModelAdapter};

/// `generate` or `stream`.
pub(super) enum Ask {
    /// Nobody listens before the end.
    Whole,
    /// This one takes the text as it comes.
    Told(Arc<dyn DeltaSink>),
}

impl Ask {
    /// Puts the question to `adapter` in this way.
    pub(super) async fn of<A: ModelAdapter>(
        &self,
        adapter: &A,
        request: &GenerateRequest,
    ) -> Result<Generation, AdapterError> {
        match self {
            Self::Whole => adapter.generate(request).await,
            Self::Told(sink) => adapter.stream(request, Arc::clone(sink)).await,
        }
    }
}
