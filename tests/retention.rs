//! Old signals are let go of while new ones come: what that means to those who are behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Folder, PATIENCE, TestClient, TestServer};
use rusqlite::Connection;
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::Error;

/// Lines of 400 bytes; the price is their number.
fn lines(numbers: std::ops::Range<u64>) -> String {
    let note = "x".repeat(320);
    numbers
        .map(|n| format!(r#"{{"side":"buy","symbol":"X","price":{n},"timestamp":1720000000,"note":"{note}"}}"#) + "\n")
        .collect()
}

async fn expect(client: &mut TestClient, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let signal = client.json().await;
        assert_eq!(signal["content"]["price"].as_u64(), Some(number));
    }
}

/// What is answered to a client that asks for what came after this place: a refusal, if any.
async fn after(server: &TestServer, seq: u64) -> Option<(u16, String)> {
    let path = format!("/?after_seq={seq}");
    match server.client_at(&path, &server.token()).await {
        Ok(_) => None,
        Err(Error::Http(refused)) => {
            let body = refused.body().clone().unwrap_or_default();
            Some((refused.status().as_u16(), common::text(&body)))
        }
        Err(other) => panic!("{other}"),
    }
}

/// The oldest place that is kept, once it is past this one.
async fn oldest_past(server: &TestServer, seq: u64) -> u64 {
    let mut pause = interval(Duration::from_millis(20));
    let gone = async {
        loop {
            pause.tick().await;
            if let Some(refused) = after(server, seq - 1).await {
                return refused;
            }
        }
    };
    let answer = timeout(PATIENCE, gone).await;
    let (status, body) =
        answer.unwrap_or_else(|_| panic!("{seq} is still kept:\n{}", server.log()));
    assert_eq!(status, 410, "{body}");
    assert!(body.contains("history_gone"), "{body}");
    let db = Connection::open(server.folder.path("data/signals.db")).unwrap();
    let oldest: i64 = db
        .query_row("SELECT min(seq) FROM signals", [], |row| row.get(0))
        .unwrap();
    let oldest = u64::try_from(oldest).unwrap();
    assert!(oldest > seq);
    oldest
}

/// Bytes of a file in the data folder.
fn size(server: &TestServer, name: &str) -> u64 {
    let path = server.folder.path("data").join(name);
    fs::metadata(path).unwrap().len()
}

#[tokio::test]
async fn the_log_stays_within_its_bound_under_a_flood_that_is_never_held_up() {
    const ALL: u64 = 60_000;
    let mut server = TestServer::start("--plaintext --journal-retain-bytes 2MiB");
    let mut client = server.client().await;
    let mut feed = server.take_feed();
    let strategy = thread::spawn(move || {
        for batch in 0..ALL / 500 {
            let lines = lines(batch * 500..(batch + 1) * 500);
            feed.write_all(lines.as_bytes()).unwrap();
        }
        feed
    });
    expect(&mut client, 0..ALL).await;
    let mut feed = strategy.join().unwrap();
    let oldest = oldest_past(&server, ALL - 10_000).await;
    // All of them would be 30 MB. What was deleted is used again.
    let database = size(&server, "signals.db");
    assert!(database < 8 << 20, "{database}");
    let waiting = size(&server, "signals.db-wal");
    assert!(waiting < 80 << 20, "{waiting}");

    // Who asks for what is kept gets it, and what comes is numbered on.
    let kept = format!("/?after_seq={}", oldest + 100);
    let mut late = server.client_at(&kept, &server.token()).await.unwrap();
    feed.write_all(lines(ALL..ALL + 1).as_bytes()).unwrap();
    expect(&mut late, oldest + 100..ALL + 1).await;
    let (status, body) = after(&server, oldest - 2).await.unwrap();
    assert_eq!(status, 410);
    let names = |what: &str, seq: u64| body.contains(&format!(r#""{what}":{seq}"#));
    assert!(
        names("first_seq", oldest) && names("last_seq", ALL + 1),
        "{body}"
    );
    drop(feed);
    let log = server.stop();
    assert!(
        !log.contains("signals wait until the log can be written"),
        "{log}"
    );
}

#[tokio::test]
async fn signals_are_let_go_of_by_age_but_never_the_newest_whose_place_is_the_logs() {
    let folder = Arc::new(Folder::new());
    let arguments = "--plaintext --journal-retain-age 1s";
    let mut server = TestServer::start_in(Arc::clone(&folder), arguments);
    let mut client = server.client().await;
    server.feed(&lines(0..3000));
    expect(&mut client, 0..3000).await;
    assert_eq!(oldest_past(&server, 2999).await, 3000);
    server.stop();
    let mut server = TestServer::start_in(folder, arguments);
    let mut client = server.client().await;
    assert_eq!(client.response.headers()["signalcast-last-seq"], "3000");
    server.feed(&lines(3000..3001));
    expect(&mut client, 3000..3001).await;
    assert_eq!(
        server.client().await.response.headers()["signalcast-last-seq"],
        "3001"
    );
    server.stop();
}

#[tokio::test]
async fn a_client_whose_place_is_let_go_of_is_told_and_got_what_came_before_without_a_gap() {
    let mut server = TestServer::start("--journal-retain-bytes 1MiB --hub-tail-bytes 256KiB");
    let mut slow = server.deaf_client().await;
    let mut live = server.client().await;
    for batch in 0..40 {
        server.feed(&lines(batch * 500..(batch + 1) * 500));
        expect(&mut live, batch * 500..(batch + 1) * 500).await;
    }
    oldest_past(&server, 15_000).await;
    let (texts, code) = slow.texts_until_close().await;
    assert_eq!(code, 1013);
    for (number, text) in texts.iter().enumerate() {
        let signal: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(signal["content"]["price"], number);
    }
    assert!(texts.len() < 15_000, "{}", texts.len());
    server.stop();
}

/// A signal whose source names it.
fn named(id: &str, price: u64) -> String {
    format!(r#"{{"id":"{id}","side":"buy","symbol":"X","price":{price},"timestamp":1720000000}}"#)
        + "\n"
}

#[tokio::test]
async fn an_id_is_known_across_sources_and_restarts_until_its_signal_is_let_go_of() {
    let folder = Arc::new(Folder::new());
    let arguments = "--plaintext --source stdin --source file:feed.jsonl";
    let mut server = TestServer::start_in(Arc::clone(&folder), arguments);
    let mut client = server.client().await;
    server.feed(&named("a", 1));
    expect(&mut client, 1..2).await;
    folder.append("feed.jsonl", &(named("a", 9) + &named("b", 2)));
    expect(&mut client, 2..3).await;
    let log = server.stop();
    assert!(log.contains("duplicates=1"), "{log}");

    let keeping = format!("{arguments} --journal-retain-age 1s");
    let mut server = TestServer::start_in(Arc::clone(&folder), arguments);
    let mut client = server.client().await;
    folder.append("feed.jsonl", &named("a", 9));
    server.feed(&(named("b", 9) + &named("c", 3)));
    expect(&mut client, 3..4).await;
    let log = server.stop();
    assert!(
        log.contains("duplicates=") && !log.contains("duplicates=0"),
        "{log}"
    );

    let mut server = TestServer::start_in(Arc::clone(&folder), &keeping);
    let mut client = server.client().await;
    oldest_past(&server, 2).await;
    server.feed(&named("a", 4));
    expect(&mut client, 4..5).await;
    server.stop();
}

#[tokio::test]
async fn old_signals_that_cannot_be_let_go_of_hold_up_no_new_ones_and_are_told_of_once() {
    let cannot = "old signals can't be let go of";
    let folder = Arc::new(Folder::new());
    let arguments = "--plaintext --journal-retain-bytes 2MiB";
    let mut server = TestServer::start_in(Arc::clone(&folder), arguments);
    let mut client = server.client().await;
    server.feed(&lines(0..3000));
    expect(&mut client, 0..3000).await;
    server.stop();

    let mut server = TestServer::start_in(Arc::clone(&folder), arguments);
    let mut client = server.client().await;
    let database = folder.path("data/signals.db");
    let before = damage_oldest_page(&database);
    // Another program's commits: what the server has in memory is read anew.
    let other = Connection::open(&database).unwrap();
    other
        .execute_batch("INSERT INTO log VALUES ('x', ''); DELETE FROM log WHERE key = 'x'")
        .unwrap();
    server.feed(&lines(3000..8000));
    expect(&mut client, 3000..8000).await;
    server.logged(cannot).await;
    // It is tried several times meanwhile.
    let until = Instant::now() + Duration::from_millis(3500);
    let mut next = 8000;
    while Instant::now() < until {
        server.feed(&lines(next..next + 1));
        expect(&mut client, next..next + 1).await;
        next += 1;
    }
    let log = server.log();
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
    assert!(log.contains("it is damaged"), "{log}");

    drop(other);
    write_page(&database, before.0, &before.1);
    server.logged("old signals can be let go of again").await;
    oldest_past(&server, 1).await;
    let log = server.stop();
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
}

/// Makes the page unreadable in which the first signals are; returns where it is, and what it held.
fn damage_oldest_page(database: &Path) -> (u64, Vec<u8>) {
    let bytes = fs::read(database).unwrap();
    let first = br#"{"symbol":"X","price":0,"#;
    let at = bytes.windows(first.len()).position(|text| text == first);
    let page = at.unwrap() / 4096 * 4096;
    let before = bytes[page..page + 4096].to_vec();
    write_page(database, page as u64, &[0xa5; 4096]);
    (page as u64, before)
}

fn write_page(database: &Path, at: u64, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(database).unwrap();
    file.write_all_at(bytes, at).unwrap();
}
