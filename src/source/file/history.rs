use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};

/// What was read of a file since it was begun: enough to know a copy of it by, also when the file
/// itself was begun anew.
///
/// The first kilobyte is kept, of the rest a running hash, and what the hash was at some points on
/// the way. At most about 2 KiB, however long the file. The hash costs a third of a nanosecond a
/// byte.
#[derive(Clone, Debug)]
pub(super) struct History {
    head: Vec<u8>,
    length: u64,
    hash: DefaultHasher,
    /// The hash at each multiple of `spacing`.
    marks: Vec<u64>,
    spacing: u64,
    /// Its last bytes, once it is over.
    last: Tail,
    /// Nothing but the first and the last bytes and the length is known of it.
    is_outline: bool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            head: Vec::new(),
            length: 0,
            hash: DefaultHasher::new(),
            marks: Vec::new(),
            spacing: FIRST_SPACING,
            last: Tail::default(),
            is_outline: false,
        }
    }
}

impl History {
    /// Of a file that was begun anew before what stood in it could be looked at.
    pub(super) fn outline(head: Vec<u8>, tail: Tail, length: u64) -> Self {
        Self {
            head,
            length,
            last: tail,
            is_outline: true,
            ..Self::default()
        }
    }

    /// Nothing is added to it any more; these are its last bytes.
    pub(super) fn end(mut self, tail: &Tail) -> Self {
        self.last = tail.clone();
        self
    }

    /// Its last bytes, once it is over.
    pub(super) fn last(&self) -> &Tail {
        &self.last
    }

    /// Bytes read since the file was begun.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The first of them.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        while !bytes.is_empty() {
            let to_mark = self.spacing - self.length % self.spacing;
            let piece = usize::try_from(to_mark).map_or(bytes.len(), |most| most.min(bytes.len()));
            self.hash.write(&bytes[..piece]);
            self.length += piece as u64;
            bytes = &bytes[piece..];
            if self.length.is_multiple_of(self.spacing) {
                self.mark();
            }
        }
    }

    /// Whether both are the same as far as both go. When one is longer and both are longer than
    /// the head, what stands after the last common mark is not compared. `tail` is the end of this
    /// one.
    pub(super) fn agrees_with(&self, tail: &Tail, other: &Self) -> bool {
        let shorter = self.length.min(other.length);
        let heads = self.head.len().min(other.head.len());
        if self.head[..heads] != other.head[..heads] {
            return false;
        }
        if shorter <= heads as u64 {
            return true;
        }
        if other.is_outline {
            return self.length != other.length || *tail == other.last;
        }
        if self.length == other.length {
            return self.hash.finish() == other.hash.finish();
        }
        let common = shorter - shorter % self.spacing.max(other.spacing);
        self.mark_at(common) == other.mark_at(common)
    }

    fn mark(&mut self) {
        self.marks.push(self.hash.finish());
        if self.marks.len() == MOST_MARKS {
            self.spacing *= 2;
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
    }

    /// None at the start of the file.
    fn mark_at(&self, length: u64) -> Option<u64> {
        let number = usize::try_from(length / self.spacing).ok()?;
        self.marks.get(number.checked_sub(1)?).copied()
    }
}

/// The last bytes before a cursor, by which it is known again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(TAIL_BYTES);
        self.0.drain(..excess);
        self.0.extend(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let (first, second) = self.0.as_slices();
        [first, second].concat()
    }

    /// Whether these are its first bytes.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        bytes.len() <= self.0.len() && self.0.iter().zip(bytes).all(|(a, b)| a == b)
    }
}

impl From<&[u8]> for Tail {
    fn from(bytes: &[u8]) -> Self {
        let mut tail = Self::default();
        tail.push(bytes);
        tail
    }
}

/// Bytes of a file that are compared one by one: more than a header line that feeds of one
/// strategy have in common.
pub(super) const HEAD_BYTES: usize = 1024;

/// Bytes before a cursor by which it is known.
pub(super) const TAIL_BYTES: usize = 256;

/// Bytes between two marks at first; doubles whenever there are too many marks.
const FIRST_SPACING: u64 = 256;

/// When there are so many, every second one is dropped.
const MOST_MARKS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn history(bytes: &[u8], piece: usize) -> History {
        let mut history = History::default();
        bytes.chunks(piece).for_each(|piece| history.push(piece));
        history
    }

    fn tail(bytes: &[u8]) -> Tail {
        let mut tail = Tail::default();
        tail.push(bytes);
        tail
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length)
            .map(|n| (n * n / 7 + n).to_le_bytes()[0])
            .collect()
    }

    #[test]
    fn it_is_the_same_in_whatever_pieces_it_was_read() {
        let bytes = bytes(300_000);
        let whole = history(&bytes, bytes.len());
        for piece in [1, 7, 256, 65_536] {
            let pieces = history(&bytes, piece);
            assert_eq!(pieces.marks, whole.marks);
            assert!(pieces.agrees_with(&tail(&bytes), &whole));
        }
        assert!(whole.marks.len() < MOST_MARKS && whole.head.len() == HEAD_BYTES);
    }

    #[test]
    fn a_beginning_agrees_and_another_one_does_not() {
        let whole = bytes(100_000);
        let all = history(&whole, 4096);
        let agrees = |part: &[u8]| history(part, 1000).agrees_with(&tail(part), &all);
        for length in [0, 1, 256, 1023, 1024, 1025, 5000, 65_536, 99_999, 100_000] {
            let mut part = whole[..length].to_vec();
            assert!(agrees(&part), "{length}");
            if length > 0 {
                part[length / 2] ^= 1;
                assert!(!agrees(&part), "{length}");
            }
        }
    }

    #[test]
    fn an_outline_is_known_by_its_head_and_its_tail() {
        let whole = bytes(10_000);
        let all = History::outline(whole[..HEAD_BYTES].to_vec(), tail(&whole), 10_000);
        let agrees = |part: &[u8]| history(part, 1000).agrees_with(&tail(part), &all);
        for offset in [0, HEAD_BYTES - 1, 9_999, 10_000 - TAIL_BYTES] {
            let mut other = whole.clone();
            assert!(agrees(&other) && agrees(&other[..5000]));
            other[offset] ^= 1;
            assert!(!agrees(&other));
        }
    }

    #[test]
    fn a_tail_is_the_last_bytes() {
        let bytes = bytes(1000);
        for piece in [1, 100, 255, 256, 257, 1000] {
            let mut tail = Tail::default();
            bytes.chunks(piece).for_each(|piece| tail.push(piece));
            assert_eq!(tail.len(), TAIL_BYTES);
            assert!(tail.begins_with(&bytes[1000 - TAIL_BYTES..]));
            assert!(!tail.begins_with(&bytes[1000 - TAIL_BYTES - 1..]));
        }
    }
}
