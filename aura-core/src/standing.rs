//! What a model has earned so far.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident => $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire and in the tables.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = $crate::standing::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::standing::UnknownWord::new($what, text, &[$($text),*])),
                }
            }
        }
    };
}
pub(crate) use text_enum;

/// A word that is none of those expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: use one of {expected}")]
pub struct UnknownWord {
    what: &'static str,
    text: String,
    expected: String,
}

impl UnknownWord {
    pub(crate) fn new(what: &'static str, text: &str, expected: &[&str]) -> Self {
        Self { what, text: text.chars().take(64).collect(), expected: expected.join(", ") }
    }
}

text_enum!(
    /// What a model has earned; only HR or an operator changes it.
    Standing, "standing" {
        /// New: too little is known.
        Trial => "trial",
        /// Does its work.
        Member => "member",
        /// Promoted: delivers far above the line.
        Senior => "senior",
        /// Under the line, but among the two best there are, so it keeps working.
        Restricted => "restricted",
        /// Demoted: gets only a small probe share, by which it can earn its way back.
        Suspended => "suspended",
    }
);

impl Standing {
    /// Whether a model of this standing takes part in the ordinary choice; the `models.is_active` that HR keeps.
    #[must_use]
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Suspended)
    }
}

text_enum!(
    /// What HR does to a model.
    HrAction, "HR action" {
        /// To senior.
        Promote => "promote",
        /// To suspended.
        Demote => "demote",
        /// To restricted: demotion was due, but the bench may not be empty.
        Restrict => "restrict",
        /// Back to member.
        Restore => "restore",
    }
);

impl HrAction {
    /// The standing that the action leads to.
    #[must_use]
    pub const fn leads_to(self) -> Standing {
        match self {
            Self::Promote => Standing::Senior,
            Self::Demote => Standing::Suspended,
            Self::Restrict => Standing::Restricted,
            Self::Restore => Standing::Member,
        }
    }
}
