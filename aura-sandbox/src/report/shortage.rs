//! Memory that ran out: what the kernel says of it, and else what the command says.

use std::fmt;

use aura_core::units::Mebibytes;

/// What a program says at its end when it gets no more memory, as common languages put it.
const LAST_WORDS: [&str; 6] = [
    "MemoryError",
    "out of memory",
    "Cannot allocate memory",
    "memory allocation of",
    "std::bad_alloc",
    "OutOfMemoryError",
];

/// How much of the end of what is printed is looked through for them, in bytes.
const END: usize = 16 << 10;

/// That memory ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// The kernel ended processes because all of a run together had come to their bound.
    Exceeded(Mebibytes),
    /// Only the command itself says so: the kernel refuses a process more than its bound, and keeps no account of that.
    Said(Mebibytes),
}

impl Shortage {
    /// `killed`: how many processes the kernel ended for it; absent where it does not tell. `failed`: whether the command did.
    pub(crate) fn of(
        limit: u64,
        killed: Option<u64>,
        peak: Option<Mebibytes>,
        code: Option<i32>,
        stderr: &[u8],
    ) -> Option<Self> {
        /// How a shell and bubblewrap tell of a program that signal 9 ended.
        const KILLED: i32 = 128 + 9;
        let limit = Mebibytes(limit.div_ceil(1 << 20));
        let was_full =
            killed.is_none() && peak.is_some_and(|peak| peak >= limit) && matches!(code, None | Some(KILLED));
        if killed.is_some_and(|killed| killed > 0) || was_full {
            return Some(Self::Exceeded(limit));
        }
        let failed = code != Some(0);
        let end = stderr.get(stderr.len().saturating_sub(END)..).unwrap_or_default();
        let said = failed && LAST_WORDS.iter().any(|words| contains(end, words.as_bytes()));
        said.then_some(Self::Said(limit))
    }
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded(limit) => write!(f, "the memory limit of {limit} was exceeded"),
            Self::Said(limit) => write!(f, "it says that memory ran out: a process may have {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 300 << 20;

    #[test]
    fn the_kernels_word_counts_whatever_the_command_says() {
        let of = |killed, peak, code, stderr: &str| Shortage::of(LIMIT, killed, peak, code, stderr.as_bytes());
        let full = Mebibytes(300);
        let exceeded = Some(Shortage::Exceeded(full));
        assert_eq!(of(Some(1), None, Some(0), ""), exceeded);
        assert_eq!(of(None, Some(full), None, ""), exceeded, "a kernel that keeps no count");
        assert_eq!(of(None, Some(full), Some(137), ""), exceeded);
        assert_eq!(of(Some(0), Some(full), None, ""), None, "it was full, and something else ended it");
        assert_eq!(of(None, Some(Mebibytes(10)), None, ""), None);
    }

    #[test]
    fn the_commands_word_is_passed_on_as_its_own_and_only_when_it_failed() {
        let of = |code, stderr: &str| Shortage::of(LIMIT, Some(0), None, code, stderr.as_bytes());
        let said = Some(Shortage::Said(Mebibytes(300)));
        for words in [
            "Traceback:\nMemoryError\n",
            "FATAL ERROR: JavaScript heap out of memory",
            "memory allocation of 8 bytes failed",
        ] {
            assert_eq!(of(Some(1), words), said, "{words}");
            assert_eq!(of(None, words), said, "{words}");
            assert_eq!(of(Some(0), words), None, "{words}");
        }
        assert_eq!(of(Some(1), "AssertionError"), None);
        assert_eq!(Shortage::Exceeded(Mebibytes(300)).to_string(), "the memory limit of 300 MiB was exceeded");
    }
}
