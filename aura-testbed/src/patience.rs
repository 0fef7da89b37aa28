//! Waiting for something outside this process, with an end to it.

use std::{
    io, thread,
    time::{Duration, Instant},
};

/// How long anything here may take before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// Asks until the answer is yes; `what` ends the sentence "waited … for" in the error.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let started = Instant::now();
    while !holds()? {
        if started.elapsed() > DEADLINE {
            let message = format!("waited {DEADLINE:?} for {what}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
