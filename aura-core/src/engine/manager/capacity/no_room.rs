//! Why a model gets no further job now, in words for whoever waits.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::units::Mebibytes;

/// Why a model gets no further job now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// It has as many jobs as it works on at once.
    Full { concurrency: u16 },
    /// As many local models as allowed are loaded or busy.
    MaxLocal { max: usize, others: Vec<Occupant> },
    /// It needs more GPU memory than any GPU has free.
    Vram { needs: Mebibytes, free: Mebibytes, beside: Vec<Occupant> },
    /// It needs more GPU memory than the largest GPU has.
    NeverVram { needs: Mebibytes, gpu: String, total: Mebibytes },
    /// It needs GPU memory where there is no GPU.
    NoGpu { needs: Mebibytes },
    /// It needs more memory than the host has free.
    Memory { needs: Mebibytes, free: Mebibytes, beside: Vec<Occupant> },
    /// It needs more memory than the host has.
    NeverMemory { needs: Mebibytes, total: Mebibytes },
}

/// A model that is loaded or busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) name: String,
    /// When it goes unless it is asked again; absent when it works, stays, or nobody says.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.until.map_or(Ok(()), |until| write!(f, " until {}", until.format("%H:%M UTC")))
    }
}

fn listed(occupants: &[Occupant]) -> String {
    occupants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn beside(occupants: &[Occupant]) -> String {
    if occupants.is_empty() { String::new() } else { format!(" beside {}", listed(occupants)) }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { concurrency } => write!(f, "works on {concurrency} job(s) already"),
            Self::MaxLocal { max, others } => {
                let (n, others) = (others.len(), listed(others));
                write!(f, "{n} other local models are loaded or busy ({others}), and max_local is {max}")
            }
            Self::Vram { needs, free, beside: others } => {
                write!(f, "needs {needs} of GPU memory, {free} are free on one GPU{}", beside(others))
            }
            Self::NeverVram { needs, gpu, total } => {
                write!(f, "needs {needs} of GPU memory and will never fit: the largest GPU ({gpu}) has {total}")
            }
            Self::NoGpu { needs } => write!(f, "needs {needs} of GPU memory and will never fit: there is no GPU"),
            Self::Memory { needs, free, beside: others } => {
                write!(f, "needs {needs} of memory, {free} are free{}", beside(others))
            }
            Self::NeverMemory { needs, total } => {
                write!(f, "needs {needs} of memory and will never fit: the host has {total}")
            }
        }
    }
}
