use std::collections::HashSet;
use std::mem::discriminant;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tracing::{error, info};

use super::heeded::Heeded;
use super::{Finished, MOST_BATCH, Parsed, Unrecorded};
use crate::crash;
use crate::halt::{Position, Switch};
use crate::hub::Hub;
use crate::journal::{Journal, JournalError, Tended};
use crate::metrics::{Commits, Registry};
use crate::signal::{ReceivedAt, Seq};
use crate::source::SourceName;

/// The journal's thread: has batches recorded and publishes them. Durable first, broadcast second.
///
/// Whatever has arrived in the meantime goes into one commit, so batches grow with the load.
pub struct Recorder {
    journal: Box<dyn Journal>,
    hub: Hub,
    arriving: Receiver<Parsed>,
    halts: Heeded,
    /// Rung when the halt switch is thrown.
    bell: Arc<Notify>,
    duplicates: u64,
    ended: watch::Sender<HashSet<SourceName>>,
    log: watch::Sender<LogState>,
    unrecorded: Unrecorded,
    metrics: Commits,
}

/// The way to the recorder: where ingest hands on what it has parsed.
#[derive(Debug)]
pub struct ToRecorder {
    /// Whoever else has a part in it only wakes the recorder: ingest's end is its end.
    pub(super) batches: Arc<SyncSender<Parsed>>,
    /// When the newest signal of the log was received.
    pub(super) received_at: ReceivedAt,
    pub(super) unrecorded: Unrecorded,
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

/// Batches that wait for the recorder. When they are more, ingest waits.
const BATCHES_CAPACITY: usize = 2;

/// Between two tries to write a log that cannot be written.
const JOURNAL_RETRY: Duration = Duration::from_millis(200);

/// How often the journal may tend to what is not urgent while nothing arrives.
const BETWEEN_TENDING: Duration = Duration::from_secs(1);

impl Recorder {
    /// Records in this journal and publishes on this hub what comes that way.
    pub fn new(journal: Box<dyn Journal>, hub: Hub) -> (Self, ToRecorder) {
        let (batches, arriving) = sync_channel(BATCHES_CAPACITY);
        let received_at = journal.newest_received_at();
        let unrecorded = Unrecorded::default();
        let to_recorder = ToRecorder {
            batches: Arc::new(batches),
            received_at: received_at.unwrap_or(ReceivedAt::MIN),
            unrecorded: unrecorded.clone(),
        };
        let recorder = Self {
            journal,
            hub,
            arriving,
            halts: Heeded::of(Switch::unkept()),
            bell: Arc::default(),
            duplicates: 0,
            ended: watch::Sender::default(),
            log: watch::Sender::default(),
            unrecorded,
            metrics: Commits::new(&Registry::default()),
        };
        (recorder, to_recorder)
    }

    /// Counts here.
    #[must_use]
    pub fn counting(self, metrics: Commits) -> Self {
        Self { metrics, ..self }
    }

    /// Does what this switch says, now and whenever it is thrown.
    #[must_use]
    pub fn heeding(mut self, switch: Switch, to_recorder: &ToRecorder) -> Self {
        let batches = Arc::downgrade(&to_recorder.batches);
        let bell = Arc::clone(&self.bell);
        switch.when_thrown(move || {
            if let Some(batches) = batches.upgrade() {
                // When it is full the recorder is awake.
                batches.try_send(Parsed::default()).ok();
            }
            // It may have finished.
            bell.notify_one();
        });
        self.halts = Heeded::of(switch);
        self.heed();
        self
    }

    /// Whether the log can be written, as it changes.
    pub fn log(&self) -> watch::Receiver<LogState> {
        self.log.subscribe()
    }

    /// What would be lost if the process ended now.
    pub fn unrecorded(&self) -> Unrecorded {
        self.unrecorded.clone()
    }

    /// The finite sources that have ended, all they brought being published.
    pub fn ended(&self) -> watch::Receiver<HashSet<SourceName>> {
        self.ended.subscribe()
    }

    /// Goes on until everybody who brings signals has ended. Returns what there is still to do: as
    /// long as clients are taking what was published, that may be stopped.
    pub fn run(mut self) -> Finished {
        let mut patience = BETWEEN_TENDING;
        loop {
            match self.arriving.recv_timeout(patience) {
                Ok(mut parsed) => {
                    // A feed faster than the shards waits here, and what has arrived in its
                    // channel.
                    self.hub.wait_for_shards();
                    while parsed.batch.entries.len() < MOST_BATCH
                        && let Ok(later) = self.arriving.try_recv()
                    {
                        parsed.extend(later);
                    }
                    self.commit(parsed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            patience = self.tend();
        }
        if self.duplicates > 0 {
            info!(
                duplicates = self.duplicates,
                "signals with an id that the log holds were dropped"
            );
        }
        let next = self.next();
        Finished::new(self.hub, self.halts, next, self.bell)
    }

    fn commit(&mut self, parsed: Parsed) {
        let Parsed {
            mut batch,
            read_at,
            irretrievable,
            ended,
            awaited,
        } = parsed;
        if !batch.is_empty() {
            crash::point("before_commit");
            let start = Instant::now();
            let appended = self.insist(|journal, position| {
                if position == Position::Halted {
                    batch.make_void();
                }
                journal.append(&mut batch)
            });
            crash::point("after_commit");
            self.unrecorded.recorded(irretrievable);
            let duplicates = appended.duplicates.len() as u64;
            self.metrics.recorded(start.elapsed(), duplicates);
            self.duplicates += duplicates;
            self.hub
                .publish(&appended.recorded, read_at.unwrap_or_else(Instant::now));
            awaited.into_iter().for_each(|one| one.answer(&appended));
        }
        if !ended.is_empty() {
            // What came before it is published by the time anybody hears of the end.
            self.ended.send_modify(|known| known.extend(ended));
        }
    }

    /// Lets the journal do a little of what is not urgent; returns how long it may wait for more.
    fn tend(&mut self) -> Duration {
        match self.insist(|journal, _| journal.tend()) {
            Tended::More => Duration::ZERO,
            Tended::Done => BETWEEN_TENDING,
        }
    }

    /// What was recorded before is published, so what the halt switch says holds for all that is
    /// recorded from now on.
    fn heed(&mut self) {
        if let Some(change) = self.halts.news() {
            let next = self.next();
            self.hub.change(change, next);
        }
    }

    /// The place of what is recorded next.
    fn next(&self) -> Seq {
        self.journal.head().map_or(Seq::FIRST, Seq::next)
    }

    /// A log that cannot be written makes everything wait, but for the halt switch.
    fn insist<T>(
        &mut self,
        mut attempt: impl FnMut(&mut dyn Journal, Position) -> Result<T, JournalError>,
    ) -> T {
        let (mut failing_since, mut said) = (None, HashSet::new());
        let done = loop {
            self.heed();
            match attempt(&mut *self.journal, self.halts.position()) {
                Ok(done) => break done,
                Err(why) => {
                    self.metrics.not_recorded();
                    // Each kind of reason once: what helps against one does not help against another.
                    let is_news = said.insert(discriminant(&why));
                    if failing_since.is_none() {
                        error!(%why, "signals wait until the log can be written");
                        self.log.send_replace(LogState::Failing);
                    } else if is_news {
                        error!(%why, "the log cannot be written for another reason now");
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
        done
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use tokio::sync::mpsc;

    use crate::dead_letters::DeadLetters;
    use crate::ingest::Ingest;
    use crate::journal::{Appended, Archive, Batch, Epoch, Memory};
    use crate::signal::TimeUnit;
    use crate::source::{Arrival, Bookmark, Handover, Lines, Origin};

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

        fn newest_received_at(&self) -> Option<ReceivedAt> {
            self.log.newest_received_at()
        }

        fn bookmarks(&self, source: &SourceName) -> Result<Option<Vec<Bookmark>>, JournalError> {
            self.log.bookmarks(source)
        }

        fn tend(&mut self) -> Result<Tended, JournalError> {
            self.log.tend()
        }

        fn archive(&self) -> Result<Option<Archive>, JournalError> {
            self.log.archive()
        }

        fn append(&mut self, batch: &mut Batch) -> Result<Appended, JournalError> {
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
        let journal = Box::new(Full {
            log: Memory::new(),
            full: Arc::clone(&full),
        });
        let (registry, mut head) = (Registry::on(), hub.head());
        let (recorder, to_recorder) = Recorder::new(journal, hub);
        let recorder = recorder.counting(Commits::new(&registry));
        let ingest = Ingest::new(to_recorder, dead_letters, None);
        let mut log = recorder.log();
        assert_eq!(*log.borrow(), LogState::Writable);
        let (arrivals, arriving) = mpsc::channel(1);
        let threads = [
            thread::spawn(|| ingest.run(arriving)),
            thread::spawn(|| drop(recorder.run())),
        ];
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
        let handover = Handover::from(vec![Arrival::Lines(lines)]);
        arrivals.send(handover.into()).await.unwrap();

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
        for thread in threads {
            thread.join().unwrap();
        }
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
