//! Starts commands on a thread of its own.
//!
//! Whoever starts a process waits until it has become its command, which takes long where many compete for the processors: that thread
//! may not be one that answers requests. And it has to outlive the command, since bubblewrap ends when the thread does that started it.

use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Starter(Sender<Job>);

impl Starter {
    /// # Errors
    /// When there can be no further thread.
    pub(crate) fn new() -> io::Result<Self> {
        let (jobs, come) = channel::<Job>();
        let work = move || come.into_iter().for_each(|job| job());
        thread::Builder::new().name("aura-sandbox".to_owned()).spawn(work)?;
        Ok(Self(jobs))
    }

    /// Does the work on the thread, within the runtime of the caller. What it gives is dropped when nobody waits for it any more.
    ///
    /// # Errors
    /// When the thread is gone, which only a panic in such work can bring about.
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("the thread that starts commands is gone");
        let (done, comes) = oneshot::channel();
        let runtime = Handle::current();
        let job: Job = Box::new(move || {
            let _within = runtime.enter();
            // An error means that the caller has given up.
            drop(done.send(work()));
        });
        self.0.send(job).map_err(|_| gone())?;
        comes.await.map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_work_is_done_on_one_thread_that_is_not_the_callers() {
        let starter = Starter::new().unwrap();
        let on = async || starter.on_thread(|| Ok(thread::current().id())).await.unwrap();
        assert_eq!(on().await, on().await);
        assert_ne!(on().await, thread::current().id());
        let error = starter.on_thread(|| Err::<(), _>(io::ErrorKind::NotFound.into())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
