//! Rows of the queue, each looked up by its model and place.
//!
//! What the database believes of the queue is what its last vacuum or count saw, often nothing, and rows that are gone stay in the index
//! for as long as any transaction is open that may still see them. A join, or `model = 0 AND seq = ANY(…)`, is planned by that belief:
//! to read all of an empty queue seems cheaper than to look for ten rows, and then all that was ever in it is read. `LATERAL … OFFSET 0`
//! leaves no choice.

/// Where the rows are (`place`) and what they are, for each `model` and `seq` that `asked` lists, in its order.
macro_rules! each_waiting {
    ($asked:expr, $lock:literal) => {
        concat!(
            "(SELECT there.* FROM (",
            $asked,
            ") AS asked CROSS JOIN LATERAL (
                 SELECT ctid AS place, queue.model, queue.seq, queue.job FROM queue
                 WHERE queue.model = asked.model AND queue.seq = asked.seq OFFSET 0 ",
            $lock,
            ") AS there)"
        )
    };
    ($asked:expr) => {
        $crate::postgres::jobs::queue::each_waiting!($asked, "")
    };
}
pub(super) use each_waiting;

/// Behind a list of jobs, `new (id)`: those that are queued and that nobody else is moving right now, which are locked; where they wait
/// (`there.place`), and where their own rows are (`job.place`), for the rest of the statement. Who takes only what is free waits for no
/// row of the queue, so that they may come in any order.
macro_rules! and_free_in_queue {
    () => {
        "CROSS JOIN LATERAL (
                 SELECT jobs.ctid AS place, jobs.seq FROM jobs WHERE jobs.id = new.id AND jobs.status = 'QUEUED' OFFSET 0
             ) AS job
             CROSS JOIN LATERAL (
                 SELECT ctid AS place FROM queue WHERE model = 0 AND queue.seq = job.seq OFFSET 0 FOR UPDATE SKIP LOCKED
             ) AS there"
    };
}
pub(super) use and_free_in_queue;

/// Takes those rows out. Rows of the queue are never changed, so that a place stays the row's own.
macro_rules! leave_queue {
    ($asked:expr) => {
        concat!(
            "DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT waiting.place FROM ",
            $crate::postgres::jobs::queue::each_waiting!($asked),
            " AS waiting))"
        )
    };
}
pub(super) use leave_queue;
