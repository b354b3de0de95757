use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::Segment;
use crate::signal::Seq;

/// The newest part of the log, as far as its limit allows. Each shard keeps its own list of the
/// segments, which themselves exist once.
#[derive(Debug)]
pub struct Tail {
    segments: VecDeque<Arc<Segment>>,
    footprint: usize,
    limit: usize,
    /// The place of the signal that comes next.
    next: Seq,
}

/// A place that a reader asked for has left the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftTail;

impl Tail {
    /// An empty tail that begins at this place.
    pub(super) fn new(next: Seq, limit: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            footprint: 0,
            limit,
            next,
        }
    }

    /// The place of the signal that comes next: where a live client stands.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Its segments, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter()
    }

    /// What it takes in memory, in bytes.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// The segments from the one that holds this place to the newest; none if the place is the
    /// head.
    ///
    /// # Errors
    /// The tail begins after this place.
    pub fn from(&self, seq: Seq) -> Result<impl Iterator<Item = &Arc<Segment>>, LeftTail> {
        let index = self
            .segments
            .partition_point(|segment| segment.last() < seq);
        let held = match self.segments.get(index) {
            Some(segment) => segment.first() <= seq,
            None => seq == self.next,
        };
        if held {
            Ok(self.segments.range(index..))
        } else {
            Err(LeftTail)
        }
    }

    /// Takes a new segment at its head and lets go of the oldest beyond the limit.
    pub(super) fn push(&mut self, segment: Arc<Segment>) {
        debug_assert_eq!(segment.first(), self.next, "the log has no gaps");
        self.next = segment.last().next();
        self.footprint += segment.footprint();
        self.segments.push_back(segment);
        // The newest always stays, however large.
        while self.footprint > self.limit && self.segments.len() > 1 {
            self.pop_oldest();
        }
    }

    /// Puts one segment in the place of the newest ones, which hold the same signals.
    pub(super) fn replace_newest(&mut self, joined: Arc<Segment>) {
        while let Some(newest) = self.segments.back()
            && newest.first() >= joined.first()
        {
            self.footprint -= newest.footprint();
            self.segments.pop_back();
        }
        self.footprint += joined.footprint();
        self.segments.push_back(joined);
    }

    fn pop_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            self.footprint -= oldest.footprint();
        }
    }
}
