use std::collections::{HashSet, VecDeque};

use super::made_ids::MadeIds;
use super::{Appended, Archive, Batch, Epoch, Journal, JournalError, Recorded, Tended};
use crate::signal::{Id, ReceivedAt, Seq, Signal};
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
    given: HashSet<Id>,
    given_in_order: VecDeque<Id>,
}

/// Ids remembered: about 100 MB at the longest ids, hours of a busy feed.
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
            given: HashSet::new(),
            given_in_order: VecDeque::new(),
        }
    }

    fn is_duplicate(&mut self, signal: &Signal) -> bool {
        let Some(id) = signal.id() else { return false };
        if !self.given.insert(*id) {
            return true;
        }
        self.given_in_order.push_back(*id);
        if self.given_in_order.len() > REMEMBERED_IDS
            && let Some(oldest) = self.given_in_order.pop_front()
        {
            self.given.remove(&oldest);
        }
        false
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
            duplicates: 0,
        };
        batch.bookmarks.clear();
        for entry in batch.entries.drain(..) {
            if self.is_duplicate(&entry.signal) {
                appended.duplicates += 1;
                continue;
            }
            let seq = self.head.map_or(Seq::FIRST, Seq::next);
            self.head = Some(seq);
            self.newest_received_at = Some(entry.received_at);
            let given = entry.signal.id().copied();
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
    use crate::signal::{TimeUnit, Timestamp};

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
        assert_eq!(second.duplicates, 1);
        assert_eq!(journal.head(), Seq::new(3));
    }
}
