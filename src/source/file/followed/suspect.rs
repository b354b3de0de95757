//! How a file is read that may be a copy of another one.

use std::io;

use super::{Followed, Original, QUIET_RENAMED, Suspicion};

impl Followed {
    /// The next bytes, as many as the buffer takes, without going on.
    pub(in crate::source::file) fn peek_next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.open()?;
        let count = self.peek(buffer, self.end())?;
        if !self.is_continued()? {
            // Begun anew: reading it finds that out.
            self.clear();
        }
        Ok(count)
    }

    /// Takes bytes that have come from its original. `whole`: they are the last that was read of
    /// that, so it is a copy, whatever follows.
    pub(in crate::source::file) fn withhold(
        &mut self,
        bytes: &[u8],
        original: Original,
        whole: bool,
    ) {
        self.remember(bytes);
        self.splitter.push(bytes, &mut Vec::new());
        self.withheld = self.end();
        let was_whole = matches!(self.suspicion, Suspicion::CopyOf { whole: true, .. });
        self.suspicion = Suspicion::CopyOf {
            original,
            whole: whole || was_whole,
            quiet: 0,
        };
    }

    /// A look has passed. A copy that does not grow any more is finished: what is added to it
    /// later is its own.
    pub(in crate::source::file) fn no_news_of_copy(&mut self) {
        if let Suspicion::CopyOf { quiet, .. } = &mut self.suspicion {
            *quiet += 1;
            if *quiet >= QUIET_RENAMED {
                self.clear();
            }
        }
    }

    /// From its place on it is read like any other.
    pub(in crate::source::file) fn clear(&mut self) {
        self.suspicion = Suspicion::Cleared;
    }

    /// It is no copy after all: reads it from its start.
    pub(in crate::source::file) fn read_whole(&mut self) {
        self.splitter.forget_line();
        self.begin();
    }
}
