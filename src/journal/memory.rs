use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::made_ids::MadeIds;
use super::{Appended, Archive, Batch, Duplicate, Epoch, Journal, JournalError, Recorded, Tended};
use crate::signal::{Id, ReceivedAt, Seq};
use crate::source::{Bookmark, SourceName};

/// A log that lives and dies with the process: `--journal none`.
///
/// It keeps no signals (the hub's hot tail is all the history there is), only the next seq and
/// the ids that sources gave to the newest signals.
#[derive(Debug)]
pub struct Memory {
    epoch: Epoch,
    head: Option<Seq>,
    newest_received_at: Option<ReceivedAt>,
    made_ids: MadeIds,
    given: HashMap<Id, Seq>,
    given_in_order: VecDeque<Id>,
    most_remembered: usize,
}

/// Ids remembered: about 140 MB, hours of a busy feed.
const REMEMBERED_IDS: usize = 1_000_000;

impl Memory {
    /// An empty log that begins now.
    #[expect(
        clippy::new_without_default,
        reason = "it reads the clock and draws a random epoch"
    )]
    pub fn new() -> Self {
        Self {
            epoch: Epoch::begin(),
            head: None,
            newest_received_at: None,
            made_ids: MadeIds::new(),
            given: HashMap::new(),
            given_in_order: VecDeque::new(),
            most_remembered: REMEMBERED_IDS,
        }
    }

    /// The place of the signal that was given this id before; otherwise remembers that it is here.
    fn first_of(&mut self, id: Id, seq: Seq) -> Option<Seq> {
        match self.given.entry(id) {
            Entry::Occupied(first) => return Some(*first.get()),
            Entry::Vacant(place) => place.insert(seq),
        };
        self.given_in_order.push_back(id);
        if self.given_in_order.len() > self.most_remembered
            && let Some(oldest) = self.given_in_order.pop_front()
        {
            self.given.remove(&oldest);
        }
        None
    }
}

impl Journal for Memory {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Option<Seq> {
        self.head
    }

    fn newest_received_at(&self) -> Option<ReceivedAt> {
        self.newest_received_at
    }

    fn bookmarks(&self, _: &SourceName) -> Result<Option<Vec<Bookmark>>, JournalError> {
        Ok(None)
    }

    fn append(&mut self, batch: &mut Batch) -> Result<Appended, JournalError> {
        let mut appended = Appended {
            recorded: Vec::with_capacity(batch.entries.len()),
            duplicates: Vec::new(),
        };
        batch.bookmarks.clear();
        for (place, entry) in batch.entries.drain(..).enumerate() {
            let seq = self.head.map_or(Seq::FIRST, Seq::next);
            let given = entry.signal.id().copied();
            if let Some(id) = given
                && let Some(first) = self.first_of(id, seq)
            {
                appended.duplicates.push(Duplicate {
                    entry: place,
                    id,
                    seq: first,
                });
                continue;
            }
            self.head = Some(seq);
            self.newest_received_at = Some(entry.received_at);
            let id = given.unwrap_or_else(|| self.made_ids.make(entry.received_at));
            appended.recorded.push(Recorded::of(entry, seq, id));
        }
        Ok(appended)
    }

    fn tend(&mut self) -> Result<Tended, JournalError> {
        Ok(Tended::Done)
    }

    fn archive(&self) -> Result<Option<Archive>, JournalError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Signal, TimeUnit, Timestamp};

    fn signal(line: &str) -> Signal {
        let now = Timestamp::new(1_720_000_000).unwrap();
        Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn seqs_have_no_gaps_and_a_repeated_id_is_dropped() {
        let mut journal = Memory::new();
        let with_id = r#"{"id":"a","side":"buy","symbol":"X","price":1}"#;
        let plain = "buy X 1";
        let first = journal
            .append(&mut Batch::of([signal(with_id), signal(plain)]))
            .unwrap();
        let second = journal
            .append(&mut Batch::of([signal(with_id), signal(plain)]))
            .unwrap();

        let seqs = |appended: &Appended| -> Vec<u64> {
            appended
                .recorded
                .iter()
                .map(|recorded| recorded.seq().get())
                .collect()
        };
        assert_eq!(seqs(&first), [1, 2]);
        assert_eq!(seqs(&second), [3]);
        let duplicate = Duplicate {
            entry: 0,
            id: "a".parse().unwrap(),
            seq: Seq::FIRST,
        };
        assert_eq!(second.duplicates, [duplicate]);
        assert_eq!(journal.head(), Seq::new(3));
    }

    #[test]
    fn the_oldest_id_is_forgotten_when_there_are_too_many() {
        let mut journal = Memory {
            most_remembered: 3,
            ..Memory::new()
        };
        let mut append = |id: &str| {
            let line = format!(r#"{{"id":"{id}","side":"buy","symbol":"X","price":1}}"#);
            let appended = journal.append(&mut Batch::of([signal(&line)])).unwrap();
            let receipt = appended.receipts(0..1)[0];
            (receipt.seq.get(), receipt.is_duplicate)
        };
        let told = ["a", "b", "c", "a", "d", "b", "a"].map(&mut append);
        let expected = [(1, false), (2, false), (3, false), (1, true), (4, false)];
        assert_eq!(told[..5], expected);
        assert_eq!(told[5..], [(2, true), (5, false)]);
    }
}
