use std::fmt;

use uuid::Uuid;

/// Names one log for as long as it lives, so that a client can tell that the seqs it remembers
/// belong to a log that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(Uuid);

impl Epoch {
    /// The name of a log that begins now: a UUIDv7, so that epochs sort by their beginning.
    pub fn begin() -> Self {
        Self(Uuid::now_v7())
    }

    /// The name as it is shown.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}
