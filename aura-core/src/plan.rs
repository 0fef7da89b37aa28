//! How many models work on one PRD, and in which order.

use serde::{Deserialize, Serialize};

/// How a PRD becomes jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Plan {
    /// One model; when its work is rejected, another one gets its turn.
    #[default]
    Solo,
    /// That many different models on the same PRD; the best work wins.
    Panel(u8),
    /// The cheapest adequate model first, the next when its work is rejected. Not yet executed: submitting it is an error.
    Cascade,
}

impl Plan {
    /// The largest panel.
    pub const MAX_PANEL: u8 = 16;

    /// How many jobs the PRD fans out into at submission.
    #[must_use]
    pub const fn jobs(self) -> u8 {
        match self {
            Self::Panel(n) => n,
            Self::Solo | Self::Cascade => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_people_write_it() {
        assert_eq!(serde_json::to_string(&Plan::Panel(3)).unwrap(), r#"{"panel":3}"#);
        assert_eq!(serde_json::from_str::<Plan>(r#""solo""#).unwrap(), Plan::Solo);
    }
}
