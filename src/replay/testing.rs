//! A log for tests, in memory.

use crate::journal::{Batch, Entry, Journal, Memory, ReadError, Reader, Recorded};
use crate::signal::{ReceivedAt, Seq, Signal, TimeUnit, Timestamp};

/// Signals that follow each other, the older ones gone.
pub(super) struct Shelf(Vec<Recorded>);

impl Shelf {
    /// From this seq on, a signal received at each of these seconds.
    pub(super) fn of(first: u64, seconds: &[i64]) -> Self {
        let now = Timestamp::new(0).unwrap();
        let line = r#"{"side":"buy","symbol":"A","price":1,"valid_for":5}"#;
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now);
        let signal = signal.unwrap().unwrap();
        let gone = (1..first).map(|_| 0);
        let entries = gone.chain(seconds.iter().copied()).map(|second| Entry {
            signal: signal.clone(),
            source: "test".into(),
            received_at: ReceivedAt::from_micros(second * 1_000_000),
        });
        let mut batch = Batch {
            entries: entries.collect(),
            ..Batch::default()
        };
        let mut recorded = Memory::new().append(&mut batch).unwrap().recorded;
        recorded.retain(|recorded| recorded.seq().get() >= first);
        Self(recorded)
    }

    pub(super) fn bounds(&self) -> (Seq, Seq) {
        (self.0[0].seq(), self.0[self.0.len() - 1].seq())
    }
}

impl Reader for Shelf {
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError> {
        let (oldest, _) = self.bounds();
        if from < oldest {
            return Err(ReadError::Gone { oldest });
        }
        let later = self.0.iter().filter(|recorded| recorded.seq() >= from);
        Ok(later.take(most).cloned().collect())
    }

    fn received_since(&mut self, at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        let (oldest, _) = self.bounds();
        if oldest > Seq::FIRST && at <= self.0[0].received_at() {
            return Err(ReadError::Gone { oldest });
        }
        let found = self.0.iter().find(|recorded| recorded.received_at() >= at);
        Ok(found.map(Recorded::seq))
    }
}
