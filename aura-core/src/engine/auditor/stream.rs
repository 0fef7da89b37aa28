//! The live tail of the audit log, resumable by sequence number.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::stream::{Stream, unfold};

use crate::{audit::AuditEntry, contract::AuditStore, engine::shutdown::StopSignal, error::Result, ids::AuditSeq};

/// Entries read at once.
const PAGE: u32 = 256;
/// How long a wait for the next entry lasts at most before the store is asked again.
const WAIT: Duration = Duration::from_secs(5);

struct Tail {
    store: Arc<dyn AuditStore>,
    stop: StopSignal,
    after: AuditSeq,
    page: VecDeque<AuditEntry>,
}

/// Every entry after `after`, once and in order, for as long as the orchestra runs. Read by pages: a slow reader holds
/// one page, and holds nobody up. An error does not end the stream; asking on tries again.
pub(crate) fn tail(
    store: Arc<dyn AuditStore>,
    stop: StopSignal,
    after: AuditSeq,
) -> impl Stream<Item = Result<AuditEntry>> + Send {
    unfold(Tail { store, stop, after, page: VecDeque::new() }, |mut tail| async move {
        loop {
            if let Some(entry) = tail.page.pop_front() {
                tail.after = entry.seq;
                return Some((Ok(entry), tail));
            }
            if tail.stop.is_stopping() {
                return None;
            }
            match tail.store.audit(tail.after, PAGE).await {
                Ok(page) if page.is_empty() => {
                    tokio::select! {
                        () = tail.store.changed(tail.after, WAIT) => {}
                        () = tail.stop.stopping() => return None,
                    }
                }
                Ok(page) => tail.page = page.into(),
                Err(error) => return Some((Err(error.into()), tail)),
            }
        }
    })
}
