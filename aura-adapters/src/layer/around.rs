//! What makes an adapter of a layer: it stands around another one.

/// Makes an adapter of a layer with a field `inner` and a method `ask`, which answers both `generate` and `stream`.
///
/// Profile, health and gates are those of the inner adapter. A layer that can shut names its method that tells how its own gate
/// stands, and that gate comes before them.
///
/// The lint sees to it that a method with a default, once the trait has another, is passed on too.
macro_rules! adapter_around_inner {
    ($layer:ident $(, $gate:ident)?) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<A: aura_core::ModelAdapter> aura_core::ModelAdapter for $layer<A> {
            fn profile(&self) -> &aura_core::ModelProfile {
                self.inner.profile()
            }

            async fn generate(
                &self,
                request: &aura_core::GenerateRequest,
            ) -> Result<aura_core::Generation, aura_core::AdapterError> {
                self.ask(request, $crate::layer::ask::Ask::Whole).await
            }

            async fn stream(
                &self,
                request: &aura_core::GenerateRequest,
                sink: std::sync::Arc<dyn aura_core::DeltaSink>,
            ) -> Result<aura_core::Generation, aura_core::AdapterError> {
                self.ask(request, $crate::layer::ask::Ask::Told(sink)).await
            }

            async fn health(&self) -> aura_core::Health {
                self.inner.health().await
            }

            fn gates(&self) -> Vec<aura_core::Gate> {
                [$(self.$gate())?].into_iter().chain(self.inner.gates()).collect()
            }
        }
    };
}

pub(super) use adapter_around_inner;
