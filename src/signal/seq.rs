use std::fmt;
use std::num::NonZeroU64;

use super::digits;

/// Place of a signal in the log: 1, 2, 3 … without gaps, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU64);

impl Seq {
    /// The place of the first signal of a log.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// `None` for 0, which is no place: an empty log reports its last seq as 0.
    pub fn new(seq: u64) -> Option<Self> {
        NonZeroU64::new(seq).map(Self)
    }

    /// The number on the wire.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The place `count` signals further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Appends what `Display` writes.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        digits::write(out, self.get(), 0);
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
