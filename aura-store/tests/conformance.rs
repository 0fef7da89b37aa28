//! Every store keeps every promise of `aura_core::conformance`.

#![cfg_attr(
    any(feature = "sqlite", feature = "postgres"),
    expect(clippy::expect_used, reason = "a harness fails by panicking")
)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aura_core::{Store, VirtualClock, conformance::StoreHarness};

#[derive(Default)]
struct Memory(VirtualClock);

#[async_trait]
impl StoreHarness for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(aura_store::MemoryStore::with_clock(Arc::new(self.0.clone())))
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

aura_core::store_conformance!(memory, Memory::default());

#[cfg(feature = "sqlite")]
mod on_disk {
    use super::{Arc, Duration, Store, StoreHarness, VirtualClock, async_trait};

    /// A file each, in a folder that goes with the harness.
    struct Sqlite {
        clock: VirtualClock,
        folder: tempfile::TempDir,
    }

    impl Sqlite {
        fn new() -> Self {
            Self { clock: VirtualClock::default(), folder: tempfile::tempdir().expect("a folder") }
        }
    }

    #[async_trait]
    impl StoreHarness for Sqlite {
        async fn open(&self) -> Arc<dyn Store> {
            let file = self.folder.path().join("aura.db");
            let clock = Arc::new(self.clock.clone());
            Arc::new(aura_store::SqliteStore::open_with_clock(file, clock).await.expect("it opens"))
        }

        async fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }
    }

    aura_core::store_conformance!(sqlite, Sqlite::new());
}

#[cfg(feature = "postgres")]
mod in_postgres {
    use super::{Arc, Duration, Store, StoreHarness, VirtualClock, async_trait};

    /// A database each, on the one server of this test program.
    struct Postgres {
        clock: VirtualClock,
        url: String,
    }

    impl Postgres {
        fn new() -> Self {
            let server = aura_testbed::PrivatePostgres::shared();
            Self { clock: VirtualClock::default(), url: server.create_database().expect("a database") }
        }
    }

    #[async_trait]
    impl StoreHarness for Postgres {
        async fn open(&self) -> Arc<dyn Store> {
            let store = aura_store::PgStore::builder(&self.url).connections(4).clock(Arc::new(self.clock.clone()));
            Arc::new(store.open().await.expect("it opens"))
        }

        async fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }
    }

    aura_core::store_conformance!(postgres, Postgres::new());
}
