//! The end: what was read is delivered, clients are told to go, and nobody holds it up for longer
//! than `--drain`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::ExitStatus;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use rustix::process::Signal;
use serde_json::Value;

mod common;

use common::{Folder, TestClient, TestServer, patiently};

/// What a busy machine may take to do what takes no time.
const SLACK: Duration = Duration::from_secs(3);

/// Writes numbered signals as fast as they are taken, until nobody takes them any more. What the
/// clients of a busy machine can't read before the drain is over is no fault of the server's, so it
/// waits after a while, until the end is near, and once more when it is writing again.
fn feed_without_end(server: &mut TestServer) -> (JoinHandle<()>, Arc<Barrier>) {
    let mut feed = server.take_feed();
    let near_the_end = Arc::new(Barrier::new(2));
    let waits = Arc::clone(&near_the_end);
    let feeder = thread::spawn(move || {
        for batch in 0_u64.. {
            if [40, 60].contains(&batch) {
                waits.wait();
            }
            let lines: String = (1..=50)
                .map(|n| format!("buy BTCUSDT 75000.00 {}\n", batch * 50 + n))
                .collect();
            if feed.write_all(lines.as_bytes()).is_err() {
                return;
            }
        }
    });
    (feeder, near_the_end)
}

/// More signals than what is between a server and a client that does not read has room for.
const STUFFING: usize = 40_000;

/// A client that cannot keep up: its socket is full, and it does not read.
async fn stuffed_client(server: &mut TestServer) -> TestClient {
    let deaf = server.deaf_client().await;
    let mut reading = server.client().await;
    let lines: String = (1..=STUFFING)
        .map(|n| format!("buy BTCUSDT 75000.00 {n}\n"))
        .collect();
    let mut feed = server.take_feed();
    let feeder = thread::spawn(move || feed.write_all(lines.as_bytes()).map(|()| feed).unwrap());
    reading.texts(STUFFING).await;
    drop(feeder.join().unwrap());
    deaf
}

/// Waits for the end; how long it took since `start`.
fn end_of(server: TestServer, start: Instant) -> (ExitStatus, Duration, String) {
    let (status, log) = server.wait();
    (status, start.elapsed(), log)
}

async fn every_client_has_the_last_signal(signal: Signal, name: &str) {
    let mut server = TestServer::start("--drain 20s");
    let mut clients = server.clients(20).await;
    let (feeder, near_the_end) = feed_without_end(&mut server);
    for client in &mut clients {
        client.texts(1000).await;
    }
    near_the_end.wait();
    near_the_end.wait();
    let start = Instant::now();
    server.signal(signal);
    let ends = join_all(clients.iter_mut().map(TestClient::texts_until_close)).await;
    drop(clients);
    let (status, took, log) = end_of(server, start);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took < Duration::from_secs(20) + SLACK, "{took:?}");
    assert!(
        log.contains(&format!("stopping signal=\"{name}\"")),
        "{log}"
    );
    assert!(log.contains("drained in time"), "{log}");
    feeder.join().unwrap();

    let expected: Vec<u64> = (1001..).take(ends[0].0.len()).collect();
    for (texts, code) in ends {
        assert_eq!(code, 1001);
        let numbers: Vec<u64> = texts.iter().map(|text| timestamp(text)).collect();
        assert_eq!(numbers.last(), expected.last());
        assert_eq!(numbers, expected);
    }
}

fn timestamp(text: &str) -> u64 {
    let signal: Value = serde_json::from_str(text).unwrap();
    signal["content"]["timestamp"].as_u64().unwrap()
}

#[tokio::test]
async fn under_load_every_client_has_the_last_signal_when_it_is_told_to_go() {
    every_client_has_the_last_signal(Signal::TERM, "SIGTERM").await;
}

#[tokio::test]
async fn ctrl_c_is_the_same() {
    every_client_has_the_last_signal(Signal::INT, "SIGINT").await;
}

#[tokio::test]
async fn what_a_file_had_is_delivered_too() {
    let server = TestServer::start("--source file:feed.txt");
    let mut clients = server.clients(3).await;
    let lines: String = (1..=20_000)
        .map(|n| format!("buy BTCUSDT 75000.00 {n}\n"))
        .collect();
    server.folder.append("feed.txt", &lines);
    clients[0].texts(1).await;
    server.signal(Signal::TERM);
    let ends = join_all(clients.iter_mut().map(TestClient::texts_until_close)).await;
    let last: Vec<u64> = ends
        .iter()
        .map(|(texts, _)| timestamp(texts.last().unwrap()))
        .collect();
    assert!(last.iter().all(|number| *number == last[0]), "{last:?}");
    drop(clients);
    assert!(server.wait().0.success());
}

#[tokio::test]
async fn who_comes_while_the_server_drains_is_told_to_come_back() {
    let mut server = TestServer::start("--drain 20s");
    let deaf = stuffed_client(&mut server).await;
    let token = server.token();
    server.signal(Signal::TERM);
    server.logged("draining").await;
    let answer = server
        .ask("/", &format!("Authorization: Bearer {token}\r\n"))
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert!(answer.header("retry-after").is_some());
    let ready = server
        .exchange(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(ready.status, 503);
    // A bad token is still a bad token.
    let answer = server.ask("/", "Authorization: Bearer nonsense\r\n").await;
    assert_eq!(answer.status, 401);
    let start = Instant::now();
    drop(deaf);
    let (status, took, log) = end_of(server, start);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        took < Duration::from_secs(10),
        "the last client is gone, and so is the server: {took:?}"
    );
}

#[tokio::test]
async fn who_is_at_the_door_when_a_drain_begins_is_answered_by_shards_without_clients_too() {
    let mut server = TestServer::start("--drain 20s --server-shards 4");
    let deaf = stuffed_client(&mut server).await;
    let mut doors = Vec::new();
    for _ in 0..8 {
        doors.push(server.connect().await);
    }
    server.signal(Signal::TERM);
    server.logged("draining").await;
    for door in doors {
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = server.exchange_on(door, request).await;
        assert_eq!(answer.status, 503);
    }
    drop(deaf);
    let (status, _, log) = end_of(server, Instant::now());
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_the_end_no_longer_than_drain() {
    let mut server = TestServer::start("--drain 3s");
    let deaf = stuffed_client(&mut server).await;
    let mut other = server.client().await;
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(other.expect_close().await.0, 1001);
    assert!(start.elapsed() < SLACK, "others don't wait for it");
    drop(other);
    let (status, took, log) = end_of(server, start);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took >= Duration::from_secs(3), "it had its time: {took:?}");
    assert!(took < Duration::from_secs(3) + SLACK, "{took:?}");
    assert!(log.contains("clients were cut off clients=1"), "{log}");
    drop(deaf);
}

/// How many signals it still gets.
async fn signals_until_the_end(mut client: TestClient) -> usize {
    let mut signals = 0;
    while let Some(Ok(message)) = patiently("the end", client.socket.next()).await {
        signals += usize::from(message.is_text());
    }
    signals
}

#[tokio::test]
async fn what_is_still_delivered_can_be_kept_from_somebody() {
    for revoked in [false, true] {
        let mut server = TestServer::start("--server-shards 1 --drain 60s");
        let deaf = stuffed_client(&mut server).await;
        server.signal(Signal::TERM);
        server.logged("draining").await;
        let answer = server.administer("GET", "/clients", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let listed: Value = serde_json::from_str(&answer.body).unwrap();
        let of_deaf = |client: &&Value| client["subject"] == "tester" && client["lag"] != 0;
        let all = listed["clients"].as_array().unwrap();
        let id = all.iter().find(of_deaf).unwrap()["id"].as_str().unwrap();
        // It is the last client. The drain waits for whoever lets it go all the same.
        let (method, path, body) = if revoked {
            ("POST", "/tokens/revoke", r#"{"sub":"tester"}"#)
        } else {
            ("DELETE", &*format!("/clients/{id}"), "")
        };
        let answer = server.administer(method, path, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let signals = signals_until_the_end(deaf).await;
        assert!(signals < STUFFING, "{signals}");
        let log = server.wait().1;
        assert!(log.contains("drained in time"), "{log}");
        assert!(log.contains("code=1008"), "{log}");
    }
}

#[tokio::test]
async fn a_signal_a_second_after_the_first_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let mut server = TestServer::start("--drain 60s");
        let deaf = stuffed_client(&mut server).await;
        server.signal(Signal::TERM);
        server.logged("draining").await;
        let start = Instant::now();
        let mut again = tokio::time::interval(Duration::from_millis(100));
        while !server.log().contains("told to stop once more") {
            assert!(start.elapsed() < SLACK, "{}", server.log());
            again.tick().await;
            server.signal(second);
        }
        let (status, took, log) = end_of(server, start);
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(took < SLACK, "{took:?}");
        drop(deaf);
    }
}

/// When each client was told to go, in order, counted from the stop.
async fn departures(clients: usize, drain: &str) -> Vec<Duration> {
    departures_from(TestServer::start(&format!("--drain {drain}")), clients).await
}

async fn departures_from(server: TestServer, clients: usize) -> Vec<Duration> {
    let mut clients = server.clients(clients).await;
    let start = Instant::now();
    // Twice, as GNU timeout does: to the process and to its group.
    server.signal(Signal::TERM);
    server.logged("draining").await;
    server.signal(Signal::TERM);
    let leave = clients.iter_mut().map(async |client| {
        assert_eq!(client.expect_close().await.0, 1001);
        let after = start.elapsed();
        // Answers, as every client does.
        client.expect_end().await;
        after
    });
    let mut departures = join_all(leave).await;
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
    assert!(log.contains("drained in time"), "{log}");
    departures.sort_unstable();
    departures
}

#[tokio::test]
async fn a_hundred_clients_are_let_go_over_half_the_time() {
    let departures = departures(100, "8s").await;
    let (first, middle, last) = (departures[0], departures[50], departures[99]);
    assert!(first < SLACK, "{departures:?}");
    assert!(last - first > Duration::from_secs(3), "{departures:?}");
    assert!(middle - first > Duration::from_secs(1), "{departures:?}");
    assert!(last < Duration::from_secs(4) + SLACK, "{departures:?}");
}

#[tokio::test]
async fn they_are_spread_as_well_when_a_strategy_took_its_time_to_end() {
    let folder = Folder::new();
    folder.append(
        "strategy.sh",
        "trap '' TERM; echo ready >&2; while :; do sleep 1; done",
    );
    let mut command = folder.command("serve --listen 127.0.0.1:0 --drain 8s");
    command.args(["--source", "exec:sh strategy.sh"]);
    let server = TestServer::start_command(Arc::new(folder), command);
    server.logged("ready").await;
    // Its grace is half of the time, and what is left is halved again.
    let departures = departures_from(server, 100).await;
    let (first, last) = (departures[0], departures[99]);
    assert!(first > Duration::from_secs(3), "{departures:?}");
    assert!(last - first > Duration::from_secs(1), "{departures:?}");
    assert!(last < Duration::from_secs(6) + SLACK, "{departures:?}");
}

#[tokio::test]
async fn fewer_are_let_go_at_once() {
    let departures = departures(99, "60s").await;
    assert!(departures[98] < SLACK, "{departures:?}");
}
