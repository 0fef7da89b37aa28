//! Accepting a PRD: what is refused, and what is answered when it comes again.

use super::Orchestra;
use crate::{
    contract::{
        StoreError,
        store::{NewPrdRecord, Submitted},
    },
    error::{Error, Result},
    ids::{JobId, ModelId, PrdId},
    job::JobStatus,
    prd::{NewPrd, Prd},
};

impl Orchestra {
    /// Accepts a PRD. When this returns, it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field; [`Error::Stopping`] when it is too late.
    pub async fn submit(&self, new: NewPrd) -> Result<Prd> {
        Ok(self.submit_once(new).await?.prd)
    }

    /// As [`submit`](Self::submit), and says whether the PRD is new or one with the same idempotency key was there.
    ///
    /// # Errors
    /// As above, and a conflict when the key was used for another request.
    pub async fn submit_once(&self, new: NewPrd) -> Result<Submitted> {
        if self.is_stopping() {
            return Err(Error::Stopping);
        }
        new.check()?;
        let pinned = match self.check_models(&new).await {
            Ok(pinned) => pinned,
            // What was accepted once is answered as it was, whoever is held or gone since.
            Err(error) => return self.known(&new).await?.ok_or(error),
        };
        let jobs = (0..new.plan.jobs()).map(|_| JobId::new()).collect();
        let record = NewPrdRecord { id: PrdId::new(), request: new, pinned, jobs };
        // First it is on its way, then others read ahead for it.
        let on_its_way = self.inner.bells.coming.enter(&record, self.inner.clock.now());
        let storing = self.inner.store.submit(std::slice::from_ref(&record));
        let (answers, ()) = tokio::join!(biased; storing, async { on_its_way.ring() });
        let answer = answers?.into_iter().next();
        let missing = || StoreError::Backend { action: "submit a PRD", source: "it answered nothing".into() };
        let submitted = answer.ok_or_else(missing)??;
        self.inner.bells.moved(&[JobStatus::Queued]);
        Ok(submitted)
    }

    /// The PRD that the same request with the same idempotency key was accepted as.
    async fn known(&self, new: &NewPrd) -> Result<Option<Submitted>> {
        let Some(key) = &new.idempotency_key else { return Ok(None) };
        let prd = self.inner.store.prd_by_key(key).await?;
        Ok(prd.filter(|prd| prd.request == *new).map(|prd| Submitted { prd, created: false }))
    }

    /// Whether there are models for it; answers with the one that it is pinned to.
    async fn check_models(&self, new: &NewPrd) -> Result<Option<ModelId>> {
        let pinned = match &new.model {
            Some(name) => Some(self.inner.roster.find(name.as_str()).await?.id),
            None => None,
        };
        self.check_panel(new).await?;
        Ok(pinned)
    }

    /// A panel needs that many different models; one that can never be filled is refused rather than left waiting.
    async fn check_panel(&self, new: &NewPrd) -> Result<()> {
        let wanted = usize::from(new.plan.jobs());
        if wanted < 2 {
            return Ok(());
        }
        let models = self.inner.roster.refresh().await?;
        let able = models.iter().filter(|model| model.hold.is_none() && model.takes(&new.role)).count();
        if able < wanted {
            let reason = format!(
                "a panel of {wanted} needs {wanted} models that take the role {}, {able} are employed and not on hold: employ \
                 more, or ask for fewer",
                new.role
            );
            return Err(Error::invalid("plan", reason));
        }
        Ok(())
    }
}
