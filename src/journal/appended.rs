use std::ops::Range;

use super::Recorded;
use crate::signal::{Id, Seq};

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Appended {
    /// The new signals, their seqs without gaps.
    pub recorded: Vec<Recorded>,
    /// Those that were left out because the log holds their id already, in order.
    pub duplicates: Vec<Duplicate>,
}

/// An entry of a batch that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its place in the batch; the first one is 0.
    pub entry: usize,
    /// Its id.
    pub id: Id,
    /// The place in the log of the signal that had this id first.
    pub seq: Seq,
}

/// What became of one signal: told to whoever published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the log; of a duplicate, that of the first one.
    pub seq: Seq,
    /// The id that it was given, or that was made for it.
    pub id: Id,
    /// Whether the log held its id already, so that it was left out.
    pub is_duplicate: bool,
}

impl Appended {
    /// A receipt for each of these entries of the batch, in order.
    ///
    /// # Panics
    /// The batch had fewer entries.
    pub fn receipts(&self, entries: Range<usize>) -> Vec<Receipt> {
        let left_out = |end| self.duplicates.partition_point(|one| one.entry < end);
        let (first, last) = (left_out(entries.start), left_out(entries.end));
        let mut duplicates = self.duplicates[first..last].iter().peekable();
        let mut recorded = self.recorded[entries.start - first..entries.end - last].iter();
        let receipt = |entry| match duplicates.next_if(|one| one.entry == entry) {
            Some(one) => Receipt {
                seq: one.seq,
                id: one.id,
                is_duplicate: true,
            },
            None => recorded
                .next()
                .expect("what was not left out was recorded")
                .into(),
        };
        entries.map(receipt).collect()
    }
}

impl From<&Recorded> for Receipt {
    fn from(recorded: &Recorded) -> Self {
        Self {
            seq: recorded.seq(),
            id: *recorded.id(),
            is_duplicate: false,
        }
    }
}
