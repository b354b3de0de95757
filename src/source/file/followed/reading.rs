//! How a followed file is read, and how it is noticed that it was begun anew.

use std::io;

use tracing::warn;

use super::{COUNT_BYTES, Followed, Progress, Suspicion, Uncounted, read_at, tail_before};
use crate::source::Arrival;
use crate::source::file::history::{HEAD_BYTES, History, TAIL_BYTES, Tail};
use crate::source::lines::CutOff;

impl Followed {
    /// Reads once, at most as much as `buffer` takes.
    pub(in crate::source::file) fn read(
        &mut self,
        buffer: &mut [u8],
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<Progress> {
        self.open()?;
        let count = self.peek(buffer, self.end())?;
        // Second, so that it holds for what was read.
        if !self.is_continued()? {
            self.lost_place(arrivals)?;
            return Ok(Progress::More);
        }
        self.take(&buffer[..count], arrivals)?;
        Ok(if count < buffer.len() {
            Progress::AtEnd
        } else {
            Progress::More
        })
    }

    /// Whether the bytes before the place are still those that were read.
    pub(in crate::source::file) fn is_continued(&self) -> io::Result<bool> {
        let mut buffer = [0; TAIL_BYTES];
        let before = &mut buffer[..self.tail.len()];
        let count = self.peek(before, self.end() - before.len() as u64)?;
        Ok(count == before.len() && self.tail.begins_with(before))
    }

    /// Counts some of the lines before the place where reading began; true when all are counted.
    pub(in crate::source::file) fn count_lines(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if self.uncounted.is_none() {
            return Ok(true);
        }
        self.open()?;
        let (Some(uncounted), Some(file)) = (&mut self.uncounted, &self.handle) else {
            return Ok(true);
        };
        let left = usize::try_from(uncounted.end - uncounted.counted_to).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let count = read_at(file, &mut buffer[..most], uncounted.counted_to)?;
        self.history.push(&buffer[..count]);
        if let Some(lines) = &mut uncounted.lines {
            *lines += memchr::memchr_iter(b'\n', &buffer[..count]).count() as u64;
        }
        uncounted.counted_to += count as u64;
        // Nothing there: truncated, which the next read finds out.
        if count == 0 || uncounted.counted_to == uncounted.end {
            self.splitter
                .count_lines_before(uncounted.lines.unwrap_or(0));
            self.uncounted = None;
            if !self.is_continued()? {
                // Begun anew meanwhile, so that was something else.
                self.history = History::default();
            }
            self.complete_history();
        }
        Ok(self.uncounted.is_none())
    }

    /// Whether what stood in it when reading began was not all looked at yet.
    pub(in crate::source::file) fn is_uncounted(&self) -> bool {
        self.uncounted.is_some()
    }

    /// Whether it begins with these bytes and its old lines were not all looked at yet.
    pub(in crate::source::file) fn is_unread_and_begins_with(&self, bytes: &[u8]) -> bool {
        let length = bytes.len().min(self.head.len());
        self.uncounted.is_some() && self.head[..length] == bytes[..length]
    }

    /// It will not be read again.
    pub(in crate::source::file) fn close(mut self, arrivals: &mut Vec<Arrival>) {
        self.cut_off(CutOff::Gone, arrivals);
    }

    pub(super) fn history_is_complete(&self) -> bool {
        self.history.length() == self.end()
    }

    /// A line can only be handed over when its number is known.
    fn take(&mut self, bytes: &[u8], arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let is_counted = |uncounted: &Uncounted| uncounted.lines.is_none();
        if !self.uncounted.as_ref().is_none_or(is_counted) && !bytes.is_empty() {
            let mut buffer = vec![0; COUNT_BYTES];
            while !self.count_lines(&mut buffer)? {}
        }
        let before = self.remember(bytes);
        let line = self.pass_hole(bytes);
        self.splitter.push(&bytes[line..], arrivals);
        self.hand_over(before, bytes);
        Ok(())
    }

    /// Returns what stood before these bytes.
    pub(super) fn remember(&mut self, bytes: &[u8]) -> Tail {
        if self.history_is_complete() {
            self.history.push(bytes);
        } else if let Some(uncounted) = &mut self.uncounted {
            // Looked at later, where they stand.
            if self.head.len() as u64 == self.splitter.end() {
                let room = HEAD_BYTES - self.head.len();
                self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            uncounted.end = self.splitter.end() + bytes.len() as u64;
        }
        let before = self.tail.clone();
        self.tail.push(bytes);
        before
    }

    /// These bytes were taken, which stood after `before`.
    pub(super) fn hand_over(&mut self, before: Tail, bytes: &[u8]) {
        let incomplete = usize::try_from(self.end() - self.splitter.line_start());
        let handed_over = incomplete
            .ok()
            .and_then(|left| bytes.len().checked_sub(left));
        // Otherwise the line began before them, and nothing was.
        if let Some(handed_over) = handed_over {
            self.handed_over = before;
            self.handed_over.push(&bytes[..handed_over]);
        }
    }

    /// A writer that does not append goes on at its old place after a truncation, and leaves a
    /// hole before it: zeros, which are no part of its line. Returns how many there are.
    fn pass_hole(&mut self, bytes: &[u8]) -> usize {
        if !self.in_hole {
            return 0;
        }
        let data = bytes.iter().position(|byte| *byte != 0);
        self.in_hole = data.is_none();
        let zeros = data.unwrap_or(bytes.len());
        self.splitter.skip(zeros as u64);
        zeros
    }

    fn lost_place(&mut self, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let size = self.metadata()?.len();
        if self.is_cut_in_last_line(size)? {
            return self.take_back(arrivals);
        }
        warn!(
            file = %self.path().display(), read = self.end(), size,
            "file was begun anew; reading it from its start"
        );
        self.end_history();
        self.cut_off(CutOff::Truncated, arrivals);
        self.begin();
        Ok(())
    }

    pub(super) fn begin(&mut self) {
        self.splitter.begin();
        self.tail = Tail::default();
        self.handed_over = Tail::default();
        self.history = History::default();
        self.uncounted = None;
        self.head = Vec::new();
        self.suspicion = Suspicion::Cleared;
        self.withheld = 0;
        self.in_hole = true;
    }

    /// Whether only the line that is not complete yet was cut, as by a writer that takes back what
    /// a full disk has taken a part of.
    fn is_cut_in_last_line(&self, size: u64) -> io::Result<bool> {
        let (from, line) = (
            self.end() - self.tail.len() as u64,
            self.splitter.line_start(),
        );
        if size < line || size >= self.end() || line <= from {
            return Ok(false);
        }
        let mut buffer = [0; TAIL_BYTES];
        let length = usize::try_from(line - from).unwrap_or(TAIL_BYTES);
        let count = self.peek(&mut buffer[..length], from)?;
        Ok(count == length && self.tail.begins_with(&buffer[..length]))
    }

    fn take_back(&mut self, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let line = self.splitter.line_start();
        let (mut history, mut buffer) = (History::default(), vec![0; COUNT_BYTES]);
        while history.length() < line {
            let left = usize::try_from(line - history.length()).unwrap_or(usize::MAX);
            let most = left.min(buffer.len());
            match self.peek(&mut buffer[..most], history.length())? {
                0 => break, // truncated, which the next read finds out
                count => history.push(&buffer[..count]),
            }
        }
        if let Some(file) = &self.handle {
            self.tail = tail_before(file, line)?;
            self.handed_over = self.tail.clone();
        }
        self.history = history;
        self.uncounted = None;
        self.cut_off(CutOff::Truncated, arrivals);
        Ok(())
    }

    /// Makes do with the outline, if what was read or left out can't be looked at any more.
    pub(super) fn complete_history(&mut self) {
        let head = std::mem::take(&mut self.head);
        if !self.history_is_complete() {
            self.history = History::outline(head, self.tail.clone(), self.end());
        }
    }

    fn cut_off(&mut self, why: CutOff, arrivals: &mut Vec<Arrival>) {
        if self.withheld == self.end() {
            // The original has the whole line.
            self.splitter.forget_line();
        }
        self.splitter.cut_off(why, arrivals);
    }
}

/// So many times a file can be begun anew while a copy of what it was is still being read.
pub(super) const MOST_ENDED: usize = 4;
