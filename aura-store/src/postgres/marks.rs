//! Up to where what comes and goes is known to be gone, so that the next look does not walk over what is left of it: a row that
//! was taken away stays in the index until the next vacuum, and for as long as any transaction is open that may still see it.
//!
//! A mark is a hint. Every second it is moved on by a look from where it stands. Before it there may be what another node or a hand put
//! there since, a job of the backlog that was given to a model among it, and what was committed a second or more after it got its number:
//! that waits for the next look from the beginning. Such looks come every second, too, or, when they take long, so often that they take a
//! fiftieth of the time, but every ten seconds at least. What this node puts back lowers the mark.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aura_core::StoreError;

use super::{Core, row::Named};

const LOOK: Duration = Duration::from_secs(1);
/// Looks from the beginning take at most one part in so many of the time.
const PART: u32 = 50;
/// But one comes after so long.
const MOST: Duration = Duration::from_secs(10);

/// What is looked through in the order of numbers that grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scan {
    /// Jobs that wait for a model (0), or for a worker of it.
    Queue(i32),
    /// What was handed in and not entered yet.
    HandedIn,
    /// PRDs that wait for the accountant.
    ToAssess,
}

/// The first number behind `$2` that is there, the last one that was given to anything (a new sequence shows the one that it will give
/// next), and how long the look took, without what the connection was waited for.
macro_rules! look {
    ($first:literal, $sequence:literal) => {
        concat!(
            "SELECT (",
            $first,
            ") AS first, last_value - (NOT is_called)::int AS id,
                 extract(epoch FROM clock_timestamp() - statement_timestamp())::float8 AS took
             FROM ",
            $sequence
        )
    };
}

impl Scan {
    /// Jobs that wait for a model.
    pub(super) const QUEUED: Self = Self::Queue(0);

    const fn look(self) -> &'static str {
        match self {
            Self::Queue(_) => {
                look!("SELECT seq FROM queue WHERE model = $1 AND seq > $2 ORDER BY seq LIMIT 1", "jobs_seq_seq")
            }
            Self::HandedIn => {
                look!("SELECT id FROM handed_in WHERE $1 = 0 AND id > $2 ORDER BY id LIMIT 1", "handed_in_id_seq")
            }
            Self::ToAssess => {
                look!(
                    "SELECT id FROM prds_to_assess WHERE $1 = 0 AND id > $2 ORDER BY id LIMIT 1",
                    "prds_to_assess_id_seq"
                )
            }
        }
    }
}

/// Before all numbers, also those that a hand gave.
const BEGINNING: i64 = i64::MIN;

/// A mark that is good, or from where to look for a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Mark(i64),
    LookFrom(i64),
}

/// Marks of all scans.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<HashMap<Scan, Mark>>);

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Nothing is known to be there up to here.
    from: i64,
    /// The last number that had been given at the last look.
    given: i64,
    /// The lowest number that was put back since the last look began.
    back: Option<i64>,
    /// Somebody looks.
    is_busy: bool,
    /// When to look again.
    next: Option<Instant>,
    /// When to look from the beginning again.
    whole: Option<Instant>,
    /// Something was put there, and nobody has come for it since.
    is_news: bool,
}

impl Marks {
    fn held(&self) -> MutexGuard<'_, HashMap<Scan, Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark, and from where to look when it is time to, which nobody else is asked to do until that is done.
    fn fresh(&self, scan: Scan) -> Fresh {
        let mut held = self.held();
        let mark = held.entry(scan).or_default();
        let now = Instant::now();
        let is_time = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        if mark.is_busy || !is_time(mark.next) {
            return Fresh::Mark(mark.from);
        }
        mark.is_busy = true;
        mark.back = None;
        mark.next = Some(now + LOOK);
        if !is_time(mark.whole) {
            return Fresh::LookFrom(mark.from);
        }
        // One that fails is not tried again at once.
        mark.whole = Some(now + MOST);
        Fresh::LookFrom(BEGINNING)
    }

    /// The look has ended, or was given up.
    fn looks_no_more(&self, scan: Scan) {
        if let Some(mark) = self.held().get_mut(&scan) {
            mark.is_busy = false;
        }
    }

    /// A look from there, which took so long, found this number first, and this one as the last that was given. Numbers that were
    /// given since the look before may belong to what is not committed yet: the mark stays before them.
    fn looked(&self, scan: Scan, from: i64, first: Option<i64>, given: i64, took: Duration) -> i64 {
        let mut held = self.held();
        let mark = held.entry(scan).or_default();
        let before = |number: Option<i64>| number.map_or(i64::MAX, |number| number - 1);
        mark.from = mark.given.min(before(first)).min(before(mark.back));
        mark.given = given;
        let now = Instant::now();
        mark.next = Some(now + LOOK);
        if from == BEGINNING {
            mark.whole = Some(now + took.saturating_mul(PART).clamp(LOOK, MOST));
        }
        mark.from
    }

    /// Whether this node put something there since it was last asked: whoever comes for it need not look first.
    pub(super) fn news(&self, scan: Scan) -> bool {
        self.held().get_mut(&scan).is_some_and(|mark| std::mem::take(&mut mark.is_news))
    }

    /// Something is there with this number, although the mark may have passed it.
    fn put_back(&self, scan: Scan, number: i64) {
        if let Some(mark) = self.held().get_mut(&scan) {
            mark.is_news = true;
            mark.from = mark.from.min(number - 1);
            mark.back = Some(mark.back.map_or(number, |back| back.min(number)));
        }
    }
}

/// What a commit puts back. Once that has begun it may be there, also when nobody hears how it ended: a mark that is too low does no harm.
pub(super) struct PutBack<'m>(pub(super) &'m Marks, pub(super) HashMap<Scan, i64>);

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        for (scan, number) in self.1.drain() {
            self.0.put_back(scan, number);
        }
    }
}

/// Somebody looks, until this is dropped.
struct Looking<'m>(&'m Marks, Scan);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.looks_no_more(self.1);
    }
}

impl Core {
    /// Behind which number a scan may begin.
    pub(super) async fn mark(&self, scan: Scan) -> Result<i64, StoreError> {
        let from = match self.marks.fresh(scan) {
            Fresh::Mark(mark) => return Ok(mark),
            Fresh::LookFrom(from) => from,
        };
        let _looking = Looking(&self.marks, scan);
        let model = if let Scan::Queue(model) = scan { model } else { 0 };
        let row = self.row("look for what waits", sqlx::query(scan.look()).bind(model).bind(from)).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("sequence", "last_value", "its row is missing"))?;
        let named = Named::new("sequence", &row);
        let took = Duration::try_from_secs_f64(named.get("took")?).unwrap_or_default();
        Ok(self.marks.looked(scan, from, named.get("first")?, named.get("id")?, took))
    }
}

#[cfg(test)]
mod tests {
    use aura_testbed::PrivatePostgres;

    use super::*;
    use crate::PgStore;

    const NO_TIME: Duration = Duration::ZERO;

    /// A look from the beginning.
    fn look(marks: &Marks, scan: Scan, first: Option<i64>, given: i64) -> i64 {
        marks.looked(scan, BEGINNING, first, given, NO_TIME)
    }

    #[test]
    fn a_mark_stays_before_what_is_there_and_what_was_given_since_the_last_look() {
        let (marks, scan) = (Marks::default(), Scan::HandedIn);
        assert_eq!(marks.fresh(scan), Fresh::LookFrom(BEGINNING));
        assert_eq!(marks.fresh(scan), Fresh::Mark(0), "somebody looks already");
        assert_eq!(look(&marks, scan, Some(7), 9), 0, "7 to 9 may be followed by others that are not committed");
        assert_eq!(look(&marks, scan, Some(12), 20), 9);
        assert_eq!(look(&marks, scan, Some(12), 20), 11);
        assert_eq!(look(&marks, scan, None, 20), 20);
        marks.looks_no_more(scan);
        assert_eq!(marks.fresh(scan), Fresh::Mark(20));
        assert_eq!(marks.fresh(Scan::QUEUED), Fresh::LookFrom(BEGINNING), "each scan has its own");
    }

    #[test]
    fn what_is_put_back_lowers_the_mark_also_while_somebody_looks() {
        let (marks, scan) = (Marks::default(), Scan::QUEUED);
        look(&marks, scan, None, 20);
        look(&marks, scan, None, 20);
        assert_eq!(marks.fresh(scan), Fresh::Mark(20));
        drop(PutBack(&marks, HashMap::from([(scan, 5)])));
        assert_eq!(marks.fresh(scan), Fresh::Mark(4));
        assert_eq!([marks.news(scan), marks.news(scan)], [true, false], "it is news once");
        assert_eq!(look(&marks, scan, None, 20), 4, "the look did not see it yet");
    }

    #[tokio::test]
    async fn before_anything_is_given_the_first_number_is_not_passed() {
        let store = PgStore::open(&PrivatePostgres::shared().create_database().unwrap()).await.unwrap();
        for scan in [Scan::QUEUED, Scan::HandedIn, Scan::ToAssess] {
            let row = store.core.row("look", sqlx::query(scan.look()).bind(0).bind(BEGINNING)).await.unwrap().unwrap();
            let named = Named::new("sequence", &row);
            assert_eq!((named.get("first").unwrap(), named.get("id").unwrap()), (None::<i64>, 0_i64), "{scan:?}");
            assert!(named.get::<f64>("took").unwrap() >= 0.0);
        }
    }

    /// Its time has come.
    fn now(marks: &Marks, scan: Scan) {
        marks.held().get_mut(&scan).unwrap().next = None;
    }

    #[test]
    fn after_a_look_that_took_long_the_next_ones_begin_at_the_mark() {
        let (marks, scan) = (Marks::default(), Scan::ToAssess);
        look(&marks, scan, None, 20);
        marks.looked(scan, BEGINNING, None, 30, Duration::from_secs(3600));
        for given in [40, 50] {
            now(&marks, scan);
            assert_eq!(marks.fresh(scan), Fresh::LookFrom(given - 20));
            marks.looked(scan, given - 20, None, given, NO_TIME);
            marks.looks_no_more(scan);
        }
        let whole = marks.held()[&scan].whole.unwrap();
        assert!(whole <= Instant::now() + MOST, "however long it takes");
        marks.held().get_mut(&scan).unwrap().whole = None;
        now(&marks, scan);
        assert_eq!(marks.fresh(scan), Fresh::LookFrom(BEGINNING));
    }

    #[test]
    fn nobody_looks_while_somebody_does_and_one_that_failed_is_followed_by_a_short_one() {
        let (marks, scan) = (Marks::default(), Scan::Queue(1));
        assert_eq!(marks.fresh(scan), Fresh::LookFrom(BEGINNING));
        let looking = Looking(&marks, scan);
        now(&marks, scan);
        assert_eq!(marks.fresh(scan), Fresh::Mark(0), "although it takes longer than until the next one");
        drop(looking);
        assert_eq!(marks.fresh(scan), Fresh::LookFrom(0));
    }
}
