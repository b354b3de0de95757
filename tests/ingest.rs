//! How lines become published signals.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join_all;
use signalcast::dead_letters::DeadLetters;
use signalcast::hub::Hub;
use signalcast::ingest::{
    DELIVERIES_CAPACITY, Delivery, Ingest, Publisher, Recorder, Refused, Stopped,
};
use signalcast::journal::{
    Appended, Archive, Batch, Epoch, Journal, JournalError, Memory, Receipt, Tended,
};
use signalcast::signal::{ReceivedAt, Seq, Signal, TimeUnit, Timestamp};
use signalcast::source::{Arrival, Bookmark, Handover, Lines, Origin, Position, SourceName};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LINE: &str = "buy BTCUSDT 75000.00 1720000000\n";
const LINES: usize = 2000;

fn lines() -> Delivery {
    let lines = Lines {
        origin: Origin {
            source: "stdin".into(),
            file: None,
            unit: TimeUnit::Seconds,
        },
        first_line: 1,
        first_offset: 0,
        read_at: Instant::now(),
        bytes: LINE.repeat(LINES).into_bytes(),
    };
    Handover::from(vec![Arrival::Lines(lines)]).into()
}

#[tokio::test]
async fn a_feed_that_is_faster_than_a_shard_waits_and_all_of_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let dead_letters = DeadLetters::open(folder.path().join("dead"), 1 << 20).unwrap();
    let (hub, mut followers) = Hub::new(None, 1 << 20, 2);
    // One that has ended is not waited for.
    followers.pop();
    let follower = &mut followers[0];
    let mut head = follower.head();
    let (recorder, to_recorder) = Recorder::new(Box::new(Memory::new()), hub);
    let ingest = Ingest::new(to_recorder, dead_letters, None);
    let (handovers, arriving) = mpsc::channel(DELIVERIES_CAPACITY);
    let threads = [
        thread::spawn(move || ingest.run(arriving)),
        thread::spawn(move || drop(recorder.run())),
    ];

    // Far more than fits into the channel and what a shard may be behind.
    let (all, mut sent) = (10 * DELIVERIES_CAPACITY, 0);
    while let Ok(room) = timeout(Duration::from_millis(500), handovers.reserve()).await {
        assert_ne!(
            sent, all,
            "the shard has taken nothing, and yet all of it was"
        );
        room.unwrap().send(lines());
        sent += 1;
    }

    // From here on the shard takes what there is.
    let mut taken = 0;
    let mut new = Vec::new();
    let feeding = async {
        while sent < all {
            handovers.send(lines()).await.unwrap();
            sent += 1;
        }
        drop(handovers);
    };
    let shard = async {
        while taken < (all * LINES) as u64 {
            follower.advance(usize::MAX, &mut new);
            taken = follower.tail().next().get() - 1;
            new.clear();
            // The last news may be of what was taken already.
            timeout(Duration::from_millis(5), head.changed()).await.ok();
        }
    };
    tokio::join!(feeding, shard);
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A log that takes a batch each time it is told to.
struct Gated {
    log: Memory,
    told: std_mpsc::Receiver<()>,
}

impl Journal for Gated {
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

    fn append(&mut self, batch: &mut Batch) -> Result<Appended, JournalError> {
        self.told.recv().unwrap();
        self.log.append(batch)
    }

    fn tend(&mut self) -> Result<Tended, JournalError> {
        self.log.tend()
    }

    fn archive(&self) -> Result<Option<Archive>, JournalError> {
        self.log.archive()
    }
}

fn signal(line: &str) -> Signal {
    let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, Timestamp::MAX);
    signal.unwrap().unwrap()
}

/// Three signals, of which the first and the last have the same id.
fn three(number: u64) -> Vec<Signal> {
    let with_id = format!(r#"{{"id":"{number}","side":"buy","symbol":"X","price":1}}"#);
    [&*with_id, "buy X 1", &with_id].map(signal).into()
}

async fn publish(
    publisher: &Publisher,
    source: SourceName,
    signals: Vec<Signal>,
) -> Result<Vec<Receipt>, Stopped> {
    publisher.place().await?.publish(source, signals).await
}

#[tokio::test]
async fn whoever_publishes_is_told_of_its_own_signals_whatever_is_in_the_same_commit() {
    const PUBLISHERS: u64 = 7;
    let folder = tempfile::tempdir().unwrap();
    let letters = folder.path().join("dead");
    let dead_letters = DeadLetters::open(&letters, 1 << 20).unwrap();
    // Nobody is behind.
    let (hub, _) = Hub::new(None, 1 << 20, 0);
    let (tell, told) = std_mpsc::sync_channel(100);
    let log = Memory::new();
    let (recorder, to_recorder) = Recorder::new(Box::new(Gated { log, told }), hub);
    let ingest = Ingest::new(to_recorder, dead_letters, None);
    let (deliveries, arriving) = mpsc::channel(DELIVERIES_CAPACITY);
    let threads = [
        thread::spawn(move || ingest.run(arriving)),
        thread::spawn(move || drop(recorder.run())),
    ];
    let publisher = Publisher::new(&deliveries);
    let none = publish(&publisher, "http:0".into(), Vec::new()).await;
    assert_eq!(none, Ok(Vec::new()));

    // All stand in the channel, or in batches that wait, before the first is recorded.
    let publishing = join_all((0..PUBLISHERS).map(async |number| {
        let lines = deliveries.send(lines()).await;
        lines.unwrap();
        let source = SourceName::from(format!("http:{number}").as_str());
        publish(&publisher, source, three(number)).await.unwrap()
    }));
    let telling = async {
        for _ in 0..100 {
            tell.send(()).unwrap();
        }
    };
    let (told, ()) = tokio::join!(publishing, telling);
    for (number, receipts) in (0..).zip(told) {
        let first = (number + 1) * LINES as u64 + number * 2 + 1;
        let receipts = receipts.iter().map(|one| (one.seq.get(), one.is_duplicate));
        let receipts: Vec<_> = receipts.collect();
        let expected = [(first, false), (first + 1, false), (first, true)];
        assert_eq!(receipts, expected, "{number}");
    }

    let refused = Refused {
        source: "hook:x".into(),
        position: Position {
            file: None,
            line: 1,
            offset: 0,
        },
        line: b"hold".to_vec(),
        reason: "no signal".to_owned(),
    };
    publisher.refuse(refused.clone()).await.unwrap();
    // A publisher does not keep the server from ending.
    drop(deliveries);
    for thread in threads {
        thread.join().unwrap();
    }
    let gone = publish(&publisher, "http:0".into(), three(0)).await;
    assert_eq!(gone, Err(Stopped));
    assert_eq!(publisher.refuse(refused).await, Err(Stopped));
    let letters = std::fs::read_to_string(letters).unwrap();
    assert_eq!(letters.lines().count(), 1);
    assert!(letters.contains(r#""source":"hook:x""#), "{letters}");
    assert!(letters.contains(r#""line":"hold""#), "{letters}");
}
