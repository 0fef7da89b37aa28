//! Server-sent events, as vendors stream answers.

use super::{body::BodyError, lines::Lines};

/// Most bytes of one event (4 MiB), however many lines it has.
const MAX_EVENT: usize = 4 << 20;

/// The data of the events of a stream, one after the other.
#[derive(Debug)]
pub(crate) struct Events(Lines);

impl Events {
    pub(crate) const fn new(lines: Lines) -> Self {
        Self(lines)
    }

    /// The data of the next event; `None` at the end. Comments and fields other than `data` are passed over, and so are events
    /// without data. A line that is none of an event's comes as it is: some servers say in bare JSON what went wrong.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        let mut data: Option<Vec<u8>> = None;
        while let Some(line) = self.0.next().await? {
            if line.is_empty() {
                match data {
                    Some(data) => return Ok(Some(data)),
                    None => continue,
                }
            }
            let Some(value) = line.strip_prefix(b"data:") else {
                if data.is_none() && matches!(line.first(), Some(b'{' | b'[')) {
                    return Ok(Some(line.to_vec()));
                }
                continue;
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            let so_far = data.get_or_insert_default();
            if so_far.len() + value.len() > MAX_EVENT {
                return Err(BodyError::TooLong(MAX_EVENT));
            }
            if !so_far.is_empty() {
                so_far.push(b'\n');
            }
            so_far.extend_from_slice(value);
        }
        Ok(data)
    }
}
