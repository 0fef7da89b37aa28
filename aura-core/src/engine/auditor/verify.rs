//! The check of the whole chain.

use crate::{
    audit::{ChainCheck, ChainReport},
    contract::AuditStore,
    error::Result,
};

/// Entries read at once.
const PAGE: u32 = 1000;

/// Checks all of the log that is kept. Where old entries are dropped meanwhile, it begins again behind them: they are not missing.
pub(crate) async fn verify(store: &dyn AuditStore) -> Result<ChainReport> {
    loop {
        let mut check = ChainCheck::behind(store.anchor().await?);
        while let page = store.audit(check.last(), PAGE).await?
            && !page.is_empty()
            && check.extend(&page)
        {}
        let reached = check.last();
        let report = check.finish();
        if report.first_bad.is_none() || store.anchor().await?.is_none_or(|anchor| anchor.seq <= reached) {
            return Ok(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use async_trait::async_trait;
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::{
        audit::{Action, Alert, Anchor, AuditEntry, EntryHash, NewAlert, NewEntry},
        contract::StoreError,
        ids::{Actor, AuditSeq},
    };

    /// A log of 2,500 entries whose first 1,500 are dropped once a page was read.
    #[derive(Debug)]
    struct Dropping {
        entries: Vec<AuditEntry>,
        dropped: AtomicBool,
        /// Whether it says so.
        says: bool,
    }

    const DROPPED: usize = 1_500;

    fn dropping(says: bool) -> Dropping {
        let mut head = EntryHash::genesis();
        let mut entries = Vec::new();
        for seq in 1..=2_500 {
            let new = NewEntry { actor: Actor::hr(), action: Action::ModelStanding, details: json!({ "n": seq }) };
            let entry = AuditEntry::seal(new, AuditSeq(seq), DateTime::UNIX_EPOCH, &head);
            head = entry.hash.clone().unwrap();
            entries.push(entry);
        }
        Dropping { entries, dropped: AtomicBool::new(false), says }
    }

    #[async_trait]
    impl AuditStore for Dropping {
        async fn audit(&self, after: AuditSeq, limit: u32) -> std::result::Result<Vec<AuditEntry>, StoreError> {
            let gone = if self.dropped.swap(true, Ordering::SeqCst) { DROPPED } else { 0 };
            let kept = self.entries[gone..].iter().filter(|entry| entry.seq > after);
            Ok(kept.take(limit as usize).cloned().collect())
        }

        async fn anchor(&self) -> std::result::Result<Option<Anchor>, StoreError> {
            let last = &self.entries[DROPPED - 1];
            let anchor = Anchor { seq: last.seq, hash: last.hash.clone().unwrap() };
            Ok((self.says && self.dropped.load(Ordering::SeqCst)).then_some(anchor))
        }

        async fn append(&self, _: &[NewEntry]) -> std::result::Result<(), StoreError> {
            unreachable!("a check writes nothing")
        }

        async fn audit_range(&self) -> std::result::Result<Option<(AuditSeq, AuditSeq)>, StoreError> {
            unreachable!("a check goes by the entries")
        }

        async fn changed(&self, _: AuditSeq, _: Duration) {
            unreachable!("a check does not wait")
        }

        async fn raise(&self, _: &NewAlert, _: &Actor) -> std::result::Result<Option<Alert>, StoreError> {
            unreachable!("a check writes nothing")
        }

        async fn alerts(&self, _: Option<i64>, _: u32) -> std::result::Result<Vec<Alert>, StoreError> {
            unreachable!("a check reads no alerts")
        }
    }

    #[tokio::test]
    async fn entries_that_are_dropped_during_the_check_are_not_missing() {
        let report = verify(&dropping(true)).await.unwrap();
        assert_eq!((report.first_bad, report.checked), (None, 1_000));
    }

    #[tokio::test]
    async fn entries_that_are_gone_without_a_word_are_missing() {
        let report = verify(&dropping(false)).await.unwrap();
        assert_eq!(report.first_bad.unwrap().seq, AuditSeq(1_501));
    }
}
