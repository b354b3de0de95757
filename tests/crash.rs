//! The server is killed at any moment, while its feed is written and rotated and bots come back with
//! the last seq they have: every line comes to every bot exactly once, and a seq means one signal
//! for ever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod feeding;

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use common::Folder;
use feeding::{Bots, Mortal, Random, Rotation, Writer, check, seed};
use rustix::process::Signal;

/// Where a crash is at its worst.
const POINTS: [&str; 4] = [
    "before_commit",
    "after_commit",
    "mid_broadcast",
    "rotation_seen",
];

/// `SIGNALCAST_SOAK`: 500 rounds instead of 20.
async fn crashes(rotation: Rotation) {
    let rounds = if env::var_os("SIGNALCAST_SOAK").is_some() {
        500
    } else {
        20
    };
    let seed = seed();
    let mut random = Random(seed);
    let (folder, seen) = (Arc::new(Folder::new()), Arc::new(AtomicU64::new(0)));
    let source = format!("--source {}", rotation.source());
    let mut bots = Bots::new(&folder, 3, &seen);

    folder.append("signals/live.jsonl", "buy OLD 1 1720000000\n");
    let mut server = Mortal::start(&folder, &source, None);
    bots.there_is(server.url().await.unwrap());
    let writer = Writer::start(&folder, rotation, random.below(u64::MAX), &seen);
    server.kill().await;
    for point in POINTS {
        let armed = format!("{point}:{}", 1 + random.below(5));
        server = Mortal::start(&folder, &source, Some(&armed));
        if let Some(url) = server.url().await {
            bots.there_is(url);
        }
        let (status, log) = server.wait().await;
        assert_eq!(
            status.signal(),
            Some(Signal::KILL.as_raw()),
            "{armed}: {log}"
        );
    }
    for _ in 0..rounds {
        server = Mortal::start(&folder, &source, None);
        // Some die before they listen.
        if random.below(4) > 0 {
            bots.there_is(server.url().await.unwrap());
        }
        tokio::time::sleep(Duration::from_micros(random.below(150_000))).await;
        server.kill().await;
    }
    server = Mortal::start(&folder, &source, None);
    bots.there_is(server.url().await.unwrap());
    let written = writer.stop();
    bots.have(written.last().unwrap().end - 1).await;
    server.stop().await;
    check(&folder, &written, &bots.part(), rotation);
}

#[tokio::test]
async fn whenever_the_server_dies_every_bot_has_every_line_once() {
    crashes(Rotation::Rename).await;
}

#[tokio::test]
async fn the_same_with_files_that_are_copied_and_renamed_within_the_glob() {
    crashes(Rotation::WithinTheGlob).await;
}
