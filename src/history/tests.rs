use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use futures::future::{join_all, poll_immediate};
use tokio::time::timeout;

use super::*;
use crate::clock;
use crate::journal::{Batch, Journal, MOST_READ_BYTES, Memory, Recorded};
use crate::signal::{Signal, TimeUnit};

/// A log in memory that can be made to hang, to fail, and to forget.
struct Kept {
    log: Arc<Vec<Recorded>>,
    /// Bytes of each signal's extras.
    extra: usize,
    oldest: Oldest,
    reads: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    /// If there, each read waits for one word.
    gate: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
}

impl Kept {
    /// So many signals, their lines with this many bytes of extras.
    fn new(signals: usize, extra: usize) -> Self {
        let line = format!(
            r#"{{"side":"buy","symbol":"X","price":1,"note":"{}"}}"#,
            "x".repeat(extra)
        );
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, clock::now());
        let signal = signal.unwrap().unwrap();
        let mut batch = Batch::of(std::iter::repeat_n(signal, signals));
        Self {
            log: Arc::new(Memory::new().append(&mut batch).unwrap().recorded),
            extra,
            oldest: Oldest::at(Seq::FIRST),
            reads: Arc::default(),
            broken: Arc::default(),
            gate: None,
        }
    }

    fn gated(mut self) -> (Self, mpsc::SyncSender<()>) {
        let (open, gate) = mpsc::sync_channel(8);
        self.gate = Some(Arc::new(Mutex::new(gate)));
        (self, open)
    }

    fn history(&self, readers: usize) -> History {
        let reader = || {
            Box::new(Self {
                log: Arc::clone(&self.log),
                extra: self.extra,
                oldest: self.oldest.clone(),
                reads: Arc::clone(&self.reads),
                broken: Arc::clone(&self.broken),
                gate: self.gate.clone(),
            }) as Box<dyn Reader>
        };
        History::of(Some(Archive {
            readers: (0..readers).map(|_| reader()).collect(),
            oldest: self.oldest.clone(),
        }))
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Reader for Kept {
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().recv().unwrap();
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(JournalError::from(io::Error::other("the disk is gone")).into());
        }
        let oldest = self.oldest.get();
        if from < oldest {
            return Err(ReadError::Gone { oldest });
        }
        let from = usize::try_from(from.get() - 1).unwrap();
        let mut bytes = 0;
        let fits = |_: &&Recorded| {
            let before = bytes;
            bytes += self.extra;
            before < MOST_READ_BYTES
        };
        Ok(self.log[from.min(self.log.len())..]
            .iter()
            .take(most)
            .take_while(fits)
            .cloned()
            .collect())
    }

    fn received_since(&mut self, _: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        Ok(None)
    }
}

fn seq(place: u64) -> Seq {
    Seq::new(place).unwrap()
}

/// Lets go on what waits for this thread, until `done`.
async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), waiting).await.unwrap();
}

#[tokio::test]
async fn a_crowd_that_wants_the_same_shares_one_read() {
    let (kept, open) = Kept::new(2000, 0).gated();
    let history = kept.history(3);
    let wanted = (0..300).map(|n| history.stretch(seq(513 + n)));
    let crowd = join_all(wanted);
    let mut crowd = std::pin::pin!(crowd);
    assert!(poll_immediate(&mut crowd).await.is_none());
    until(|| kept.reads() == 1).await;
    assert!(poll_immediate(&mut crowd).await.is_none());
    open.send(()).unwrap();
    for stretch in crowd.await {
        let stretch = stretch.unwrap();
        assert_eq!((stretch.first(), stretch.last()), (seq(513), seq(1024)));
    }
    assert_eq!(kept.reads(), 1);
    assert!(history.at_hand(seq(1024)).is_some());
    assert!(history.at_hand(seq(1025)).is_none());
}

#[tokio::test]
async fn no_more_reads_go_on_at_once_than_there_are_readers() {
    let (kept, open) = Kept::new(5000, 0).gated();
    let history = kept.history(2);
    let crowd = join_all((0..8).map(|n| history.stretch(seq(1 + n * 512))));
    let mut crowd = std::pin::pin!(crowd);
    assert!(poll_immediate(&mut crowd).await.is_none());
    until(|| kept.reads() == 2).await;
    for _ in 0..8 {
        open.send(()).unwrap();
    }
    assert!(crowd.await.iter().all(Result::is_ok));
    assert_eq!(kept.reads(), 8);
}

#[tokio::test]
async fn who_goes_away_takes_no_reader_along_and_holds_up_nobody() {
    let (kept, open) = Kept::new(2000, 0).gated();
    let history = kept.history(1);
    for round in 1..=3 {
        {
            let mut gone = Box::pin(history.stretch(seq(1)));
            assert!(poll_immediate(&mut gone).await.is_none());
            until(|| kept.reads() == round).await;
        }
        // Somebody who waits for the same, and somebody who waits for the reader.
        let (same, other) = (history.stretch(seq(2)), history.stretch(seq(1000)));
        let both = async { tokio::join!(same, other) };
        let mut both = Box::pin(both);
        assert!(poll_immediate(&mut both).await.is_none());
        drop(both);
        open.send(()).unwrap();
        until(|| history.0.as_ref().unwrap().idle.available_permits() == 1).await;
    }
    open.send(()).unwrap();
    let stretch = timeout(Duration::from_secs(10), history.stretch(seq(1))).await;
    assert_eq!(stretch.unwrap().unwrap().first(), Seq::FIRST);
}

#[tokio::test]
async fn what_is_kept_in_memory_is_bounded() {
    // Stretches of half a megabyte, more than fit.
    let kept = Kept::new(512 * 100, 900);
    let history = kept.history(2);
    for n in 0..100 {
        let stretch = history.stretch(seq(1 + n * 512)).await.unwrap();
        assert!(stretch.footprint() > 512 * 900);
    }
    let shelf = history.0.as_ref().unwrap();
    assert!(shelf.stretches.weight() <= MOST_KEPT_BYTES);
    assert!(shelf.stretches.len() > 20, "{}", shelf.stretches.len());
    assert_eq!(kept.reads(), 100);
}

#[tokio::test]
async fn large_signals_are_read_about_once_by_somebody_who_takes_few_at_a_time() {
    const SIGNALS: u64 = 700;
    const EXTRA: usize = 60_000;
    let kept = Kept::new(usize::try_from(SIGNALS).unwrap(), EXTRA);
    let history = kept.history(1);
    for place in (1..=SIGNALS).map(seq) {
        let part = history.stretch(place).await.unwrap();
        assert!(part.first() <= place && place <= part.last());
        assert!(history.at_hand(place).is_some(), "kept for who comes next");
        assert!(part.footprint() < 2 * MOST_READ_BYTES);
    }
    let least = usize::try_from(SIGNALS).unwrap() * EXTRA / MOST_READ_BYTES;
    assert!(kept.reads() < least + least / 5, "{}", kept.reads());
    // Somebody else begins in between, and before that.
    for place in [300, 7, 512, 513, 1, SIGNALS] {
        let part = history.stretch(seq(place)).await.unwrap();
        assert!(part.first() <= seq(place) && seq(place) <= part.last());
    }
}

#[tokio::test]
async fn the_newest_stretch_is_read_again_when_it_has_grown() {
    let mut kept = Kept::new(700, 0);
    let log = Arc::clone(&kept.log);
    kept.log = Arc::new(log[..600].to_vec());
    let early = kept.history(1);
    assert_eq!(early.stretch(seq(600)).await.unwrap().last(), seq(600));
    let beyond = early.stretch(seq(601)).await;
    assert!(
        matches!(beyond, Err(ReadError::Gone { .. })),
        "beyond the head"
    );

    assert_eq!(early.stretch(seq(600)).await.unwrap().last(), seq(600));
    // The same shelf with a log that has grown.
    kept.log = log;
    let shelf = early.0.as_ref().unwrap();
    shelf.lock().clear();
    let grown = kept.history(1);
    shelf.lock().append(&mut grown.0.as_ref().unwrap().lock());
    assert_eq!(early.stretch(seq(550)).await.unwrap().last(), seq(600));
    let before = kept.reads();
    let grown = join_all((601..=700).map(|place| early.stretch(seq(place)))).await;
    for stretch in grown {
        assert_eq!(stretch.unwrap().last(), seq(700));
    }
    assert_eq!(kept.reads() - before, 1);
}

#[tokio::test]
async fn what_retention_has_let_go_of_is_gone_and_the_rest_is_there() {
    let kept = Kept::new(2000, 0);
    let history = kept.history(1);
    kept.oldest.move_to(seq(700));
    let gone = history.stretch(seq(699)).await;
    assert!(matches!(gone, Err(ReadError::Gone { oldest }) if oldest == seq(700)));
    assert_eq!(history.insist(seq(1)).await.unwrap_err(), NotKept);
    let rest = history.stretch(seq(700)).await.unwrap();
    assert_eq!((rest.first(), rest.last()), (seq(700), seq(1024)));
    // From the part of a stretch that is kept nobody gets another.
    assert!(matches!(
        history.stretch(seq(699)).await,
        Err(ReadError::Gone { .. })
    ));
}

#[tokio::test]
async fn retention_that_goes_on_while_a_stretch_is_read_takes_nothing_that_is_kept() {
    let (kept, open) = Kept::new(2000, 0).gated();
    let history = kept.history(1);
    let mut wanted = Box::pin(history.stretch(seq(400)));
    assert!(poll_immediate(&mut wanted).await.is_none());
    until(|| kept.reads() == 1).await;
    kept.oldest.move_to(seq(300));
    open.send(()).unwrap();
    open.send(()).unwrap();
    let stretch = wanted.await.unwrap();
    assert_eq!((stretch.first(), stretch.last()), (seq(300), seq(512)));
}

#[tokio::test]
async fn retention_takes_nothing_that_is_kept_when_signals_are_large_either() {
    let (kept, open) = Kept::new(512, 60_000).gated();
    let history = kept.history(1);
    let mut wanted = Box::pin(history.stretch(seq(400)));
    assert!(poll_immediate(&mut wanted).await.is_none());
    until(|| kept.reads() == 1).await;
    kept.oldest.move_to(seq(300));
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    assert_eq!(wanted.await.unwrap().first(), seq(400));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_waited_for() {
    tokio::time::pause();
    let kept = Kept::new(2000, 0);
    let history = kept.history(1);
    kept.broken.store(true, Ordering::SeqCst);
    let failed = history.stretch(seq(1)).await;
    assert!(matches!(failed, Err(ReadError::Failed(_))));
    let mut insisting = Box::pin(history.insist(seq(1)));
    let tries = async {
        while kept.reads() < 4 {
            tokio::time::sleep(READ_RETRY).await;
        }
    };
    tokio::select! {
        _ = &mut insisting => panic!("it can't be read"),
        () = tries => {}
    }
    kept.broken.store(false, Ordering::SeqCst);
    assert_eq!(insisting.await.unwrap().first(), Seq::FIRST);
}

#[tokio::test]
async fn a_log_that_keeps_nothing_has_nothing() {
    let history = History::of(None);
    assert_eq!(history.oldest(), None);
    assert_eq!(history.insist(seq(1)).await.unwrap_err(), NotKept);
    assert!(history.at_hand(seq(1)).is_none());
}
