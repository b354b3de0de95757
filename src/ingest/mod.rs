//! From raw lines to published signals, on two threads: one parses what the sources bring, the
//! other has it recorded and publishes it. Each is alone at its work, so the order in which lines
//! arrive is the order of the log. Neither waits for a client. Signals that come another way, over
//! HTTP, are brought by a `Publisher`, parsed, through the same channel.

mod delivery;
mod finished;
mod heeded;
mod publication;
mod publisher;
mod recorder;
mod recv_within;
mod unrecorded;

use std::error::Error;
use std::mem;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::warn;

use crate::clock;
use crate::dead_letters::{DeadLetter, DeadLetters, DeadLine};
use crate::journal::{Batch, Entry};
use crate::metrics::{Brought, Feeds, Registry};
use crate::signal::{ReceivedAt, Signal};
use crate::source::{Arrival, Lines, Origin, Position, SourceName, States, TooLong};

pub use delivery::{Delivery, Refused};
pub use finished::Finished;
pub use publication::{Publication, Signals};
pub use publisher::{Place, Publisher, Stopped};
pub use recorder::{LogState, Recorder, ToRecorder};
pub use unrecorded::Unrecorded;

use publication::Awaited;
use recv_within::recv_within;

/// Deliveries that wait for ingest: of a source, each up to one read (64 KiB). When they are more,
/// the sources wait, and with them whoever feeds them; so does whoever publishes.
pub const DELIVERIES_CAPACITY: usize = 16;

/// Validates what the sources bring, and hands it to the recorder.
#[derive(Debug)]
pub struct Ingest {
    recorder: ToRecorder,
    dead_letters: DeadLetters,
    max_age: Option<Duration>,
    parsed: Parsed,
    /// The latest time of receipt so far.
    received_at: ReceivedAt,
    sources: States,
    metrics: Feeds,
}

/// What was made of some deliveries: what goes into the log, and what is to be known afterwards.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    batch: Batch,
    /// When the oldest of its lines was read.
    read_at: Option<Instant>,
    /// Signals in it that nobody can bring again.
    irretrievable: u64,
    /// Sources that ended with it.
    ended: Vec<SourceName>,
    /// Entries of the batch that somebody waits for.
    awaited: Vec<Awaited>,
}

/// Signals in one commit, about: it bounds how long a signal waits for those behind it.
const MOST_BATCH: usize = 4096;

/// How often dead letters that wait to be written are thought of while nothing arrives.
const BETWEEN_LETTERS: Duration = Duration::from_millis(200);

impl Ingest {
    /// What brings signals to a recorder. `max_age`: signals that say nothing of how long they are
    /// valid are stale after this time.
    pub fn new(recorder: ToRecorder, dead_letters: DeadLetters, max_age: Option<Duration>) -> Self {
        Self {
            received_at: recorder.received_at,
            recorder,
            dead_letters,
            max_age,
            parsed: Parsed::default(),
            sources: States::new([]),
            metrics: Feeds::new(&Registry::default(), &States::new([])),
        }
    }

    /// Tells there when a source has brought a signal.
    #[must_use]
    pub fn telling(self, sources: States) -> Self {
        Self { sources, ..self }
    }

    /// Counts here.
    #[must_use]
    pub fn counting(self, metrics: Feeds) -> Self {
        Self { metrics, ..self }
    }

    /// Goes on until every source has let go of its end of the channel, or the recorder has ended.
    pub fn run(mut self, mut deliveries: mpsc::Receiver<Delivery>) {
        while let Some(delivery) = self.next(&mut deliveries) {
            self.take(delivery);
            while self.parsed.batch.entries.len() < MOST_BATCH
                && let Ok(delivery) = deliveries.try_recv()
            {
                self.take(delivery);
            }
            // A recorder that is busy makes us wait, and then the sources.
            let parsed = mem::take(&mut self.parsed);
            if self.recorder.batches.send(parsed).is_err() {
                break;
            }
        }
        self.dead_letters.close();
        for (source, count) in self.dead_letters.counts() {
            warn!(%source, count, "lines were refused");
        }
    }

    /// The next one. While dead letters can't be written, they are tried again in between.
    fn next(&mut self, deliveries: &mut mpsc::Receiver<Delivery>) -> Option<Delivery> {
        loop {
            self.dead_letters.retry(Instant::now());
            if !self.dead_letters.are_waiting() {
                return deliveries.blocking_recv();
            }
            if let Some(received) = recv_within(deliveries, BETWEEN_LETTERS) {
                return received;
            }
        }
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Handover(handover) => {
                for arrival in handover.arrivals {
                    self.take_arrival(arrival);
                }
                for bookmark in handover.bookmarks {
                    self.parsed.batch.mark(bookmark);
                }
            }
            Delivery::Publication(publication) => self.take_publication(publication),
            Delivery::Refused(refused) => self.bury(
                &refused.source,
                &refused.position,
                DeadLine::Whole(&refused.line),
                &refused.reason,
            ),
        }
    }

    fn take_publication(&mut self, publication: Publication) {
        let Publication {
            source,
            signals: Signals { signals, room },
            read_at,
            receipts,
        } = publication;
        self.received_at = self.received_at.max(clock::received_now());
        self.parsed.read_at.get_or_insert(read_at);
        let (mut brought, entries) = (Brought::default(), &mut self.parsed.batch.entries);
        let first = entries.len();
        entries.extend(signals.into_iter().map(|signal| {
            brought.count(signal.side());
            Entry {
                signal: signal.with_max_age(self.max_age),
                source: source.clone(),
                received_at: self.received_at,
            }
        }));
        self.parsed.awaited.push(Awaited {
            entries: first..entries.len(),
            receipts,
            _room: room,
        });
        self.metrics.brought(&source, brought, clock::now().get());
    }

    fn take_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Lines(lines) => self.parse(&lines),
            Arrival::TooLong(line) => {
                let TooLong {
                    origin,
                    position,
                    head,
                    length,
                    sha256,
                } = &line;
                let rest = DeadLine::Cut {
                    head,
                    length: *length,
                    sha256,
                };
                self.refuse(origin, position, rest, &line);
            }
            Arrival::Unfinished(line) => {
                let whole = DeadLine::Whole(&line.line);
                self.refuse(&line.origin, &line.position, whole, &line);
            }
            Arrival::Ended(source) | Arrival::Failed(source) => self.parsed.ended.push(source),
        }
    }

    fn parse(&mut self, lines: &Lines) {
        let now = clock::now();
        self.received_at = self.received_at.max(clock::received_now());
        let (mut brought, before) = (Brought::default(), self.parsed.batch.entries.len());
        self.parsed.read_at.get_or_insert(lines.read_at);
        // Growing step by step would copy each entry twice.
        self.parsed.batch.entries.reserve(lines.newlines());
        for (position, line) in lines.iter() {
            match Signal::parse_line(line, lines.origin.unit, now) {
                Ok(Some(signal)) => {
                    brought.count(signal.side());
                    self.parsed.batch.entries.push(Entry {
                        signal: signal.with_max_age(self.max_age),
                        source: lines.origin.source.clone(),
                        received_at: self.received_at,
                    });
                }
                Ok(None) => {}
                Err(why) => {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    self.refuse(&lines.origin, &position, DeadLine::Whole(line), &why);
                }
            }
        }
        let signals = self.parsed.batch.entries.len() - before;
        if signals > 0 {
            self.sources
                .brought(&lines.origin.source, signals as u64, lines.read_at);
        }
        if lines.origin.file.is_none() {
            self.recorder.unrecorded.read(signals as u64);
            self.parsed.irretrievable += signals as u64;
        }
        self.metrics
            .brought(&lines.origin.source, brought, now.get());
    }

    fn refuse(
        &mut self,
        origin: &Origin,
        position: &Position,
        line: DeadLine<'_>,
        why: &dyn Error,
    ) {
        self.bury(&origin.source, position, line, &why.to_string());
    }

    fn bury(&mut self, source: &SourceName, position: &Position, line: DeadLine<'_>, reason: &str) {
        let time = jiff::Timestamp::now();
        self.metrics.refused(source);
        self.sources.refused(source);
        self.dead_letters.write(&DeadLetter {
            time,
            source,
            position,
            reason,
            line,
        });
    }
}

impl Parsed {
    /// Takes what comes after it into the same commit.
    fn extend(&mut self, later: Self) {
        let before = self.batch.entries.len();
        let awaited = later.awaited.into_iter();
        self.awaited.extend(awaited.map(|one| one.behind(before)));
        self.batch.extend(later.batch);
        self.read_at = self.read_at.or(later.read_at);
        self.irretrievable += later.irretrievable;
        self.ended.extend(later.ended);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::signal::{TimeUnit, Timestamp};

    /// A few signals, of which somebody waits for the last so many.
    fn parsed(signals: usize, awaited: usize) -> Parsed {
        let signal = Signal::parse_line(b"buy X 1", TimeUnit::Seconds, Timestamp::MAX);
        let signal = signal.unwrap().unwrap();
        let awaited = Awaited {
            entries: signals - awaited..signals,
            receipts: oneshot::channel().0,
            _room: None,
        };
        Parsed {
            batch: Batch::of(std::iter::repeat_n(signal, signals)),
            awaited: vec![awaited],
            ..Parsed::default()
        }
    }

    #[test]
    fn whoever_waits_for_signals_waits_for_the_same_ones_in_a_larger_batch() {
        let mut all = parsed(3, 1);
        all.extend(Parsed::default());
        all.extend(parsed(5, 5));
        all.extend(parsed(4, 2));
        let awaited = all.awaited.into_iter().map(|one| one.entries);
        assert!(awaited.eq([2..3, 3..8, 10..12]));
        assert_eq!(all.batch.entries.len(), 12);
    }
}
