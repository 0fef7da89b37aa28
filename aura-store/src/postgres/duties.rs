//! Who does what, where several nodes share the database: a row for each duty, with its node, its end and its epoch.
//!
//! Rows rather than advisory locks: a lock belongs to a connection, is lost silently with it, and cannot be held through a
//! pooler. A row is also what fences: it is read, and kept from changing, in the transaction that writes on duty.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aura_core::{
    PrdId, Store, StoreError,
    contract::{
        DutyStore,
        store::{Duty, News, Term},
    },
    ids::NodeId,
};
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use super::{
    Core, PgStore,
    marks::Scan,
    row::{Named, each},
    value,
    write::{Statement, Write, again},
};

/// A row as long as the term is not over, behind what is selected. Until the transaction ends the duty cannot go to another node.
macro_rules! while_term_holds {
    ($duty:literal, $node:literal, $epoch:literal, $given_now:literal) => {
        concat!(
            "FROM duties WHERE duty = ",
            $duty,
            " AND node = ",
            $node,
            " AND epoch = ",
            $epoch,
            " AND until > coalesce(",
            $given_now,
            ", clock_timestamp()) FOR SHARE OF duties"
        )
    };
}
pub(super) use while_term_holds;

/// The term, in that order.
pub(super) fn bind_term<'q>(query: Statement<'q>, term: &Term) -> Statement<'q> {
    query.bind(term.duty.as_str()).bind(term.node.as_str().to_owned()).bind(term.epoch)
}

/// The moment of a verb and the run of the server, as long as the term is not over.
pub(super) fn within_term<'q>(term: &Term, given_now: Option<DateTime<Utc>>) -> Statement<'q> {
    let query = sqlx::query(concat!(
        "SELECT clock_timestamp() AS now, (SELECT name FROM server_run) AS run ",
        while_term_holds!("$1", "$2", "$3", "$4")
    ));
    bind_term(query, term).bind(given_now)
}

impl Core {
    /// Why nothing may be written on duty any more.
    pub(super) fn is_over(&self) -> StoreError {
        match &self.term {
            Some(term) => StoreError::conflict("duty", term.duty, "has gone to another node: nothing was written"),
            None => StoreError::corrupt("clock", "now", "the database gave no row"),
        }
    }

    async fn keep_once(&self, node: &NodeId, lease: Duration) -> Result<Vec<Term>, StoreError> {
        let mut write = self.write("share out the duties").await?;
        let until = value::after(write.now, lease);
        let query = sqlx::query(
            "INSERT INTO duties AS held (duty, node, epoch, until)
             SELECT duty, $2, 1, $4 FROM unnest($1::text[]) AS duty ORDER BY duty
             ON CONFLICT (duty) DO UPDATE SET node = excluded.node, until = excluded.until,
                 epoch = held.epoch + CASE WHEN held.node = excluded.node THEN 0 ELSE 1 END
             WHERE held.node = excluded.node OR held.until <= $3
             RETURNING duty, epoch",
        );
        let duties: Vec<_> = Duty::ALL.iter().map(|duty| duty.as_str()).collect();
        let rows = write.rows(query.bind(duties).bind(node.as_str()).bind(write.now).bind(until)).await?;
        let terms = each(&rows, |row| {
            let named = Named::new("duty", row);
            Ok(Term { duty: named.parsed("duty")?, node: node.clone(), epoch: named.get("epoch")? })
        })?;
        // What this node is assessing stays its own, unless it was silent for too long.
        let query = sqlx::query("UPDATE prds_to_assess SET until = $2 WHERE node = $1 AND until > $3");
        write.run(query.bind(node.as_str()).bind(until).bind(write.now)).await?;
        write.commit().await?;
        Ok(terms)
    }

    async fn leave_once(&self, node: &NodeId) -> Result<(), StoreError> {
        let mut write = self.write("leave the duties").await?;
        let query = sqlx::query("UPDATE duties SET until = '-infinity' WHERE node = $1");
        write.run(query.bind(node.as_str())).await?;
        let query = sqlx::query("UPDATE prds_to_assess SET node = NULL, until = NULL WHERE node = $1");
        write.run(query.bind(node.as_str())).await?;
        write.commit().await
    }

    /// `OFFSET 0` keeps a subquery one look by an index for each row: as a join it would read whole tables.
    async fn take_once(&self, node: &NodeId, limit: u32, lease: Duration) -> Result<Vec<PrdId>, StoreError> {
        let (handed_in, to_assess) = (self.mark(Scan::HandedIn).await?, self.mark(Scan::ToAssess).await?);
        let mut write = self.write(TAKE).await?;
        enter_what_was_handed_in(&mut write, handed_in).await?;
        let query = sqlx::query(
            "WITH ours AS (
                 SELECT prd_id FROM prds_to_assess WHERE id > $5 AND node = $1 AND until > $2 AND NOT EXISTS (
                     SELECT 1 FROM jobs
                     WHERE jobs.prd_id = prds_to_assess.prd_id AND status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS') OFFSET 0)
                 ORDER BY id LIMIT $4
             ), free AS (
                 SELECT prd_id FROM prds_to_assess WHERE id > $5 AND (node IS NULL OR until <= $2) AND NOT EXISTS (
                     SELECT 1 FROM jobs
                     WHERE jobs.prd_id = prds_to_assess.prd_id AND status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS') OFFSET 0)
                 ORDER BY id LIMIT $4 - (SELECT count(*) FROM ours) FOR NO KEY UPDATE SKIP LOCKED
             ), taken AS (
                 UPDATE prds_to_assess SET node = $1, until = $3 WHERE prd_id = ANY(ARRAY(SELECT prd_id FROM free))
                 RETURNING prd_id
             )
             SELECT prd_id AS id FROM ours UNION ALL SELECT prd_id FROM taken",
        );
        let until = value::after(write.now, lease);
        let query = query.bind(node.as_str()).bind(write.now).bind(until).bind(i64::from(limit));
        let query = query.bind(to_assess);
        let mut ids = each(&write.rows(query).await?, |row| Named::new("PRD", row).get("id").map(PrdId::from_uuid))?;
        ids.sort_unstable();
        write.commit().await?;
        Ok(ids)
    }
}

/// Enters PRDs whose jobs were handed in.
async fn enter_what_was_handed_in(write: &mut Write<'_>, mark: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "WITH handed AS (
             DELETE FROM handed_in WHERE id = ANY(ARRAY(
                 SELECT id FROM handed_in WHERE id > $1 ORDER BY id LIMIT 64 FOR UPDATE SKIP LOCKED))
             RETURNING prds
         )
         INSERT INTO prds_to_assess (prd_id)
         SELECT DISTINCT prd FROM handed, unnest(prds) AS prd
         WHERE EXISTS (SELECT 1 FROM prds WHERE prds.id = prd OFFSET 0)
           AND NOT EXISTS (SELECT 1 FROM verdicts WHERE verdicts.prd_id = prd OFFSET 0)
         ORDER BY prd ON CONFLICT DO NOTHING",
    );
    write.run(query.bind(mark)).await.map(drop)
}

const TAKE: &str = "take PRDs to be assessed";
const LOOK: &str = "SELECT 1 AS id WHERE EXISTS (SELECT 1 FROM prds_to_assess WHERE id > (SELECT $1::bigint))
                        OR EXISTS (SELECT 1 FROM handed_in WHERE id > (SELECT $2::bigint))";

#[async_trait]
impl DutyStore for PgStore {
    async fn now(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.core.now().await.map(Some)
    }

    async fn keep_duties(&self, node: &NodeId, lease: Duration) -> Result<Option<Vec<Term>>, StoreError> {
        again(|| self.core.keep_once(node, lease)).await.map(Some)
    }

    async fn take_assessable(
        &self,
        node: &NodeId,
        limit: u32,
        lease: Duration,
    ) -> Result<Option<Vec<PrdId>>, StoreError> {
        // Nearly every look finds nothing: it is not worth a transaction.
        let query = sqlx::query(LOOK).bind(self.core.mark(Scan::ToAssess).await?);
        if self.core.row(TAKE, query.bind(self.core.mark(Scan::HandedIn).await?)).await?.is_none() {
            return Ok(Some(Vec::new()));
        }
        again(|| self.core.take_once(node, limit, lease)).await.map(Some)
    }

    fn news(&self) -> Option<BoxStream<'static, News>> {
        Some(self.core.news.listen())
    }

    async fn leave_duties(&self, node: &NodeId) -> Result<(), StoreError> {
        again(|| self.core.leave_once(node)).await
    }

    fn on_duty(&self, term: &Term) -> Option<Arc<dyn Store>> {
        let core = Arc::new(Core { term: Some(term.clone()), ..Core::clone(&self.core) });
        Some(Arc::new(Self { core, joins: Arc::clone(&self.joins) }))
    }
}
