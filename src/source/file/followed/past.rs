use std::collections::VecDeque;

use crate::source::file::history::{HEAD_BYTES, History, Tail};

/// What was read of a file, by which copies of it are known: since it was begun, and of what it
/// was before it was begun anew.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Since it was begun: all of it, if it is as long as the cursor is far.
    current: History,
    /// What it was before, the last few times.
    ended: VecDeque<History>,
    /// How often it was begun anew.
    generation: u64,
    /// What stands before the point where reading began, if it was not all looked at yet.
    unseen: Option<Unseen>,
    /// The beginning of the file, until all of that was looked at.
    head: Vec<u8>,
}

/// What was read, or left out, before this process could look at it.
#[derive(Debug)]
struct Unseen {
    seen_to: u64,
    end: u64,
    lines: Lines,
}

/// How many lines there are in what was not looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// Their number is known already.
    Counted,
    /// So many up to where it was looked at.
    SoFar(u64),
}

impl Past {
    /// Of a file that begins with `head`, and of which nothing before `end` was looked at.
    pub(super) fn unseen(head: Vec<u8>, end: u64, lines: Lines) -> Self {
        let unseen = Unseen {
            seen_to: 0,
            end,
            lines,
        };
        Self {
            unseen: (end > 0).then_some(unseen),
            head,
            ..Self::default()
        }
    }

    /// Of a file that is gone.
    pub(super) fn of_ghost(outline: History) -> Self {
        Self {
            current: outline,
            ..Self::default()
        }
    }

    /// It was begun anew so often, and these are the last things that it was.
    pub(super) fn after(self, generation: u64, ended: VecDeque<History>) -> Self {
        Self {
            ended,
            generation,
            ..self
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn current(&self) -> &History {
        &self.current
    }

    pub(super) fn ended(&self) -> &VecDeque<History> {
        &self.ended
    }

    /// First what it was before, last what it is now, as far as all up to `end` was looked at;
    /// each with its number.
    pub(super) fn all(&self, end: u64) -> impl Iterator<Item = (u64, &History)> {
        let current = Some(&self.current).filter(|_| self.is_complete(end));
        let first = self.generation - self.ended.len() as u64;
        let ended = (first..).zip(&self.ended);
        ended.chain(current.map(|history| (self.generation, history)))
    }

    /// The first bytes of the file, as far as they are known.
    pub(super) fn head(&self, end: u64) -> &[u8] {
        if self.is_complete(end) {
            self.current.head()
        } else {
            &self.head
        }
    }

    /// Whether it begins with these bytes, and what was before the cursor was not all looked at.
    pub(super) fn is_unseen_and_begins_with(&self, bytes: &[u8]) -> bool {
        let length = bytes.len().min(self.head.len());
        self.is_unseen() && self.head[..length] == bytes[..length]
    }

    pub(super) fn is_unseen(&self) -> bool {
        self.unseen.is_some()
    }

    /// Whether the number of the line at the cursor is known.
    pub(super) fn knows_line(&self) -> bool {
        let lines = self.unseen.as_ref().map(|unseen| unseen.lines);
        !matches!(lines, Some(Lines::SoFar(_)))
    }

    /// Where to look next for what was not looked at, and how many bytes there are.
    pub(super) fn next_unseen(&self) -> Option<(u64, u64)> {
        let unseen = self.unseen.as_ref()?;
        Some((unseen.seen_to, unseen.end - unseen.seen_to))
    }

    /// These bytes stand there, or none, for they are gone. When nothing is left, returns how many
    /// lines there were whose number was not known.
    pub(super) fn see(&mut self, bytes: &[u8]) -> Option<u64> {
        let unseen = self.unseen.as_mut()?;
        self.current.push(bytes);
        if let Lines::SoFar(lines) = &mut unseen.lines {
            *lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        unseen.seen_to += bytes.len() as u64;
        if !bytes.is_empty() && unseen.seen_to < unseen.end {
            return None;
        }
        let Unseen { lines, .. } = self.unseen.take()?;
        Some(match lines {
            Lines::Counted => 0,
            Lines::SoFar(lines) => lines,
        })
    }

    /// These bytes were read at `end`.
    pub(super) fn push(&mut self, bytes: &[u8], end: u64) {
        if self.is_complete(end) {
            self.current.push(bytes);
        } else if let Some(unseen) = &mut self.unseen {
            // Looked at later, where they stand.
            if self.head.len() as u64 == end {
                let room = HEAD_BYTES - self.head.len();
                self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            unseen.end = end + bytes.len() as u64;
        }
    }

    /// Up to the cursor it is this.
    pub(super) fn replace(&mut self, history: History) {
        self.current = history;
        self.unseen = None;
    }

    /// What was looked at was not what had been read.
    pub(super) fn unlearn(&mut self) {
        self.current = History::default();
    }

    /// Makes do with the outline, if what was read or left out can't be looked at any more.
    pub(super) fn complete(&mut self, tail: &Tail, end: u64) {
        let head = std::mem::take(&mut self.head);
        if !self.is_complete(end) {
            self.current = History::outline(head, tail.clone(), end);
        }
    }

    /// It is gone: nothing more can be looked at.
    pub(super) fn freeze(&mut self, tail: &Tail, end: u64) {
        self.complete(tail, end);
        self.unseen = None;
    }

    /// It is begun anew: what it was is over.
    pub(super) fn end(&mut self, tail: &Tail, end: u64) {
        self.complete(tail, end);
        let over = std::mem::take(&mut self.current).end(tail);
        self.ended.push_back(over);
        if self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
        self.generation += 1;
    }

    /// Nothing was read of it yet.
    pub(super) fn begin(&mut self) {
        self.current = History::default();
        self.unseen = None;
        self.head = Vec::new();
    }

    fn is_complete(&self, end: u64) -> bool {
        self.current.length() == end
    }
}

/// So many times a file can be begun anew while a copy of what it was is still being read.
const MOST_ENDED: usize = 4;
