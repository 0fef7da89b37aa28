//! One writing verb: a transaction with its moment, its trail and its commit.

use std::{collections::HashMap, future::Future};

use aura_core::{JobId, JobStatus, ModelId, StoreError, WorkerId, contract::store::Each};
use chrono::{DateTime, Utc};
use sqlx::{
    Postgres, Row as _, Transaction,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use super::{
    Core,
    durable::Run,
    duties,
    error::{failed, run_again},
    marks::{PutBack, Scan},
    moves::Moves,
    read::begin,
    row::Named,
    trail::{Head, Trail},
    value,
};

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The moment, and the server's run.
const MOMENT: &str = "SELECT clock_timestamp() AS now, (SELECT name FROM server_run) AS run";

/// How often a transaction is run again when another one was in its way.
const TRIES: u32 = 5;

/// A writing verb under way. Dropping it undoes everything.
pub(super) struct Write<'s> {
    pub(super) core: &'s Core,
    tx: Transaction<'static, Postgres>,
    action: &'static str,
    /// The moment of the verb, by the clock that judges leases.
    pub(super) now: DateTime<Utc>,
    /// Which jobs changed their states, written before the trail.
    pub(super) moves: Moves,
    /// What is written at the end.
    pub(super) trail: Trail,
    /// The end of the audit log, where the first statement has locked it and written what `moves` would.
    head: Option<Head>,
    /// What was put into the queue with a number that scans may have passed.
    back: HashMap<Scan, i64>,
    /// In which run of the server it writes.
    pub(super) server_run: Run,
    /// Whether somebody is known who waits for its commit, which must not wait for the disk then.
    pub(super) is_awaited: bool,
}

/// Does a verb, one transaction, and does it again when another transaction was in its way (a deadlock, a serialization
/// failure): nothing was done then.
pub(super) async fn again<T, F: Future<Output = Result<T, StoreError>>>(verb: impl Fn() -> F) -> Result<T, StoreError> {
    let mut tries = 1;
    loop {
        match verb().await {
            Err(error) if run_again(&error) && tries < TRIES => {
                tracing::debug!(tries, %error, "another transaction was in the way");
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

impl Core {
    /// Begins a verb that writes; `action` completes the sentence "the store failed to …".
    pub(super) async fn write(&self, action: &'static str) -> Result<Write<'_>, StoreError> {
        let query = match &self.term {
            None => sqlx::query(MOMENT),
            Some(term) => duties::within_term(term, self.given_now()),
        };
        let (write, _) = self.write_from(action, None, query).await?;
        let mut write = write.ok_or_else(|| self.is_over())?;
        if let Some(now) = self.given_now() {
            write.now = now;
        }
        write.name_run().await?;
        Ok(write)
    }

    /// Begins a verb that writes by a statement of its own, which is given the moment or else takes it: its rows say it then, `now`,
    /// with the server's run, `run`.
    pub(super) async fn write_by<'q>(
        &self,
        action: &'static str,
        first: impl Fn(Option<DateTime<Utc>>) -> Statement<'q>,
    ) -> Result<(Write<'_>, Vec<PgRow>), StoreError> {
        if self.term.is_none() {
            let given = self.given_now();
            let (mut tx, rows) = self.begin_by(action, first(given)).await?;
            let write = match rows.first() {
                Some(row) => self.written(action, given, tx, row)?,
                None => {
                    let query = sqlx::query(MOMENT).persistent(!self.pooled);
                    let row = query.fetch_one(&mut *tx).await.map_err(failed(action))?;
                    self.written(action, given, tx, &row)?
                }
            };
            if let Some(write) = write.unless_unnamed().await? {
                return Ok((write, rows));
            }
        }
        let mut write = self.write(action).await?;
        let rows = write.rows(first(Some(write.now))).await?;
        Ok((write, rows))
    }

    /// The same by a statement that says itself whether the term holds, by [`duties::while_term_holds`]: it has a row as long as that is so.
    pub(super) async fn write_within_term_by<'q>(
        &self,
        action: &'static str,
        first: impl Fn(Option<DateTime<Utc>>) -> Statement<'q>,
    ) -> Result<(Write<'_>, Vec<PgRow>), StoreError> {
        let given = self.given_now();
        let (write, rows) = self.write_from(action, given, first(given)).await?;
        let write = write.ok_or_else(|| self.is_over())?;
        if let Some(write) = write.unless_unnamed().await? {
            return Ok((write, rows));
        }
        let mut write = self.write(action).await?;
        let rows = write.rows(first(Some(write.now))).await?;
        Ok((write, rows))
    }

    /// Begins a verb that writes by its first statement, whose rows say the moment, `now`, unless it is given, and the server's run,
    /// `run`; without a row there is no verb.
    pub(super) async fn write_from(
        &self,
        action: &'static str,
        given: Option<DateTime<Utc>>,
        first: Statement<'_>,
    ) -> Result<(Option<Write<'_>>, Vec<PgRow>), StoreError> {
        let (tx, rows) = self.begin_by(action, first).await?;
        let Some(row) = rows.first() else {
            tx.rollback().await.map_err(failed(action))?;
            return Ok((None, rows));
        };
        Ok((Some(self.written(action, given, tx, row)?), rows))
    }

    async fn begin_by(
        &self,
        action: &'static str,
        first: Statement<'_>,
    ) -> Result<(Transaction<'static, Postgres>, Vec<PgRow>), StoreError> {
        let mut tx = begin(&self.pool, &self.begin_write).await.map_err(failed(action))?;
        let rows = first.persistent(!self.pooled).fetch_all(&mut *tx).await.map_err(failed(action))?;
        Ok((tx, rows))
    }

    /// The verb in this transaction, whose moment and server's run the row says.
    fn written(
        &self,
        action: &'static str,
        given: Option<DateTime<Utc>>,
        tx: Transaction<'static, Postgres>,
        row: &PgRow,
    ) -> Result<Write<'_>, StoreError> {
        let now = match given {
            Some(now) => now,
            None => value::micros(row.try_get("now").map_err(failed(action))?),
        };
        let server_run = row.try_get("run").map_err(failed(action))?;
        let (moves, trail) = (Moves::default(), Trail::default());
        let back = HashMap::new();
        Ok(Write { core: self, tx, action, now, moves, trail, head: None, back, server_run, is_awaited: false })
    }
}

/// What was committed.
pub(super) struct Committed {
    /// In which run of the server.
    pub(super) run: Run,
    /// The place of its last audit entry.
    pub(super) last: Option<i64>,
    /// Into which states it moved jobs.
    pub(super) to: Vec<JobStatus>,
    /// Whether the commit waited for the disk.
    pub(super) has_waited: bool,
}

impl Core {
    /// Tells what was committed, makes it durable, and does meanwhile something that sees it.
    pub(super) async fn goes_on<T>(
        &self,
        Committed { run, last, to, has_waited }: Committed,
        meanwhile: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if !to.is_empty() {
            self.news.moved(to);
        }
        let done = if has_waited {
            self.disk.has(run, last);
            meanwhile.await?
        } else {
            tokio::try_join!(self.durable(run, last), meanwhile)?.1
        };
        if let Some(seq) = last {
            self.news.wrote(seq);
        }
        Ok(done)
    }
}

impl Write<'_> {
    /// Goes on unless the server's run has no name yet: who names it has others wait, and must not hold anything they may want. All is
    /// undone then, and done again once the run is named.
    async fn unless_unnamed(self) -> Result<Option<Self>, StoreError> {
        if self.server_run.is_some() {
            return Ok(Some(self));
        }
        self.tx.rollback().await.map_err(failed(self.action))?;
        Ok(None)
    }

    fn prepared<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        statement.persistent(!self.core.pooled)
    }

    /// The first statement has locked the end of the audit log, which is this, and written what `moves` would, but for the flags.
    pub(super) fn has_head(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// Runs a statement; answers with the number of rows it changed.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let statement = self.prepared(statement);
        let done = statement.execute(&mut *self.tx).await.map_err(failed(self.action))?;
        Ok(done.rows_affected())
    }

    /// Runs a statement that puts jobs into the queue; its rows say for which `model`, and the lowest `seq`.
    pub(super) async fn run_back(&mut self, statement: Statement<'_>) -> Result<(), StoreError> {
        for row in self.rows(statement).await? {
            let named = Named::new("queue", &row);
            self.back(Scan::Queue(named.get("model")?), named.get("seq")?);
        }
        Ok(())
    }

    /// Something is put into a queue with a number that scans may have passed.
    pub(super) fn back(&mut self, scan: Scan, number: i64) {
        self.back.entry(scan).and_modify(|lowest| *lowest = number.min(*lowest)).or_insert(number);
    }

    /// The lowest number that was put into any queue.
    pub(super) fn lowest_back(&self) -> Option<i64> {
        self.back.values().min().copied()
    }

    /// What was put into queues is not there any more.
    pub(super) fn all_taken_again(&mut self) {
        self.back.clear();
    }

    /// Runs a statement that gives at most one row.
    pub(super) async fn row(&mut self, statement: Statement<'_>) -> Result<Option<PgRow>, StoreError> {
        let statement = self.prepared(statement);
        statement.fetch_optional(&mut *self.tx).await.map_err(failed(self.action))
    }

    /// Runs a statement that gives rows.
    pub(super) async fn rows(&mut self, statement: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
        let statement = self.prepared(statement);
        statement.fetch_all(&mut *self.tx).await.map_err(failed(self.action))
    }

    /// Writes what goes with the verb and makes everything durable.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.commit_and(async { Ok(()) }).await
    }

    /// As [`commit_and`](Self::commit_and); where answers `repeat` what was there before, which may not be on the disk yet, that is
    /// waited for too.
    pub(super) async fn commit_repeating(
        self,
        repeat: bool,
        meanwhile: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let (core, run) = (self.core, self.server_run);
        self.commit_and(meanwhile).await?;
        if repeat {
            core.durable(run, None).await?;
        }
        Ok(())
    }

    /// Writes what goes with the verb, commits, and does something that sees it while the disk is waited for.
    pub(super) async fn commit_and<T>(
        mut self,
        meanwhile: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let moves = std::mem::take(&mut self.moves);
        let to = moves.to();
        let trail = std::mem::take(&mut self.trail);
        let (head, to_close) = match self.head.take() {
            None => (moves.write(&mut self, !trail.is_empty()).await?, Vec::new()),
            head => (head, moves.jobs()),
        };
        // Who does not hold the end of the log keeps nobody from the disk.
        let has_waited = head.as_ref().is_none_or(|head| head.waits);
        let last = trail.write(&mut self, head, to_close).await?;
        let back = PutBack(&self.core.marks, std::mem::take(&mut self.back));
        self.tx.commit().await.map_err(failed(self.action))?;
        drop(back);
        self.core.goes_on(Committed { run: self.server_run, last, to, has_waited }, meanwhile).await
    }

    /// The names of models, for the trail; those that are not there are left out.
    pub(super) async fn names_of(
        &mut self,
        models: impl IntoIterator<Item = ModelId>,
    ) -> Result<HashMap<ModelId, String>, StoreError> {
        let mut names = HashMap::new();
        let mut unknown = Vec::new();
        for model in models {
            match self.core.known_name(model) {
                Some(name) => drop(names.insert(model, name)),
                None => unknown.push(model.0),
            }
        }
        if !unknown.is_empty() {
            let query = sqlx::query("SELECT id, name FROM models WHERE id = ANY($1)").bind(unknown);
            for row in self.rows(query).await? {
                let named = Named::new("model", &row);
                names.insert(ModelId(named.small("id")?), named.get("name")?);
            }
            self.core.learn_names(names.iter().map(|(id, name)| (*id, name.clone())));
        }
        Ok(names)
    }

    /// Why fenced statements changed nothing for these jobs: the job is unknown, or the lease is not this worker's any more.
    pub(super) async fn lost(&mut self, missing: &[(JobId, Option<WorkerId>)]) -> Result<Vec<StoreError>, StoreError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = missing.iter().map(|(job, _)| job.as_uuid()).collect();
        let rows = self.rows(sqlx::query("SELECT id FROM jobs WHERE id = ANY($1)").bind(ids)).await?;
        let known: Vec<Uuid> = super::row::each(&rows, |row| Named::new("job", row).get("id"))?;
        let why = |(job, worker): &(JobId, Option<WorkerId>)| match known.contains(&job.as_uuid()) {
            true => StoreError::LeaseLost { job: *job, worker: worker.clone() },
            false => StoreError::not_found("job", job),
        };
        Ok(missing.iter().map(why).collect())
    }
}

/// Answers of a batch whose items are worked off in any order.
pub(super) struct Answers<T>(Vec<Option<Result<T, StoreError>>>);

impl<T> Answers<T> {
    /// No answers yet, for `items` items.
    pub(super) fn of(items: usize) -> Self {
        Self(std::iter::repeat_with(|| None).take(items).collect())
    }

    /// The answer of one item.
    pub(super) fn set(&mut self, item: usize, answer: Result<T, StoreError>) {
        if let Some(place) = self.0.get_mut(item) {
            *place = Some(answer);
        }
    }

    /// The items that have no answer.
    pub(super) fn missing(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(item, _)| item).collect()
    }

    /// All answers, in the order of the items.
    pub(super) fn all(self) -> Result<Each<T>, StoreError> {
        let missing =
            || StoreError::Backend { action: "answer every item of a batch", source: "one has no answer".into() };
        self.0.into_iter().map(|answer| answer.ok_or_else(missing)).collect()
    }
}
