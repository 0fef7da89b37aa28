//! A body read line by line as it comes.

use std::time::Duration;

use reqwest::Response;

use super::body::{BodyError, chunk};

/// Longest line read, in bytes (4 MiB): a piece of an answer is far shorter.
const MAX_LINE: usize = 4 << 20;

/// The lines of a body. Whatever the network cuts it into, a line comes whole.
#[derive(Debug)]
pub(crate) struct Lines {
    response: Response,
    idle: Option<Duration>,
    buffer: Vec<u8>,
    /// Where the next line begins in the buffer.
    begin: usize,
    /// Up to where no line end was found.
    searched: usize,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(response: Response, idle: Option<Duration>) -> Self {
        Self { response, idle, buffer: Vec::new(), begin: 0, searched: 0, ended: false }
    }

    /// The next line, without its end; `None` behind the last one. A last line needs no end.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, BodyError> {
        let (begin, end) = loop {
            let found = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
            if let Some(found) = found {
                let (begin, end) = (self.begin, self.searched + found);
                (self.begin, self.searched) = (end + 1, end + 1);
                break (begin, end);
            }
            self.searched = self.buffer.len();
            if self.ended {
                let begin = self.begin;
                self.begin = self.buffer.len();
                if begin == self.buffer.len() {
                    return Ok(None);
                }
                break (begin, self.buffer.len());
            }
            if self.buffer.len() - self.begin > MAX_LINE {
                return Err(BodyError::TooLong(MAX_LINE));
            }
            match chunk(&mut self.response, self.idle).await? {
                Some(chunk) => {
                    self.buffer.drain(..self.begin);
                    self.searched -= self.begin;
                    self.begin = 0;
                    self.buffer.extend_from_slice(&chunk);
                }
                None => self.ended = true,
            }
        };
        let line = self.buffer.get(begin..end).unwrap_or_default();
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}
