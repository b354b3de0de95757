//! What is on the disk when a client sees a signal, and what outlives a restart.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod strace;

use std::fs;
use std::sync::Arc;

use common::{Folder, TestClient, TestServer, wire};
use strace::{Call, Strace};

const SYNCS: &[&str] = &["fsync", "fdatasync", "sync_file_range", "msync"];
const WRITES: &[&str] = &["write", "writev", "sendto", "sendmsg", "pwrite64"];

/// A signal comes in and reaches a client: the calls from its last write to the log up to its
/// first write to the client's socket.
struct Way {
    calls: Vec<Call>,
    logged: usize,
    sent: usize,
}

impl Way {
    async fn of_a_signal(durability: &str) -> Self {
        let arguments = format!("--plaintext --durability {durability}");
        let mut server = TestServer::start(&arguments);
        let mut client = server.client().await;
        // The first one also makes what is made only once.
        server.feed("buy FIRST 1 1720000000\n");
        assert_eq!(
            client.text().await,
            wire("buy", "FIRST", "1", 1_720_000_000)
        );
        let watched = format!("trace={},{}", SYNCS.join(","), WRITES.join(","));
        // -y: paths of files; -s: enough of what is written to find the symbol in it.
        let arguments = ["-y", "-s", "65536", "-e", &watched];
        let strace = Strace::attach(&server, &server.folder, &arguments);
        server.feed("buy SYNCED 2 1720000000\n");
        assert_eq!(
            client.text().await,
            wire("buy", "SYNCED", "2", 1_720_000_000)
        );
        let calls = strace.detach();
        server.stop();
        let holds = |call: &&Call| call.is(WRITES) && call.text.contains("SYNCED");
        let sent = calls.iter().filter(holds).find(|call| !call.is_on(WAL));
        let sent = sent.expect("the socket was written to").begun;
        let logged = |call: &&Call| call.is(WRITES) && call.is_on(WAL) && call.begun < sent;
        let logged = calls.iter().filter(logged).map(|call| call.ended).max();
        let logged = logged.expect("the log was written to");
        Self {
            calls,
            logged,
            sent,
        }
    }

    fn syncs(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.is(SYNCS))
    }
}

const WAL: &str = "/data/signals.db-wal";

#[tokio::test]
async fn on_disk_a_signal_is_synced_before_the_first_client_gets_it() {
    let way = Way::of_a_signal("disk").await;
    assert!(way.logged < way.sent, "{:#?}", way.calls);
    let done = |call: &Call| {
        call.is_on(WAL)
            && call.text.ends_with("= 0")
            && way.logged < call.begun
            && call.ended < way.sent
    };
    assert!(way.syncs().any(done), "{:#?}", way.calls);
}

#[tokio::test]
async fn with_os_nothing_is_waited_for_but_the_signal_is_written_before_the_first_client_gets_it() {
    let way = Way::of_a_signal("os").await;
    assert!(way.logged < way.sent, "{:#?}", way.calls);
    assert_eq!(way.syncs().count(), 0, "{:#?}", way.calls);
}

fn header<'a>(client: &'a TestClient, name: &str) -> &'a str {
    client.response.headers()[name].to_str().unwrap()
}

fn line(number: u64) -> String {
    format!("buy X {number} 1720000000\n")
}

async fn expect(client: &mut TestClient, number: u64) {
    let wire = wire("buy", "X", &number.to_string(), 1_720_000_000);
    assert_eq!(client.text().await, wire);
}

#[tokio::test]
async fn a_log_keeps_its_epoch_and_its_numbering_over_restarts_and_a_new_one_has_its_own() {
    let folder = Arc::new(Folder::new());
    let mut epochs = Vec::new();
    for number in 1..=3 {
        let mut server = TestServer::start_in(Arc::clone(&folder), "--plaintext");
        let mut client = server.client().await;
        assert_eq!(
            header(&client, "signalcast-last-seq"),
            (number - 1).to_string()
        );
        epochs.push(header(&client, "signalcast-epoch").to_owned());
        server.feed(&line(number));
        expect(&mut client, number).await;
        let mut from_start = server
            .client_at("/?after_seq=0", &server.token())
            .await
            .unwrap();
        for number in 1..=number {
            expect(&mut from_start, number).await;
        }
        server.stop();
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1);

    fs::rename(folder.path("data/signals.db"), folder.path("old.db")).unwrap();
    let server = TestServer::start_in(folder, "--plaintext");
    let client = server.client().await;
    assert_eq!(header(&client, "signalcast-last-seq"), "0");
    assert_ne!(header(&client, "signalcast-epoch"), epochs[0]);
    // Who remembers a seq of the old one is told.
    let headers = format!("Authorization: Bearer {}\r\n", server.token());
    let answer = server.ask("/?after_seq=3", &headers).await;
    assert_eq!(answer.status, 410);
    assert!(answer.body.contains("history_gone"), "{}", answer.body);
    server.stop();
}
