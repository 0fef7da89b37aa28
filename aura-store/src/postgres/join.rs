//! Joins callers that come at the same time: while a batch has its turn the next one forms, and each caller is answered after the commit
//! that its item was in. Nobody is kept waiting for company: who comes while no batch has its turn is served at once.
//!
//! Verbs may share their turns. What leaves a trail waits last for the end of the audit log, which one transaction at a time may hold:
//! there the batches of two verbs would wait for each other, when the second could still grow.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aura_core::{StoreError, contract::store::Each};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most items that one transaction takes.
const MOST: usize = 512;
/// How long a batch keeps the verbs that share its turns waiting. One that takes longer waits for what they may not need: a row that
/// somebody else holds.
const PATIENCE: Duration = Duration::from_millis(100);

type Answer<O> = oneshot::Sender<Result<O, StoreError>>;
type Batch<'a, O> = Pin<Box<dyn Future<Output = Result<Each<O>, StoreError>> + Send + 'a>>;

/// A verb whose single callers are joined.
pub(super) struct Join<I, O>(mpsc::UnboundedSender<(I, Answer<O>)>);

/// Turns that verbs share: one batch of all of them at a time.
#[derive(Clone)]
pub(super) struct Turns {
    one: Arc<Semaphore>,
    /// How many wait for theirs.
    waiting: Arc<AtomicUsize>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), waiting: Arc::default() }
    }
}

impl Turns {
    /// Waits for the next one; absent when nobody can have one any more.
    async fn next(&self) -> Option<Permit> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.one).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(Permit { turns: self.clone(), _one: permit.ok()? })
    }
}

/// Lets the next one begin once it is dropped.
struct Permit {
    turns: Turns,
    _one: OwnedSemaphorePermit,
}

/// A batch's turn. Those that follow begin when it has ended, or all its clones were dropped.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<Mutex<Permits>>);

#[derive(Default)]
struct Permits {
    of_the_verb: Option<Permit>,
    shared: Option<Permit>,
}

impl Turn {
    /// Whether somebody waits for it to end.
    pub(super) fn is_awaited(&self) -> bool {
        let permits = self.permits();
        let mut held = permits.of_the_verb.iter().chain(&permits.shared);
        held.any(|permit| permit.turns.waiting.load(Ordering::Relaxed) > 0)
    }

    /// The next one may begin, while this one still waits for something.
    pub(super) fn end(&self) {
        drop(std::mem::take(&mut *self.permits()));
    }

    /// The same, as something to do while the disk is waited for.
    pub(super) async fn ended(&self) -> Result<(), StoreError> {
        self.end();
        Ok(())
    }

    /// The verbs that share it may begin, but not the next batch of this one.
    fn let_others_begin(&self) {
        drop(self.permits().shared.take());
    }

    fn permits(&self) -> MutexGuard<'_, Permits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Send + Sync + 'static, O: Send + 'static> Join<I, O> {
    /// Joins the callers of `verb`, a batch of them at a time, until nobody can call any more. Must be made within a runtime.
    pub(super) fn of<C: Send + Sync + 'static>(
        core: Arc<C>,
        verb: impl for<'a> Fn(&'a C, &'a [I]) -> Batch<'a, O> + Send + Sync + 'static,
    ) -> Self {
        Self::in_turns(core, Turns::default(), move |core, items, _| verb(core, items))
    }

    /// The same for a verb that says itself when its turn ends, if that is before its answer, and shares its turns with others.
    pub(super) fn in_turns<C: Send + Sync + 'static>(
        core: Arc<C>,
        shared: Turns,
        verb: impl for<'a> Fn(&'a C, &'a [I], Turn) -> Batch<'a, O> + Send + Sync + 'static,
    ) -> Self {
        let (send, mut receive) = mpsc::unbounded_channel::<(I, Answer<O>)>();
        let (verb, own) = (Arc::new(verb), Turns::default());
        tokio::spawn(async move {
            // Callers are as many as are waiting for their answers, so the channel cannot grow without end.
            while let Some(first) = receive.recv().await
                && let Some(of_the_verb) = own.next().await
                && let Some(shared) = shared.next().await
            {
                let turn = Permits { of_the_verb: Some(of_the_verb), shared: Some(shared) };
                let turn = Turn(Arc::new(Mutex::new(turn)));
                let came_since = std::iter::from_fn(|| receive.try_recv().ok());
                let batch = std::iter::once(first).chain(came_since).take(MOST);
                let (items, callers): (Vec<I>, Vec<Answer<O>>) = batch.unzip();
                let (core, verb) = (Arc::clone(&core), Arc::clone(&verb));
                tokio::spawn(async move { answer(in_time(verb(&core, &items, turn.clone()), &turn).await, callers) });
            }
        });
        Self(send)
    }

    /// Does the verb with one item; answers after its commit.
    pub(super) async fn one(&self, item: I) -> Result<O, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unavailable { message: "the store is closed".to_owned(), source: None };
        self.0.send((item, answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Does a batch in its turn, which others may share once it has taken [`PATIENCE`].
async fn in_time<O>(mut batch: Batch<'_, O>, turn: &Turn) -> Result<Each<O>, StoreError> {
    let outcome = match tokio::time::timeout(PATIENCE, &mut batch).await {
        Ok(outcome) => outcome,
        Err(_) => {
            turn.let_others_begin();
            batch.await
        }
    };
    turn.end();
    outcome
}

/// A caller that has gone away does not hear its answer; what was done stays done.
fn answer<O>(outcome: Result<Each<O>, StoreError>, callers: Vec<Answer<O>>) {
    match outcome {
        Ok(answers) => {
            for (caller, answer) in callers.into_iter().zip(answers) {
                drop(caller.send(answer));
            }
        }
        Err(error) => {
            for caller in callers {
                drop(caller.send(Err(same(&error))));
            }
        }
    }
}

/// The same error for another caller; its cause is kept as text.
fn same(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { message, .. } => StoreError::Unavailable { message: message.clone(), source: None },
        StoreError::Corrupt { what, id, message } => StoreError::corrupt(what, id, message),
        StoreError::Backend { action, source } => StoreError::Backend { action, source: source.to_string().into() },
        // Errors of single items are not a batch's.
        other => StoreError::Backend { action: "do a batch", source: other.to_string().into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles numbers, and remembers in which batches they came; each batch needs a permit.
    struct Doubler {
        batches: Mutex<Vec<Vec<u32>>>,
        permits: Semaphore,
        started: Semaphore,
    }

    fn doubler() -> Arc<Doubler> {
        Arc::new(Doubler { batches: Mutex::default(), permits: Semaphore::new(0), started: Semaphore::new(0) })
    }

    /// Its turns end at once when they are `short`.
    fn join(core: &Arc<Doubler>, short: bool) -> Arc<Join<u32, u32>> {
        sharing(core, &Turns::default(), short)
    }

    fn sharing(core: &Arc<Doubler>, turns: &Turns, short: bool) -> Arc<Join<u32, u32>> {
        Arc::new(Join::in_turns(Arc::clone(core), turns.clone(), move |core, items, turn| {
            Box::pin(async move {
                core.batches.lock().unwrap().push(items.to_vec());
                if short {
                    turn.end();
                }
                core.started.add_permits(1);
                core.permits.acquire().await.unwrap().forget();
                if items.contains(&13) {
                    return Err(StoreError::Unavailable { message: "13".to_owned(), source: None });
                }
                Ok(items.iter().map(|n| Ok(n * 2)).collect())
            })
        }))
    }

    /// Asks for this number while others do.
    fn ask(join: &Arc<Join<u32, u32>>, n: u32) -> tokio::task::JoinHandle<Result<u32, StoreError>> {
        let join = Arc::clone(join);
        tokio::spawn(async move { join.one(n).await })
    }

    #[tokio::test]
    async fn who_comes_while_a_batch_has_its_turn_is_in_the_next_one() {
        let core = doubler();
        let join = join(&core, false);
        let first = ask(&join, 1);
        core.started.acquire().await.unwrap().forget();
        let others: Vec<_> = (2..6).map(|n| ask(&join, n)).collect();
        tokio::task::yield_now().await;
        core.permits.add_permits(2);
        assert_eq!(first.await.unwrap().unwrap(), 2);
        for (n, answer) in (2..6).zip(others) {
            assert_eq!(answer.await.unwrap().unwrap(), n * 2);
        }
        assert_eq!(*core.batches.lock().unwrap(), [vec![1], vec![2, 3, 4, 5]]);
    }

    #[tokio::test]
    async fn a_batch_whose_turn_has_ended_may_still_wait_while_the_next_one_begins() {
        let core = doubler();
        let join = join(&core, true);
        let mut asked = Vec::new();
        for n in 1..4 {
            asked.push(ask(&join, n));
            core.started.acquire().await.unwrap().forget();
        }
        assert_eq!(*core.batches.lock().unwrap(), [[1], [2], [3]]);
        core.permits.add_permits(3);
        for (n, answer) in (1..).zip(asked) {
            assert_eq!(answer.await.unwrap().unwrap(), n * 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_shares_the_turns_of_a_batch_waits_for_it_and_grows_but_does_not_wait_for_one_that_is_stuck() {
        let core = doubler();
        let turns = Turns::default();
        let (one, other) = (sharing(&core, &turns, false), sharing(&core, &turns, true));
        let begun = |batches: &[&[u32]]| assert_eq!(*core.batches.lock().unwrap(), batches);
        let first = ask(&one, 1);
        core.started.acquire().await.unwrap().forget();
        let others = [ask(&one, 2), ask(&other, 3), ask(&other, 4)];
        tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
        begun(&[&[1]]);
        tokio::time::sleep(PATIENCE).await;
        // The other's turn ended as soon as it had begun, and the shared one is free; the next batch of the verb itself still waits.
        begun(&[&[1], &[3, 4]]);
        core.permits.add_permits(3);
        assert_eq!(first.await.unwrap().unwrap(), 2);
        for (n, answer) in (2..5).zip(others) {
            assert_eq!(answer.await.unwrap().unwrap(), n * 2);
        }
        begun(&[&[1], &[3, 4], &[2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_awaited_when_somebody_who_shares_it_waits() {
        let turns = Turns::default();
        let permit = turns.next().await;
        let turn = Turn(Arc::new(Mutex::new(Permits { of_the_verb: None, shared: permit })));
        assert!(!turn.is_awaited());
        let next = tokio::spawn(async move { turns.next().await.map(drop) });
        tokio::task::yield_now().await;
        assert!(turn.is_awaited());
        turn.end();
        assert_eq!((next.await.unwrap(), turn.is_awaited()), (Some(()), false));
    }

    #[tokio::test]
    async fn when_a_batch_fails_each_of_its_callers_hears_why() {
        let core = doubler();
        core.permits.add_permits(1);
        let join = join(&core, false);
        let (a, b) = tokio::join!(join.one(13), join.one(1));
        assert!(a.unwrap_err().is_retryable());
        assert_eq!(b.unwrap_err().to_string(), "the store cannot be used now: 13");
    }
}
