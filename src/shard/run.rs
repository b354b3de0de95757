use tokio::time::Instant;

use crate::hub::{Segment, View};
use crate::signal::{Seq, Timestamp};

/// The frames of a stretch of the log that pass one filter, back to back: what is written to a
/// client in one go. Made once for all clients that stand at the same place and see the same.
#[derive(Debug)]
pub struct Run {
    bytes: Vec<u8>,
    /// Of each frame: where its bytes end, and its signal's place in the log.
    frames: Vec<(usize, Seq)>,
    from: Seq,
    next: Seq,
    begun: Instant,
}

/// What to do when only part of a run was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// What is missing of the frame that was begun; empty at a frame boundary.
    pub rest: &'a [u8],
    /// The place to go on from, once the rest is written.
    pub next: Seq,
}

impl Default for Run {
    /// A run of nothing.
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            frames: Vec::new(),
            from: Seq::FIRST,
            next: Seq::FIRST,
            begun: Instant::now(),
        }
    }
}

impl Run {
    /// Forgets what it held and begins at this place. Keeps its memory.
    pub fn begin(&mut self, from: Seq) {
        self.bytes.clear();
        self.frames.clear();
        (self.from, self.next) = (from, from);
        self.begun = Instant::now();
    }

    /// Goes on with the frames of this segment that pass, in the form of this view; which are stale
    /// is judged at `now`. The segment must hold the place where the run stands.
    pub fn take(&mut self, segment: &Segment, view: &View, now: Timestamp) {
        self.take_until(segment.last().next(), segment, view, now, usize::MAX);
    }

    /// The same for what comes before `end`, and only until the run holds about so many bytes.
    pub fn take_until(
        &mut self,
        end: Seq,
        segment: &Segment,
        view: &View,
        now: Timestamp,
        most_bytes: usize,
    ) {
        debug_assert!(segment.first() <= self.next && self.next <= segment.last());
        if segment.is_ready_for(view) {
            return self.copy_until(end, segment, most_bytes);
        }
        for (frame, freshness) in segment.passing(self.next, view, now) {
            if frame.seq >= end {
                break;
            }
            if self.bytes.len() >= most_bytes {
                self.next = frame.seq;
                return;
            }
            frame.write(&mut self.bytes, view, freshness);
            self.frames.push((self.bytes.len(), frame.seq));
        }
        self.next = segment.last().next().min(end);
    }

    /// The same for frames that are all taken as they lie: one copy.
    fn copy_until(&mut self, end: Seq, segment: &Segment, most_bytes: usize) {
        let held = self.bytes.len();
        let room = most_bytes.saturating_sub(held);
        let (bytes, ends) = segment.stretch(self.next, end, room);
        self.bytes.extend_from_slice(bytes);
        self.frames.extend(ends.map(|(end, seq)| (held + end, seq)));
        if let Some((_, last)) = self.frames.last() {
            self.next = last.next().max(self.next);
        }
    }

    /// The frames, back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many signals it holds.
    pub fn signals(&self) -> u64 {
        self.frames.len() as u64
    }

    /// How many of them come before this place in the log.
    pub fn signals_before(&self, place: Seq) -> u64 {
        self.frames.partition_point(|&(_, seq)| seq < place) as u64
    }

    /// When it was begun.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Where a client stands that this run is for.
    pub fn from(&self) -> Seq {
        self.from
    }

    /// Where a client stands that took all of it.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// What to do when `written` of its bytes were written.
    pub fn cut(&self, written: usize) -> Cut<'_> {
        if written == self.bytes.len() {
            return Cut {
                rest: &[],
                next: self.next,
            };
        }
        let whole = self.frames.partition_point(|&(end, _)| end <= written);
        let (boundary, after_whole) = match whole.checked_sub(1) {
            None => (0, self.from),
            Some(last) => (self.frames[last].0, self.frames[last].1.next()),
        };
        if written == boundary {
            return Cut {
                rest: &[],
                next: after_whole,
            };
        }
        let (end, seq) = self.frames[whole];
        Cut {
            rest: &self.bytes[written..end],
            next: seq.next(),
        }
    }
}
