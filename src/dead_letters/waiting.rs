use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Letters that are yet to be written, in order: one for a moment, many while the disk is full.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    letters: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How much of the first one is written.
    written: usize,
    /// When writing failed for the last time, and how many letters have come since it first did.
    failing: Option<(Instant, u64)>,
}

/// A thousand letters of lines as long as they may be, tens of thousands of usual ones.
const MOST_BYTES: usize = 64 << 20;

/// Between two tries to write them.
pub(super) const BETWEEN_TRIES: Duration = Duration::from_secs(1);

impl Waiting {
    /// Takes one more, unless there are too many.
    pub(super) fn push(&mut self, letter: Vec<u8>) -> bool {
        if self.bytes + letter.len() > MOST_BYTES {
            return false;
        }
        if let Some((_, letters)) = &mut self.failing {
            *letters += 1;
        }
        self.bytes += letter.len();
        self.letters.push_back(letter);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.letters.len()
    }

    /// Whether it is time to write them.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.failing {
            Some((last, _)) => now.saturating_duration_since(last) >= BETWEEN_TRIES,
            None => !self.is_empty(),
        }
    }

    /// What is to be written next.
    pub(super) fn first(&self) -> Option<&[u8]> {
        Some(&self.letters.front()?[self.written..])
    }

    /// So many bytes of the first one were written.
    pub(super) fn written(&mut self, count: usize) {
        self.written += count;
        if let Some(first) = self.letters.front()
            && first.len() == self.written
        {
            self.bytes -= self.written;
            self.written = 0;
            self.letters.pop_front();
        }
    }

    /// Writing failed. Whether that is news.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let letters = self.failing.map(|(_, letters)| letters);
        self.failing = Some((now, letters.unwrap_or(self.letters.len() as u64)));
        letters.is_none()
    }

    /// All were written: how many had to wait for it, if any.
    pub(super) fn over(&mut self) -> Option<u64> {
        self.failing.take().map(|(_, letters)| letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_memory_for_them_is_not_taken_until_some_are_written() {
        let mut waiting = Waiting::default();
        while waiting.push(vec![0; 1 << 20]) {}
        assert_eq!(waiting.count(), MOST_BYTES >> 20);
        let now = Instant::now();
        assert!(waiting.failed(now));
        assert!(!waiting.failed(now), "said a second time");
        assert!(!waiting.is_due(now));
        assert!(waiting.is_due(now + BETWEEN_TRIES));
        waiting.written(1);
        assert_eq!(waiting.first().unwrap().len(), (1 << 20) - 1);
        assert!(!waiting.push(vec![0; 1 << 20]));
        waiting.written((1 << 20) - 1);
        assert!(waiting.push(vec![0; 1 << 20]));
        assert_eq!(waiting.over(), Some(MOST_BYTES as u64 / (1 << 20) + 1));
        assert_eq!(waiting.over(), None);
    }
}
