//! Joins callers that come at the same time: while a batch has its turn the next one forms, and each caller is answered after the commit
//! that its item was in. There is no timer: who comes alone is served at once.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use aura_core::{StoreError, contract::store::Each};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most items that one transaction takes.
const MOST: usize = 512;

type Answer<O> = oneshot::Sender<Result<O, StoreError>>;
type Batch<'a, O> = Pin<Box<dyn Future<Output = Result<Each<O>, StoreError>> + Send + 'a>>;

/// A verb whose single callers are joined.
pub(super) struct Join<I, O>(mpsc::UnboundedSender<(I, Answer<O>)>);

/// A batch's turn: the next batch begins when it has ended, or was dropped.
#[derive(Default)]
pub(super) struct Turn(Mutex<Option<OwnedSemaphorePermit>>);

impl Turn {
    /// The next batch may begin, while this one still waits for something.
    pub(super) fn end(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The same, as something to do while the disk is waited for.
    pub(super) async fn ended(&self) -> Result<(), StoreError> {
        self.end();
        Ok(())
    }
}

impl<I: Send + Sync + 'static, O: Send + 'static> Join<I, O> {
    /// Joins the callers of `verb`, a batch of them at a time, until nobody can call any more. Must be made within a runtime.
    pub(super) fn of<C: Send + Sync + 'static>(
        core: Arc<C>,
        verb: impl for<'a> Fn(&'a C, &'a [I]) -> Batch<'a, O> + Send + Sync + 'static,
    ) -> Self {
        Self::in_turns(core, move |core, items, turn| {
            let done = verb(core, items);
            Box::pin(async move {
                let outcome = done.await;
                turn.end();
                outcome
            })
        })
    }

    /// The same for a verb that may say itself when its turn ends.
    pub(super) fn in_turns<C: Send + Sync + 'static>(
        core: Arc<C>,
        verb: impl for<'a> Fn(&'a C, &'a [I], Turn) -> Batch<'a, O> + Send + Sync + 'static,
    ) -> Self {
        let (send, mut receive) = mpsc::unbounded_channel::<(I, Answer<O>)>();
        let (verb, turns) = (Arc::new(verb), Arc::new(Semaphore::new(1)));
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            // Callers are as many as are waiting for their answers, so the channel cannot grow without end.
            while let Ok(turn) = Arc::clone(&turns).acquire_owned().await
                && receive.recv_many(&mut waiting, MOST).await > 0
            {
                let (items, callers): (Vec<I>, Vec<Answer<O>>) = waiting.drain(..).unzip();
                let (core, verb, turn) = (Arc::clone(&core), Arc::clone(&verb), Turn(Mutex::new(Some(turn))));
                tokio::spawn(async move { answer(verb(&core, &items, turn).await, callers) });
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
        Arc::new(Join::in_turns(Arc::clone(core), move |core, items, turn| {
            Box::pin(async move {
                core.batches.lock().unwrap().push(items.to_vec());
                if short {
                    turn.end();
                }
                core.started.add_permits(1);
                core.permits.acquire().await.unwrap().forget();
                drop(turn);
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
