//! The one way in which this crate speaks HTTP: a client without surprises, bodies that cannot fill the memory, waits that end.

mod body;
mod client;
mod endpoint;
mod failure;
mod lines;
#[cfg(any(feature = "openai", feature = "gemini"))]
mod sse;

pub(crate) use body::MAX_ANSWER;
pub(crate) use endpoint::{Auth, Endpoint, Exchange, Patience, base_url, in_one_text};
pub(crate) use failure::{Failure, excerpt};
pub(crate) use lines::Lines;
#[cfg(any(feature = "openai", feature = "gemini"))]
pub(crate) use sse::Events;
