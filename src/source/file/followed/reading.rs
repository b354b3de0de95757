//! How a followed file is read, and how it is noticed that it was begun anew.

use std::io;

use tracing::warn;

use super::{Followed, Suspicion};
use crate::source::Arrival;
use crate::source::file::bookmark::Kept;
use crate::source::file::history::{History, TAIL_BYTES};
use crate::source::lines::CutOff;

/// Whether there is more to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::file) enum Progress {
    More,
    AtEnd,
}

impl Followed {
    /// Reads once, at most as much as `buffer` takes.
    pub(in crate::source::file) fn read(
        &mut self,
        buffer: &mut [u8],
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<Progress> {
        self.handle.open()?;
        let count = self.peek(buffer, self.end())?;
        // Second, so that it holds for what was read.
        if !self.is_continued()? {
            self.recover(arrivals)?;
            return Ok(Progress::More);
        }
        self.take(&buffer[..count], arrivals)?;
        Ok(if count < buffer.len() {
            Progress::AtEnd
        } else {
            Progress::More
        })
    }

    /// Whether the bytes before the cursor are still those that were read.
    pub(in crate::source::file) fn is_continued(&self) -> io::Result<bool> {
        let (tail, mut buffer) = (self.tail(), [0; TAIL_BYTES]);
        let before = &mut buffer[..tail.len()];
        let count = self.peek(before, self.end() - before.len() as u64)?;
        Ok(count == before.len() && tail.begins_with(before))
    }

    /// Looks at some of what stands before the point where reading began, and counts its lines;
    /// true when nothing is left.
    pub(in crate::source::file) fn count_lines(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some((offset, left)) = self.past.next_unseen() else {
            return Ok(true);
        };
        self.handle.open()?;
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.peek(&mut buffer[..most], offset)?;
        // Nothing there: truncated, which the next read finds out.
        let Some(lines) = self.past.see(&buffer[..count]) else {
            return Ok(false);
        };
        self.cursor.count_lines_before(lines);
        if !self.is_continued()? {
            // Begun anew meanwhile, so that was something else.
            self.past.unlearn();
        }
        self.past.complete(self.cursor.tail(), self.cursor.end());
        Ok(true)
    }

    /// Whether what stood in it when reading began was not all looked at yet.
    pub(in crate::source::file) fn is_uncounted(&self) -> bool {
        self.past.is_unseen()
    }

    /// Whether it begins with these bytes and its old lines were not all looked at yet.
    pub(in crate::source::file) fn is_uncounted_and_begins_with(&self, bytes: &[u8]) -> bool {
        self.past.is_unseen_and_begins_with(bytes)
    }

    /// It will not be read again.
    pub(in crate::source::file) fn close(mut self, arrivals: &mut Vec<Arrival>) {
        self.cut_off(CutOff::Gone, arrivals);
    }

    /// A line can only be handed over when its number is known.
    fn take(&mut self, bytes: &[u8], arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        if !self.past.knows_line() && !bytes.is_empty() {
            let mut buffer = vec![0; COUNT_BYTES];
            while !self.count_lines(&mut buffer)? {}
        }
        self.push(bytes, arrivals);
        Ok(())
    }

    pub(super) fn push(&mut self, bytes: &[u8], arrivals: &mut Vec<Arrival>) {
        self.past.push(bytes, self.cursor.end());
        self.cursor.push(bytes, arrivals);
    }

    /// The bytes before the cursor are others now: finds out where to go on.
    fn recover(&mut self, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let size = self.metadata()?.len();
        if self.is_cut_in_last_line(size)? {
            return self.take_back(arrivals);
        }
        warn!(
            file = %self.path().display(), read = self.end(), size,
            "file was begun anew; reading it from its start"
        );
        self.lost = Some(self.kept());
        self.past.end(self.cursor.tail(), self.cursor.end());
        self.cut_off(CutOff::Truncated, arrivals);
        self.begin();
        Ok(())
    }

    /// Where it was, if the last read has found that it was begun anew.
    pub(in crate::source::file) fn take_lost(&mut self) -> Option<Kept> {
        self.lost.take()
    }

    /// Goes on at its start.
    pub(super) fn begin(&mut self) {
        self.cursor.begin();
        self.past.begin();
        self.suspicion = Suspicion::Cleared;
        self.withheld = 0;
    }

    /// Whether only the line that is not complete yet was cut, as by a writer that takes back what
    /// a full disk has taken a part of.
    fn is_cut_in_last_line(&self, size: u64) -> io::Result<bool> {
        let line = self.cursor.line_start();
        let from = self.end() - self.tail().len() as u64;
        if size < line || size >= self.end() || line <= from {
            return Ok(false);
        }
        let mut buffer = [0; TAIL_BYTES];
        let length = usize::try_from(line - from).unwrap_or(TAIL_BYTES);
        let count = self.peek(&mut buffer[..length], from)?;
        Ok(count == length && self.tail().begins_with(&buffer[..length]))
    }

    fn take_back(&mut self, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let line = self.cursor.line_start();
        let (mut history, mut buffer) = (History::default(), vec![0; COUNT_BYTES]);
        while history.length() < line {
            let left = usize::try_from(line - history.length()).unwrap_or(usize::MAX);
            let most = left.min(buffer.len());
            match self.peek(&mut buffer[..most], history.length())? {
                0 => break, // truncated, which the next read finds out
                count => history.push(&buffer[..count]),
            }
        }
        self.cursor.back_to_line(self.handle.tail_before(line)?);
        self.past.replace(history);
        self.cut_off(CutOff::Truncated, arrivals);
        Ok(())
    }

    fn cut_off(&mut self, why: CutOff, arrivals: &mut Vec<Arrival>) {
        if self.withheld == self.end() {
            // The original has the whole line.
            self.cursor.forget_line();
        }
        self.cursor.cut_off(why, arrivals);
    }
}

/// Bytes of old lines that are looked at in one go.
pub(in crate::source::file) const COUNT_BYTES: usize = 256 * 1024;
