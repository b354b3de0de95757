use std::collections::VecDeque;
use std::ops::Range;

/// The numbers that a client should have had before those it has.
#[derive(Debug, Default)]
pub(super) struct Gaps(VecDeque<Range<u64>>);

/// How many of them are kept, the newest. Where a filter leaves out most numbers there is one before
/// each message, and a repeat so far back would be rare.
const MOST: usize = 1024;

impl Gaps {
    /// Adds one, of higher numbers than those before.
    pub(super) fn add(&mut self, gap: Range<u64>) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(gap);
    }

    /// Takes a number out; whether it was there.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let Some(at) = self.0.iter().position(|gap| gap.contains(&number)) else {
            return false;
        };
        let Range { start, end } = self.0[at].clone();
        self.0.remove(at);
        for part in [number + 1..end, start..number] {
            if !part.is_empty() {
                self.0.insert(at, part);
            }
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_can_be_taken_out_once() {
        let mut gaps = Gaps::default();
        gaps.add(3..6);
        gaps.add(8..9);
        assert!(gaps.remove(4));
        assert!(!gaps.remove(4));
        assert!(!gaps.remove(7));
        assert!(gaps.remove(8));
        assert_eq!(gaps.iter().cloned().collect::<Vec<_>>(), [3..4, 5..6]);
    }
}
