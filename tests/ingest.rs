//! How lines become published signals.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;
use std::time::{Duration, Instant};

use signalcast::dead_letters::DeadLetters;
use signalcast::hub::Hub;
use signalcast::ingest::{HANDOVERS_CAPACITY, Ingest, Recorder};
use signalcast::journal::Memory;
use signalcast::signal::TimeUnit;
use signalcast::source::{Arrival, Handover, Lines, Origin};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LINE: &str = "buy BTCUSDT 75000.00 1720000000\n";
const LINES: usize = 2000;

fn lines() -> Handover {
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
    vec![Arrival::Lines(lines)].into()
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
    let (handovers, arriving) = mpsc::channel(HANDOVERS_CAPACITY);
    let threads = [
        thread::spawn(move || ingest.run(arriving)),
        thread::spawn(move || recorder.run()),
    ];

    // Far more than fits into the channel and what a shard may be behind.
    let (all, mut sent) = (10 * HANDOVERS_CAPACITY, 0);
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
