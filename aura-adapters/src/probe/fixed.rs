//! A machine as somebody described it.

use async_trait::async_trait;
use aura_core::{ResourceProbe, Resources, contract::ProbeError};

/// Always answers the same resources: for tests, and for machines that are described by hand.
///
/// The default knows nothing: every value is absent, which is not the same as 0.
#[derive(Debug, Clone, Default)]
pub struct FixedProbe(Resources);

impl FixedProbe {
    /// A machine with these resources.
    #[must_use]
    pub const fn new(resources: Resources) -> Self {
        Self(resources)
    }
}

#[async_trait]
impl ResourceProbe for FixedProbe {
    async fn snapshot(&self) -> Result<Resources, ProbeError> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use aura_core::Mebibytes;

    use super::*;

    #[tokio::test]
    async fn it_answers_what_it_was_given_and_knows_nothing_by_default() {
        let machine = Resources { free_memory: Some(Mebibytes(512)), ..Resources::default() };
        assert_eq!(FixedProbe::new(machine.clone()).snapshot().await.unwrap(), machine);
        assert_eq!(FixedProbe::default().snapshot().await.unwrap().gpus, None);
    }
}
