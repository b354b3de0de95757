//! The server is stopped or killed, stays away for a while, and comes back: what was written and
//! rotated meanwhile comes to every bot exactly once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod feeding;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use common::{Folder, TestServer};
use feeding::{Bots, Mortal, Random, Rotation, Writer, check, seed};

async fn restarts(rotation: Rotation) {
    let seed = seed();
    let mut random = Random(seed);
    let (folder, seen) = (Arc::new(Folder::new()), Arc::new(AtomicU64::new(0)));
    let source = format!("--source {}", rotation.source());
    let mut bots = Bots::new(&folder, 2, &seen);
    folder.append("signals/live.jsonl", "buy OLD 1 1720000000\n");
    let mut server = Mortal::start(&folder, &source, None);
    bots.there_is(server.url().await.unwrap());
    let writer = Writer::start(&folder, rotation, random.below(u64::MAX), &seen);
    for round in 0..8 {
        // How long it is there and how long it is away is left to chance.
        tokio::time::sleep(Duration::from_micros(random.below(300_000))).await;
        if round % 2 == 0 {
            server.stop().await;
        } else {
            server.kill().await;
        }
        tokio::time::sleep(Duration::from_micros(random.below(300_000))).await;
        server = Mortal::start(&folder, &source, None);
        bots.there_is(server.url().await.unwrap());
    }
    let written = writer.stop();
    bots.have(written.last().unwrap().end - 1).await;
    server.stop().await;
    check(&folder, &written, &bots.part(), rotation);
}

#[tokio::test]
async fn what_is_written_while_the_server_is_away_comes_when_it_is_back() {
    restarts(Rotation::Rename).await;
}

#[tokio::test]
async fn the_same_with_files_that_are_copied_and_renamed_within_the_glob() {
    restarts(Rotation::WithinTheGlob).await;
}

#[tokio::test]
async fn the_first_start_begins_at_the_end_and_the_second_where_the_first_was() {
    let folder = Arc::new(Folder::new());
    let seen = Arc::new(AtomicU64::new(0));
    let mut bots = Bots::new(&folder, 1, &seen);
    folder.append("signals/live.jsonl", "buy X 9 1720000000\n");
    // Killed as soon as it says that it listens.
    let mut server = Mortal::start(&folder, "", None);
    server.url().await.unwrap();
    server.kill().await;
    folder.append("signals/live.jsonl", "buy X 1 1720000000\n");
    folder.append("signals/new.jsonl", "buy X 2 1720000000\n");
    server = Mortal::start(&folder, "", None);
    bots.there_is(server.url().await.unwrap());
    bots.have(2).await;
    server.stop().await;
    let written = vec![1..2, 2..3];
    check(&folder, &written, &bots.part(), Rotation::WithinTheGlob);
}

#[tokio::test]
async fn what_was_rotated_meanwhile_is_read_or_told() {
    let folder = Arc::new(Folder::new());
    let server = TestServer::start_in(Arc::clone(&folder), "--source file:signals/*.jsonl");
    let mut client = server.client().await;
    folder.append("signals/live.jsonl", "buy X 1 1720000000\n");
    client.text().await;
    server.stop();
    let live = folder.path("signals/live.jsonl");
    fs::rename(&live, folder.path("signals/live.jsonl.3")).unwrap();
    folder.append("signals/live.jsonl.2.gz", "packed");
    folder.append("signals/live.jsonl.9", "buy STALE 1 1720000000\n");
    for (price, number) in [(2, 1), (3, 0)] {
        folder.append("signals/live.jsonl", &format!("buy X {price} 1720000000\n"));
        if number > 0 {
            fs::rename(&live, folder.path(format!("signals/live.jsonl.{number}"))).unwrap();
        }
    }
    for told in [1, 0] {
        let server = TestServer::start_in(Arc::clone(&folder), "--source file:signals/*.jsonl");
        let token = server.token();
        let mut client = server.client_at("/?after_seq=1", &token).await.unwrap();
        for price in 2..=3 {
            let text = client.text().await;
            assert!(text.contains(&format!("\"price\":{price},")), "{text}");
        }
        let log = server.stop();
        for file in ["live.jsonl.2.gz", "live.jsonl.9"] {
            let file = format!("rotated=signals/{file}");
            assert_eq!(log.matches(&file).count(), told, "{log}");
        }
    }
}
