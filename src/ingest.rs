//! From raw lines to published signals. One thread does it, so the order in which lines arrive is
//! the order of the log. It never waits for a client.

use std::collections::HashSet;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::clock;
use crate::dead_letters::{DeadLetter, DeadLetters, DeadLine};
use crate::hub::Hub;
use crate::journal::{Appended, Journal};
use crate::signal::Signal;
use crate::source::{Arrival, Lines, Origin, Position, SourceName, TooLong};

/// Arrivals that wait for ingest, each up to one read of a source (64 KiB). When they are more,
/// the sources wait, and with them whoever feeds them.
pub const ARRIVALS_CAPACITY: usize = 16;

/// Validates what the sources bring, has it recorded, and publishes it.
#[derive(Debug)]
pub struct Ingest<J> {
    journal: J,
    hub: Hub,
    dead_letters: DeadLetters,
    max_age: Option<Duration>,
    batch: Vec<Signal>,
    duplicates: u64,
    ended: watch::Sender<HashSet<SourceName>>,
}

/// Signals in one commit at most: it bounds how long a signal waits for those behind it.
const MOST_BATCH: usize = 4096;

/// Between two tries to write a log that cannot be written.
const JOURNAL_RETRY: Duration = Duration::from_millis(200);

impl<J: Journal> Ingest<J> {
    /// `max_age`: signals that say nothing of how long they are valid are stale after this time.
    pub fn new(journal: J, hub: Hub, dead_letters: DeadLetters, max_age: Option<Duration>) -> Self {
        let (batch, ended) = (Vec::new(), watch::Sender::default());
        Self {
            journal,
            hub,
            dead_letters,
            max_age,
            batch,
            duplicates: 0,
            ended,
        }
    }

    /// The finite sources that have ended, all they brought being published.
    pub fn ended(&self) -> watch::Receiver<HashSet<SourceName>> {
        self.ended.subscribe()
    }

    /// Goes on until every source has let go of its end of the channel. Whatever has arrived in
    /// the meantime goes into one commit, so batches grow with the load.
    pub fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = arrivals.blocking_recv() {
            // A feed faster than the shards waits here, and what has arrived in its channel.
            self.hub.wait_for_shards();
            self.take(arrival);
            while self.batch.len() < MOST_BATCH
                && let Ok(arrival) = arrivals.try_recv()
            {
                self.take(arrival);
            }
            self.commit();
        }
        for (source, count) in self.dead_letters.counts() {
            warn!(%source, count, "lines were refused");
        }
        if self.duplicates > 0 {
            info!(
                duplicates = self.duplicates,
                "signals with an id that the log holds were dropped"
            );
        }
    }

    fn take(&mut self, arrival: Arrival) {
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
            Arrival::Ended(source) | Arrival::Failed(source) => {
                // What came before it must be published by the time anybody hears of the end.
                self.commit();
                self.ended.send_modify(|ended| _ = ended.insert(source));
            }
        }
    }

    fn parse(&mut self, lines: &Lines) {
        let received_at = clock::now();
        for (position, line) in lines.iter() {
            match Signal::parse_line(line, lines.origin.unit, received_at) {
                Ok(Some(signal)) => self.batch.push(signal.with_max_age(self.max_age)),
                Ok(None) => {}
                Err(why) => {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    self.refuse(&lines.origin, &position, DeadLine::Whole(line), &why);
                }
            }
        }
    }

    fn refuse(
        &mut self,
        origin: &Origin,
        position: &Position,
        line: DeadLine<'_>,
        why: &dyn Error,
    ) {
        let (time, reason) = (jiff::Timestamp::now(), why.to_string());
        let (source, reason) = (&origin.source, reason.as_str());
        self.dead_letters.write(&DeadLetter {
            time,
            source,
            position,
            reason,
            line,
        });
    }

    /// Durable first, broadcast second. A log that cannot be written makes everything wait.
    fn commit(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut failing_since = None;
        let Appended {
            recorded,
            duplicates,
        } = loop {
            match self.journal.append(&mut self.batch) {
                Ok(appended) => break appended,
                Err(why) => {
                    if failing_since.is_none() {
                        error!(%why, "signals wait until the log can be written");
                    }
                    failing_since.get_or_insert_with(Instant::now);
                    thread::sleep(JOURNAL_RETRY);
                }
            }
        };
        if let Some(since) = failing_since {
            info!(
                seconds = since.elapsed().as_secs(),
                "the log can be written again"
            );
        }
        self.duplicates += duplicates as u64;
        self.hub.publish(&recorded);
    }
}
