//! Streams of events that are read slowly or not at all, and how they end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod scrape;

use std::fs;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::events::EventReader;
use common::jwt::{now, with};
use common::{PATIENCE, TestServer, wait_until};
use rustix::process::Signal;
use scrape::{MEASURED, Scrape, metrics_address};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::MaybeTlsStream;

const TRANSPORTS: [&str; 2] = ["", "--plaintext"];

/// A reader with hardly any room for what it does not read.
async fn narrow(server: &TestServer) -> EventReader {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut stream = match server.scheme.as_str() {
        "ws" => MaybeTlsStream::Plain(stream),
        _ => MaybeTlsStream::Rustls(server.secure(stream).await),
    };
    let request = format!(
        "GET /signals/stream HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        server.authorization()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    EventReader::begin(stream, Vec::new()).await
}

/// Feeds so many signals from another thread, for nobody may be there yet who reads them.
fn feed(server: &mut TestServer, signals: u64) -> JoinHandle<std::process::ChildStdin> {
    let mut feed = server.take_feed();
    thread::spawn(move || {
        let lines: String = (1..=signals)
            .map(|price| format!("buy BTCUSDT {price} 1720000000\n"))
            .collect();
        feed.write_all(lines.as_bytes()).unwrap();
        feed
    })
}

#[tokio::test]
async fn a_reader_that_falls_behind_gets_everything_once_when_it_reads_again() {
    const SIGNALS: u64 = 20_000;
    for transport in TRANSPORTS {
        // Less than what the reader lacks, so it is served from the log, too.
        let mut server = TestServer::start(&format!("{transport} --hub-tail-bytes 1MiB"));
        let mut slow = narrow(&server).await;
        let mut fast = server.client().await;
        let feeding = feed(&mut server, SIGNALS);
        fast.texts(usize::try_from(SIGNALS).unwrap()).await;
        let mut feed = feeding.join().unwrap();
        assert_eq!(slow.next().await.name, "connection_established");
        for seq in 1..=SIGNALS {
            assert_eq!(slow.signal().await.id, seq);
        }
        // It is caught up, and the next one comes to it like to everybody.
        feed.write_all(b"buy BTCUSDT 1 7\n").unwrap();
        assert_eq!(slow.signal().await.id, SIGNALS + 1);
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_let_go_and_delays_nobody() {
    for transport in TRANSPORTS {
        let settings = format!("{transport} --limits-write-timeout 2s");
        let mut server = TestServer::start(&settings);
        let deaf = narrow(&server).await;
        let mut fast = server.client().await;
        let feeding = feed(&mut server, 20_000);
        fast.texts(20_000).await;
        feeding.join().unwrap();
        server.logged("code=1013").await;
        let begin = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        let error = loop {
            pause.tick().await;
            match deaf.tcp().take_error().unwrap() {
                Some(error) => break error,
                None => assert!(begin.elapsed() < PATIENCE, "never reset"),
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

/// It answers no ping, so what its machine acknowledges is its one sign of life.
#[tokio::test]
async fn a_reader_whose_machine_acknowledges_nothing_is_let_go() {
    let mut server = TestServer::start("--limits-ping 1s --limits-silence 2s");
    let deaf = narrow(&server).await;
    let (mut other, _) = server
        .events("/signals/stream", &server.authorization())
        .await;
    // More than the deaf one takes, less than a socket holds.
    let feeding = feed(&mut server, 500);
    other.seqs(500).await;
    let mut feed = feeding.join().unwrap();
    server.logged("timed out").await;
    drop(deaf);
    // Who reads stays, however long it has said nothing.
    feed.write_all(b"buy BTCUSDT 1 7\n").unwrap();
    assert_eq!(other.signal().await.id, 501);
}

#[tokio::test]
async fn what_a_reader_sends_is_thrown_away_and_its_end_is_the_end() {
    let mut server = TestServer::start(&format!("{MEASURED} --limits-message-bytes 1KiB"));
    let address = metrics_address(&server).await;
    let good = server.authorization();
    let (mut reader, _) = server.events("/signals/stream", &good).await;
    for round in 1..=20 {
        // Neither too long nor too often, nor is a command or a close frame one here.
        for bytes in [
            &[b'x'; 4096][..],
            b"test",
            b"\x88\x80\0\0\0\0",
            b"\x81\x84\0\0\0\0test",
        ] {
            reader.stream.write_all(bytes).await.unwrap();
        }
        server.feed("buy BTCUSDT 1 7\n");
        assert_eq!(reader.signal().await.id, round);
    }
    drop(reader);
    Scrape::until(address, "its end", |scrape| {
        scrape.count(r#"signalcast_closes_total{by="client",code="1005"}"#) == 1
            && scrape.count("signalcast_clients") == 0
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_a_stream_behind_its_last_signal() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        let good = server.authorization();
        let (mut reader, _) = server.events("/signals/stream", &good).await;
        let mut slow = narrow(&server).await;
        let mut client = server.client().await;
        let feeding = feed(&mut server, 5_000);
        client.texts(100).await;
        server.signal(Signal::TERM);
        let (texts, _) = client.texts_until_close().await;
        let last = 100 + texts.len() as u64;
        drop(client);
        assert_eq!(slow.next().await.name, "connection_established");
        for reader in [&mut reader, &mut slow] {
            for seq in 1..=last {
                assert_eq!(reader.signal().await.id, seq);
            }
            let (code, reason) = reader.closed().await;
            assert_eq!(
                (code, reason.as_str()),
                (1001, "the server is shutting down: reconnect")
            );
        }
        drop((reader, slow));
        // Its standard input may have been closed in the middle.
        feeding.join().ok();
        assert!(server.wait().0.success());
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = TestServer::start("--auth-leeway 0s");
    let expiring = server.mint(&with("exp", now() + 2));
    let header = format!("Authorization: Bearer {expiring}\r\n");
    let (mut reader, _) = server.events("/signals/stream", &header).await;
    let (code, reason) = reader.closed().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("expired"), "{reason}");
    assert_eq!(server.get("/signals/stream", &header).await.status, 401);

    let revoked = server.mint(&with("jti", "t-1"));
    let header = format!("Authorization: Bearer {revoked}\r\n");
    let (mut reader, _) = server.events("/signals/stream", &header).await;
    assert!(server.folder.run("token revoke --jti t-1").status.success());
    let (code, reason) = reader.closed().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("revoked"), "{reason}");
    assert_eq!(server.get("/signals/stream", &header).await.status, 401);
}

#[tokio::test]
async fn readers_that_come_and_go_leave_nothing_behind() {
    const READERS: usize = 100;
    let server = Arc::new(TestServer::start(""));
    let header = server.authorization();
    let files = || {
        let listing = fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero()));
        listing.unwrap().count()
    };
    let come_and_go = async || {
        let before = files();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(server.events("/signals/stream", &header).await);
        }
        assert!(files() >= before + READERS);
        drop(readers);
        wait_until("their files are closed", || files() <= before);
    };
    for _ in 0..2 {
        come_and_go().await;
    }
    let before = server.resident_bytes();
    for _ in 0..6 {
        come_and_go().await;
    }
    // A kilobyte of each would be 600 of them; what a round takes for a moment is let stand.
    wait_until("their memory is given back", || {
        server.resident_bytes() < before + 600_000
    });
}
