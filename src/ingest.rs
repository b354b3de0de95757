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
use crate::metrics::{Brought, Feeds, Registry};
use crate::signal::Signal;
use crate::source::{Arrival, Lines, Origin, Position, SourceName, States, TooLong};

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
    /// When the oldest line of the batch was read.
    read_at: Option<Instant>,
    duplicates: u64,
    ended: watch::Sender<HashSet<SourceName>>,
    log: watch::Sender<LogState>,
    metrics: Feeds,
}

/// Whether signals get into the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogState {
    /// The last batch was recorded.
    #[default]
    Writable,
    /// A batch could not be recorded; it is tried again, and signals wait.
    Failing,
}

/// Signals in one commit at most: it bounds how long a signal waits for those behind it.
const MOST_BATCH: usize = 4096;

/// Between two tries to write a log that cannot be written.
const JOURNAL_RETRY: Duration = Duration::from_millis(200);

impl<J: Journal> Ingest<J> {
    /// `max_age`: signals that say nothing of how long they are valid are stale after this time.
    pub fn new(journal: J, hub: Hub, dead_letters: DeadLetters, max_age: Option<Duration>) -> Self {
        let (batch, ended) = (Vec::new(), watch::Sender::default());
        let metrics = Feeds::new(&Registry::default(), &States::new([]));
        Self {
            journal,
            hub,
            dead_letters,
            max_age,
            batch,
            read_at: None,
            duplicates: 0,
            ended,
            log: watch::Sender::default(),
            metrics,
        }
    }

    /// Counts here.
    #[must_use]
    pub fn counting(self, metrics: Feeds) -> Self {
        Self { metrics, ..self }
    }

    /// Whether the log can be written, as it changes.
    pub fn log(&self) -> watch::Receiver<LogState> {
        self.log.subscribe()
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
        let mut brought = Brought::default();
        self.read_at.get_or_insert(lines.read_at);
        for (position, line) in lines.iter() {
            match Signal::parse_line(line, lines.origin.unit, received_at) {
                Ok(Some(signal)) => {
                    brought.count(signal.side());
                    self.batch.push(signal.with_max_age(self.max_age));
                }
                Ok(None) => {}
                Err(why) => {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    self.refuse(&lines.origin, &position, DeadLine::Whole(line), &why);
                }
            }
        }
        self.metrics
            .brought(&lines.origin.source, brought, received_at.get());
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
        self.metrics.refused(source);
        self.dead_letters.write(&DeadLetter {
            time,
            source,
            position,
            reason,
            line,
        });
    }

    /// Durable first, broadcast second.
    fn commit(&mut self) {
        let read_at = self.read_at.take();
        if self.batch.is_empty() {
            return;
        }
        let Appended {
            recorded,
            duplicates,
        } = self.record();
        self.duplicates += duplicates as u64;
        self.hub
            .publish(&recorded, read_at.unwrap_or_else(Instant::now));
    }

    /// A log that cannot be written makes everything wait.
    fn record(&mut self) -> Appended {
        let mut failing_since = None;
        let (appended, took) = loop {
            let start = Instant::now();
            match self.journal.append(&mut self.batch) {
                Ok(appended) => break (appended, start.elapsed()),
                Err(why) => {
                    self.metrics.not_recorded();
                    if failing_since.is_none() {
                        error!(%why, "signals wait until the log can be written");
                        self.log.send_replace(LogState::Failing);
                    }
                    failing_since.get_or_insert_with(Instant::now);
                    thread::sleep(JOURNAL_RETRY);
                }
            }
        };
        if let Some(since) = failing_since {
            self.metrics.writable_again();
            self.log.send_replace(LogState::Writable);
            info!(
                seconds = since.elapsed().as_secs(),
                "the log can be written again"
            );
        }
        self.metrics.recorded(took, appended.duplicates as u64);
        appended
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::journal::{Epoch, JournalError, Memory};
    use crate::signal::{Seq, TimeUnit};

    /// A log on a disk that is full until somebody makes room.
    struct Full {
        log: Memory,
        full: Arc<AtomicBool>,
    }

    impl Journal for Full {
        fn epoch(&self) -> Epoch {
            self.log.epoch()
        }

        fn head(&self) -> Option<Seq> {
            self.log.head()
        }

        fn append(&mut self, batch: &mut Vec<Signal>) -> Result<Appended, JournalError> {
            if self.full.load(Ordering::Relaxed) {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
            self.log.append(batch)
        }
    }

    #[tokio::test]
    async fn while_the_log_cannot_be_written_signals_wait_and_everybody_can_see_it() {
        let folder = tempfile::tempdir().unwrap();
        let dead_letters = DeadLetters::open(folder.path().join("dead"), 1 << 20).unwrap();
        let (hub, _followers) = Hub::new(None, 1 << 20, 1);
        let full = Arc::new(AtomicBool::new(true));
        let journal = Full {
            log: Memory::new(),
            full: Arc::clone(&full),
        };
        let (registry, mut head) = (Registry::on(), hub.head());
        let ingest = Ingest::new(journal, hub, dead_letters, None)
            .counting(Feeds::new(&registry, &States::new(["stdin".into()])));
        let mut log = ingest.log();
        assert_eq!(*log.borrow(), LogState::Writable);
        let (arrivals, arriving) = mpsc::channel(1);
        let thread = thread::spawn(|| ingest.run(arriving));
        let origin = Origin {
            source: "stdin".into(),
            file: None,
            unit: TimeUnit::Seconds,
        };
        let lines = Lines {
            origin,
            first_line: 1,
            first_offset: 0,
            read_at: Instant::now(),
            bytes: b"buy X 1\n".to_vec(),
        };
        arrivals.send(Arrival::Lines(lines)).await.unwrap();

        log.wait_for(|log| *log == LogState::Failing).await.unwrap();
        assert!(
            registry
                .render()
                .contains("signalcast_journal_writable 0\n")
        );
        assert_eq!(*head.borrow(), None);
        full.store(false, Ordering::Relaxed);
        head.wait_for(|head| *head == Some(Seq::FIRST))
            .await
            .unwrap();
        assert_eq!(*log.borrow(), LogState::Writable);
        drop(arrivals);
        thread.join().unwrap();
        let text = registry.render();
        assert!(text.contains("signalcast_journal_writable 1\n"), "{text}");
        assert!(
            !text.contains("signalcast_journal_failures_total 0\n"),
            "{text}"
        );
        assert!(
            text.contains("signalcast_journal_commit_seconds_count 1\n"),
            "{text}"
        );
    }
}
