//! How a file is read that may be a copy of another one.

use std::io;

use super::Followed;
use crate::source::file::file_id::FileId;

/// Whether a file is a copy of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::file) enum Suspicion {
    /// It is new, and nothing was read of it yet.
    New,
    /// Everything in it up to the cursor stands in this one, too.
    CopyOf {
        original: Original,
        /// What had been read of that when this one was first looked at, in bytes.
        read: u64,
        /// Looks since the last byte.
        quiet: u32,
    },
    /// It is read like any other.
    Cleared,
}

/// A file that may have been copied, and which of the files it was one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::file) struct Original {
    pub(in crate::source::file) id: FileId,
    pub(in crate::source::file) generation: u64,
}

impl Followed {
    /// The next bytes, as many as the buffer takes, without going on.
    pub(in crate::source::file) fn peek_next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.handle.open()?;
        // Up to what had been read of its original, and only then what follows.
        let most = match self.suspicion {
            Suspicion::CopyOf { read, .. } => read.checked_sub(self.end()).filter(|left| *left > 0),
            Suspicion::New | Suspicion::Cleared => None,
        };
        let most = most.and_then(|left| usize::try_from(left).ok());
        let most = most.map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.peek(&mut buffer[..most], self.end())?;
        if !self.is_continued()? {
            // Begun anew: reading it finds that out.
            self.clear();
        }
        Ok(count)
    }

    /// Takes bytes that have come from its original, of which so many were read.
    pub(in crate::source::file) fn withhold(
        &mut self,
        bytes: &[u8],
        original: Original,
        read: u64,
    ) {
        self.push(bytes, &mut Vec::new());
        self.withheld = self.end();
        let read = match self.suspicion {
            Suspicion::CopyOf { read, .. } => read,
            Suspicion::New | Suspicion::Cleared => read,
        };
        self.suspicion = Suspicion::CopyOf {
            original,
            read,
            quiet: 0,
        };
    }

    /// Whether it is a copy, whatever follows: it holds all that was read of its original, or has
    /// not grown for a while.
    pub(in crate::source::file) fn is_copy(&self) -> bool {
        matches!(self.suspicion, Suspicion::CopyOf { read, quiet, .. }
            if self.end() >= read || quiet >= QUIET_COPY)
    }

    /// A look has passed. A copy that does not grow any more is finished: what is added to it
    /// later is its own.
    pub(in crate::source::file) fn no_news_of_copy(&mut self) {
        if let Suspicion::CopyOf { quiet, .. } = &mut self.suspicion {
            *quiet += 1;
            if *quiet >= QUIET_FINISHED {
                self.clear();
            }
        }
    }

    /// From its cursor on it is read like any other.
    pub(in crate::source::file) fn clear(&mut self) {
        self.suspicion = Suspicion::Cleared;
    }

    /// It is no copy after all: reads it from its start.
    pub(in crate::source::file) fn read_whole(&mut self) {
        self.cursor.forget_line();
        self.begin();
    }
}

/// Looks without a new byte after which a file that begins like another one is taken for a copy,
/// made when that one was shorter.
const QUIET_COPY: u32 = 3;

/// The same after which a copy is taken for finished.
const QUIET_FINISHED: u32 = 60;
