//! Watches from outside that the answers keep coming: a call that takes too long ends its round, and costs no other its answer.

use std::{future, time::Duration};

use tokio::time::Instant;

/// The pace that the caller of the work has to keep. What it writes is within reach of the work: work that feigns progress wins
/// nothing but the rest of the suite's time.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Pace {
    /// Begins each line of the caller's own.
    mark: Vec<u8>,
    /// How long one call may take.
    each: Duration,
    /// Where the line begins that has not ended yet, and how far it was looked for its end.
    line: usize,
    looked: usize,
    /// When the call that is being made began; absent until the work is loaded.
    since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(mark: &str, each: Duration) -> Self {
        Self { mark: mark.as_bytes().to_vec(), each, line: 0, looked: 0, since: None }
    }

    /// Looks at all that has been printed so far; whether the caller has told something new.
    pub(in crate::runner) fn saw(&mut self, printed: &[u8]) -> bool {
        let mut told = false;
        let new = printed.get(self.looked..).unwrap_or_default();
        for end in new.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| self.looked + at) {
            told |= printed.get(self.line..end).is_some_and(|line| line.starts_with(&self.mark));
            self.line = end + 1;
        }
        self.looked = printed.len();
        if told {
            self.since = Some(Instant::now());
        }
        told
    }

    /// Returns once a call has taken too long; never before the work is loaded.
    pub(in crate::runner) async fn is_lost(&self) {
        match self.since {
            Some(since) => tokio::time::sleep_until(since + self.each).await,
            None => future::pending().await,
        }
    }

    /// How long the call has taken that is being made; absent when none is.
    pub(in crate::runner) fn waited(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_of_the_caller_are_progress() {
        let mut pace = Pace::new("mark", Duration::from_secs(1));
        let mut printed = Vec::new();
        for (piece, told) in [
            ("\nmark re", false),
            ("ady {}\n", true),
            ("mark\n", true),
            ("x mark\n", false),
            ("\n\n", false),
            ("mark 1", false),
        ] {
            printed.extend_from_slice(piece.as_bytes());
            assert_eq!(pace.saw(&printed), told, "{piece:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_its_time_from_the_answer_before_it() {
        let mut pace = Pace::new("mark", Duration::from_secs(2));
        let lost =
            async |pace: &Pace, within| tokio::time::timeout(Duration::from_secs(within), pace.is_lost()).await.is_ok();
        assert!(!lost(&pace, 3600).await, "loading has no limit of its own");
        assert!(pace.saw(b"mark ready {}\n"));
        assert!(!lost(&pace, 1).await);
        assert!(pace.saw(b"mark ready {}\nmark 0 {}\n"));
        assert!(!lost(&pace, 1).await && lost(&pace, 2).await);
        assert_eq!(pace.waited(), Some(Duration::from_secs(2)));
    }
}
