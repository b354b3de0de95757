//! A feed that is piped in and ends: `--wait-clients` waits for those it is for, `--exit-on-eof`
//! ends the server when they have all of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rustix::process::Signal;

mod common;

use common::{Folder, Reader, TestClient, TestServer, wire};

fn line(number: u64) -> String {
    format!("buy BTCUSDT 75000.00 {number}\n")
}

fn lines(count: u64) -> String {
    (1..=count).map(line).collect()
}

fn frames(count: u64) -> Vec<String> {
    (1..=count)
        .map(|number| wire("buy", "BTCUSDT", "75000.00", number))
        .collect()
}

/// The server has ended by itself, and well.
fn assert_fine(server: TestServer) -> String {
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{:?}:\n{log}", status.signal());
    log
}

#[tokio::test]
async fn lines_that_are_piped_at_once_wait_for_all_clients() {
    let mut server = TestServer::start("--wait-clients 3");
    server.feed(&lines(100));
    drop(server.take_feed());
    // Who comes late gets nothing of the past: that the third has all of it shows the waiting.
    for mut client in server.clients(3).await {
        assert_eq!(client.texts(100).await, frames(100));
    }
    server.logged("source ended").await;
    server.stop();
}

#[tokio::test]
async fn a_client_that_leaves_again_is_not_waited_for_twice() {
    let mut server = TestServer::start("--wait-clients 2");
    server.feed(&lines(10));
    drop(server.clients(1).await);
    server.logged("connection lost").await;
    for mut client in server.clients(2).await {
        assert_eq!(client.texts(10).await, frames(10));
    }
}

#[tokio::test]
async fn the_end_of_a_file_is_taken_at_the_start_and_not_when_the_clients_are_there() {
    let folder = Arc::new(Folder::new());
    folder.append("feed.txt", &line(0));
    let server = TestServer::start_in(folder, "--source file:feed.txt --wait-clients 1");
    server.folder.append("feed.txt", &line(1));
    server.folder.append("other.txt", &line(9));
    let mut client = server.client().await;
    assert_eq!(client.texts(1).await, frames(1));
    server.stop();
}

#[tokio::test]
async fn a_server_that_waits_can_be_stopped() {
    let mut server = TestServer::start("--wait-clients 2");
    server.feed(&lines(1));
    let mut client = server.client().await;
    server.signal(Signal::TERM);
    assert_eq!(client.texts_until_close().await, (vec![], 1001));
    drop(client);
    assert_fine(server);
}

#[tokio::test]
async fn at_the_end_of_its_feed_the_server_ends_when_all_clients_have_all() {
    let mut server = TestServer::start("--exit-on-eof");
    let mut clients = server.clients(2).await;
    server.feed(&lines(5000));
    server.feed("buy LAST 75000.00 1");
    drop(server.take_feed());
    let mut expected = frames(5000);
    expected.push(wire("buy", "LAST", "75000.00", 1));
    for client in &mut clients {
        let (texts, code) = client.texts_until_close().await;
        assert_eq!((texts.len(), code), (5001, 1001));
        assert_eq!(texts, expected);
    }
    drop(clients);
    let log = assert_fine(server);
    assert!(log.contains("all feeds have ended; stopping"), "{log}");
    assert!(log.contains("drained in time"), "{log}");
}

#[tokio::test]
async fn an_empty_feed_ends_it_too_and_a_file_does_not_hold_it() {
    let mut server = TestServer::start("--exit-on-eof --source stdin --source file:feed.txt");
    drop(server.take_feed());
    assert_fine(server);
}

#[tokio::test]
async fn a_feed_that_can_not_be_read_ends_it_with_exit_1() {
    let folder = Arc::new(Folder::new());
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin --exit-on-eof");
    command.env_remove("RUST_BACKTRACE");
    // A folder can be opened, but not read.
    let stdin = std::fs::File::open(folder.path(".")).unwrap();
    let server = TestServer::start_read(folder, command, stdin.into(), Reader::Attentive);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    let said = "signalcast: stdin could not be read to its end";
    assert!(
        log.contains(said) && log.contains("Is a directory"),
        "{log}"
    );
}

#[tokio::test]
async fn fifty_clients_get_a_piped_feed_whole() {
    const SIGNALS: u64 = 2000;
    let mut server = TestServer::start("--wait-clients 50 --exit-on-eof");
    let mut feed = server.take_feed();
    // More than a pipe holds: the writer waits with it.
    let feeder = thread::spawn(move || feed.write_all(lines(SIGNALS).as_bytes()).unwrap());
    let mut clients = server.clients(50).await;
    for (texts, code) in join_all(clients.iter_mut().map(TestClient::texts_until_close)).await {
        assert_eq!(
            (texts.len(), code),
            (usize::try_from(SIGNALS).unwrap(), 1001)
        );
        assert_eq!(texts, frames(SIGNALS));
    }
    feeder.join().unwrap();
    drop(clients);
    assert_fine(server);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_end_up_no_longer_than_drain() {
    let mut server = TestServer::start("--exit-on-eof --drain 3s");
    let deaf = server.deaf_client().await;
    let mut client = server.client().await;
    let mut feed = server.take_feed();
    let feeder = thread::spawn(move || feed.write_all(lines(40_000).as_bytes()).unwrap());
    let (texts, code) = client.texts_until_close().await;
    let start = Instant::now();
    assert_eq!((texts.len(), code), (40_000, 1001));
    feeder.join().unwrap();
    drop(client);
    let log = assert_fine(server);
    assert!(
        log.contains("the time to drain is over") && log.contains("clients were cut off clients=1"),
        "{log}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(3 + 3),
        "{:?}",
        start.elapsed()
    );
    drop(deaf);
}
