//! Finds out whether a new file is a copy of one that is followed, as logrotate's `copytruncate`
//! makes, whose lines have been read from the original.
//!
//! A copy may be looked at while it is still being written, before or after its original was
//! begun anew, and have a few lines more or less than what was read of that. So its bytes are
//! withheld for as long as they are what was read of an original, and then
//! - it goes on with lines that the original never had, or has no more: those are its own;
//! - it differs: it is no copy, and read from its start.

use super::file_id::FileId;
use super::followed::{Followed, Original, Suspicion};
use super::history::{HEAD_BYTES, History, Tail};
use super::known::Known;

/// What was found out about the next bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So many of them are the same as in this file. `read`: how long that is.
    Same {
        bytes: usize,
        original: Original,
        read: u64,
    },
    /// All before them is all that was read of these files.
    Beyond(Vec<Original>),
    /// They are the same as in no other file.
    Unlike,
}

impl Known {
    /// Compares the file up to its cursor, and these bytes that follow there, with all others.
    pub(super) fn compare(&self, id: FileId, next: &[u8]) -> Verdict {
        let Some(suspect) = self.files.get(&id) else {
            return Verdict::Unlike;
        };
        let (read, tail) = (suspect.history(), suspect.tail());
        let head = head(read, next);
        let mut best: Option<(usize, Original, u64)> = None;
        let mut beyond = Vec::new();
        for (id, other) in self.files.iter().filter(|(other, _)| **other != id) {
            for (generation, history) in other.histories() {
                if history.length() < LEAST_SAME || !begins_alike(history.head(), &head) {
                    continue;
                }
                let Some(left) = history.length().checked_sub(read.length()) else {
                    continue;
                };
                let bytes = usize::try_from(left).map_or(next.len(), |left| left.min(next.len()));
                let original = Original {
                    id: *id,
                    generation,
                };
                if bytes == 0 && read.agrees_with(tail, history) {
                    beyond.push(original);
                } else if bytes > best.map_or(0, |(most, ..)| most)
                    && goes_on_like((read, tail), &next[..bytes], history)
                    && !differs_now(other, generation, read.length(), &next[..bytes])
                {
                    best = Some((bytes, original, history.length()));
                }
            }
        }
        match best {
            Some((bytes, original, read)) => Verdict::Same {
                bytes,
                original,
                read,
            },
            None if beyond.is_empty() => Verdict::Unlike,
            None => Verdict::Beyond(beyond),
        }
    }

    /// Files that may be what this one begins like, but that were not looked at up to their cursor yet.
    pub(super) fn unread_originals(&self, id: FileId, next: &[u8]) -> Vec<FileId> {
        let Some(suspect) = self.files.get(&id) else {
            return Vec::new();
        };
        let head = head(suspect.history(), next);
        let alike = |(other, file): &(&FileId, &Followed)| {
            **other != id && file.is_uncounted_and_begins_with(&head)
        };
        let alike = self.files.iter().filter(alike);
        alike.map(|(id, _)| *id).collect()
    }

    /// Whether what was read of this original is still known.
    pub(super) fn remembers(&self, original: Original) -> bool {
        let file = self.files.get(&original.id);
        file.is_some_and(|file| {
            file.histories()
                .any(|(generation, _)| generation == original.generation)
        })
    }

    /// Whether a copy of this file is still being read.
    pub(super) fn is_copied(&self, id: FileId) -> bool {
        self.files.values().any(|file| {
            matches!(file.suspicion(), Suspicion::CopyOf { original, .. } if original.id == id)
        })
    }
}

/// The first bytes of a file of which these are the next.
fn head(read: &History, next: &[u8]) -> Vec<u8> {
    let room = HEAD_BYTES - read.head().len();
    [read.head(), &next[..next.len().min(room)]].concat()
}

fn begins_alike(a: &[u8], b: &[u8]) -> bool {
    let shorter = a.len().min(b.len());
    a[..shorter] == b[..shorter]
}

fn goes_on_like((read, tail): (&History, &Tail), next: &[u8], other: &History) -> bool {
    let (mut read, mut tail) = (read.clone(), tail.clone());
    read.push(next);
    tail.push(next);
    read.agrees_with(&tail, other)
}

/// Whether the file has other bytes at this offset. Its history may not tell of the last ones; the
/// file does, for as long as it was not begun anew.
fn differs_now(file: &Followed, generation: u64, offset: u64, bytes: &[u8]) -> bool {
    if generation != file.generation() {
        return false;
    }
    let mut there = vec![0; bytes.len()];
    let same = file.peek(&mut there, offset).map(|_| there == bytes);
    matches!(same, Ok(false)) && matches!(file.is_continued(), Ok(true))
}

/// Fewer bytes are no sign of a copy: a line or two may well be the same.
pub(super) const LEAST_SAME: u64 = 256;
