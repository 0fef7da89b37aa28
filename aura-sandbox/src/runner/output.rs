//! Reads what a command prints, as it prints it, within a bound.

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStderr, ChildStdout},
};

use crate::Limits;

/// The two streams of a running command, and what has come from them.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Stream<ChildStdout>,
    stderr: Stream<ChildStderr>,
    /// The end of both streams, and before it what was not cut off yet.
    last: Vec<u8>,
    kept: usize,
    room: usize,
}

#[derive(Debug)]
struct Stream<R> {
    pipe: Option<R>,
    all: Vec<u8>,
    buffer: Vec<u8>,
}

/// What a command printed.
#[derive(Debug)]
pub(super) struct Printed {
    /// All of its output, up to the bound.
    pub(super) stdout: Vec<u8>,
    /// All of its errors, up to the bound.
    pub(super) stderr: Vec<u8>,
    /// The end of both, in the order they came.
    pub(super) last: Vec<u8>,
}

impl Output {
    pub(super) fn of(child: &mut Child, limits: &Limits) -> Self {
        Self {
            stdout: Stream::new(child.stdout.take()),
            stderr: Stream::new(child.stderr.take()),
            last: Vec::new(),
            kept: limits.output_kept,
            room: limits.output_total,
        }
    }

    /// Whether more can come.
    pub(super) const fn is_open(&self) -> bool {
        self.stdout.pipe.is_some() || self.stderr.pipe.is_some()
    }

    /// What it has printed so far.
    pub(super) fn stdout(&self) -> &[u8] {
        &self.stdout.all
    }

    /// Reads one piece; false when the bound is passed. Nothing is lost when the future is dropped.
    pub(super) async fn read(&mut self) -> bool {
        let Self { stdout, stderr, last, kept, room } = self;
        let came = tokio::select! {
            came = stdout.next(), if stdout.pipe.is_some() => came,
            came = stderr.next(), if stderr.pipe.is_some() => came,
            else => return true,
        };
        let Some(left) = room.checked_sub(came.len()) else { return false };
        *room = left;
        last.extend_from_slice(came);
        // Cut off now and then, so that a byte is moved once or twice in all.
        if last.len() > kept.saturating_mul(2) {
            cut_to_end(last, *kept);
        }
        true
    }

    /// Reads to the end; false when the bound is passed.
    pub(super) async fn drain(&mut self) -> bool {
        while self.is_open() {
            if !self.read().await {
                return false;
            }
        }
        true
    }

    pub(super) fn into_printed(mut self) -> Printed {
        cut_to_end(&mut self.last, self.kept);
        Printed { stdout: self.stdout.all, stderr: self.stderr.all, last: self.last }
    }
}

fn cut_to_end(text: &mut Vec<u8>, kept: usize) {
    let over = text.len().saturating_sub(kept);
    text.drain(..over);
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(pipe: Option<R>) -> Self {
        Self { pipe, all: Vec::new(), buffer: vec![0; 16 << 10] }
    }

    /// The next piece; an empty one at the end, or at an error, which is taken for the end.
    async fn next(&mut self) -> &[u8] {
        let Some(pipe) = &mut self.pipe else { return &[] };
        match pipe.read(&mut self.buffer).await {
            Ok(length) if length > 0 => {
                let piece = self.buffer.get(..length).unwrap_or_default();
                self.all.extend_from_slice(piece);
                piece
            }
            _ => {
                self.pipe = None;
                &[]
            }
        }
    }
}
