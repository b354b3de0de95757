//! Clients that read slowly, pause, or don't read at all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was measured")]

mod common;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use common::frames::{CLOSE, PING, RawClient, TEXT, close, frame};
use common::{PATIENCE, TestServer, wire};

const TIMESTAMP: u64 = 1_720_000_000;

/// Lines of a feed: signals that differ in their price, which counts them.
fn lines(prices: std::ops::Range<u64>) -> String {
    prices
        .map(|price| format!("buy BTCUSDT {price} {TIMESTAMP}\n"))
        .collect()
}

/// A client that knows which signal comes next.
struct Reader {
    client: RawClient,
    next: u64,
    closed: Option<(u16, String)>,
}

impl Reader {
    async fn connect(server: &TestServer, token: &str, next: u64) -> Self {
        Self {
            client: server.raw_client(token).await,
            next,
            closed: None,
        }
    }

    /// Looks at what has been received: signals in order and byte for byte, then perhaps a close.
    fn look(&mut self) {
        while let Some((first, payload)) = self.client.received() {
            assert_eq!(self.closed, None, "more after a close frame");
            if first == CLOSE {
                let (code, reason) = payload.split_first_chunk().unwrap();
                let reason = String::from_utf8(reason.to_vec()).unwrap();
                self.closed = Some((u16::from_be_bytes(*code), reason));
                continue;
            }
            assert_eq!(first, TEXT);
            let expected = wire("buy", "BTCUSDT", &self.next.to_string(), TIMESTAMP);
            assert!(
                payload == expected.as_bytes(),
                "{} instead of {expected}",
                String::from_utf8_lossy(payload)
            );
            self.next += 1;
        }
    }

    /// Receives so many bytes, or a little less, but none that may not be there yet.
    async fn read_some(&mut self, bytes: u64, published: u64) {
        let mut bytes = usize::try_from(bytes).unwrap();
        while bytes > 0 && self.next < published && self.closed.is_none() {
            bytes -= self.client.receive(bytes.min(8 * 1024)).await.unwrap();
            self.look();
        }
    }

    /// Reads until it has all before this one.
    async fn read_until(&mut self, next: u64) {
        while self.next < next {
            let count = self.client.receive(64 * 1024).await.unwrap();
            assert!(count > 0, "the connection ended at {} of {next}", self.next);
            self.look();
            assert_eq!(self.closed, None, "at {}", self.next);
        }
        assert_eq!(self.next, next);
    }

    /// Reads to the close frame, answers it, and sees the end.
    async fn read_to_close(&mut self) -> (u16, String) {
        let closed = loop {
            self.look();
            if let Some(closed) = &self.closed {
                break closed.clone();
            }
            let count = self.client.receive(64 * 1024).await.unwrap();
            assert!(
                count > 0,
                "the connection ended at {} without a close frame",
                self.next
            );
        };
        self.client.send(&close(closed.0, b"")).await;
        self.client.end().await;
        closed
    }

    /// Waits until the server resets the connection, reading nothing.
    async fn expect_reset(&mut self) {
        let begin = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            pause.tick().await;
            match self.client.tcp().take_error().unwrap() {
                Some(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                None => assert!(begin.elapsed() < PATIENCE, "never reset"),
            }
        }
    }
}

/// Random enough to pause at odd places, and the same at every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
async fn who_pauses_and_resumes_within_the_tail_misses_nothing_and_delays_nobody() {
    const WINDOW: u64 = 1500;
    const ROUNDS: u64 = 12;
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(transport);
        let token = server.token();
        let mut fast = Reader::connect(&server, &token, 0).await;
        let mut never = Reader::connect(&server, &token, 0).await;
        let mut slow = Vec::new();
        for seed in [1, 7, 42, 2026, 65_537, 1_720_000_000] {
            slow.push((Dice(seed), Reader::connect(&server, &token, 0).await));
        }
        for round in 1..=ROUNDS {
            let published = round * WINDOW;
            server.feed(&lines(published - WINDOW..published));
            // It has all of them while the others have been served little or nothing.
            fast.read_until(published).await;
            for (dice, reader) in &mut slow {
                if dice.roll(3) > 0 {
                    // Up to about one and a half times what is new.
                    let bytes = dice.roll(3 * WINDOW * 60);
                    reader.read_some(bytes, published).await;
                }
            }
        }
        let behind = slow
            .iter()
            .filter(|(_, reader)| reader.next < (ROUNDS - 1) * WINDOW);
        assert!(behind.count() > 0, "the dice were never slow");
        assert_eq!(never.next, 0);
        for reader in slow
            .iter_mut()
            .map(|(_, reader)| reader)
            .chain([&mut never])
        {
            reader.read_until(ROUNDS * WINDOW).await;
        }
        // They are caught up again: the next one comes to all of them, and is the next.
        server.feed(&lines(ROUNDS * WINDOW..ROUNDS * WINDOW + 1));
        for reader in slow
            .iter_mut()
            .map(|(_, reader)| reader)
            .chain([&mut never, &mut fast])
        {
            reader.read_until(ROUNDS * WINDOW + 1).await;
        }
    }
}

/// How large a flood is that some clients don't read.
struct Scale {
    transport: &'static str,
    journal: Journal,
    signals: u64,
    tail: &'static str,
    tail_bytes: u64,
    stopped: usize,
    readers: usize,
    write_timeout: Duration,
}

/// Whether what has left the tail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journal {
    Sqlite,
    None,
}

const JOURNALS: [Journal; 2] = [Journal::Sqlite, Journal::None];

/// Half of the stopped clients read again when the tail has moved past them: they get all of it,
/// or hear that it is gone if nothing is kept.
async fn clients_stop_reading(scale: &Scale) {
    /// In flight at once: what the readers have not received yet.
    const WINDOW: u64 = 1000;
    /// Bytes of a signal's frame, and what its place in the index takes.
    const LEAST_IN_TAIL: u64 = 100;
    /// What may be added to the tail: the server's own needs, and the stopped clients'.
    const MOST_BESIDES_TAIL: u64 = 50_000_000;

    let Scale {
        transport,
        journal,
        signals,
        tail,
        tail_bytes,
        ..
    } = *scale;
    let kind = match journal {
        Journal::Sqlite => "sqlite",
        Journal::None => "none",
    };
    let mut server = TestServer::start(&format!(
        "{transport} --hub-tail-bytes {tail} --limits-ping 1h --limits-silence 2h \
         --limits-write-timeout {}s --journal {kind}",
        scale.write_timeout.as_secs()
    ));
    let token = server.token();
    let mut stopped = Vec::new();
    for _ in 0..scale.stopped {
        stopped.push(Reader::connect(&server, &token, 0).await);
    }
    let mut readers = Vec::new();
    for _ in 0..scale.readers {
        readers.push(Reader::connect(&server, &token, 0).await);
    }
    let before = server.resident_bytes();

    // Twice what the tail can hold, and what sockets can hold besides.
    let past = (2 * tail_bytes + 2_000_000) / LEAST_IN_TAIL;
    assert!(past < signals, "too few signals to pass the tail");
    let begin = Instant::now();
    let mut most = 0;
    for published in (1..=signals / WINDOW).map(|round| round * WINDOW) {
        server.feed(&lines(published - WINDOW..published));
        for reader in &mut readers {
            reader.read_until(published).await;
        }
        most = most.max(server.resident_bytes());
        if published >= past && stopped.len() == scale.stopped {
            let mut returned = stopped.split_off(stopped.len() / 2);
            if journal == Journal::Sqlite {
                for mut reader in returned.drain(..) {
                    reader.read_until(published).await;
                    readers.push(reader);
                }
                continue;
            }
            for reader in &mut returned {
                let (code, reason) = reader.read_to_close().await;
                assert_eq!(code, 1013, "{reason}");
                assert!(
                    reason.contains("too far behind") && reason.len() <= 123,
                    "{reason}"
                );
                assert!(0 < reader.next && reader.next < published);
            }
        }
    }
    let elapsed = begin.elapsed();
    for reader in &mut stopped {
        reader.expect_reset().await;
        assert_eq!(reader.next, 0);
    }
    most = most.max(server.resident_bytes());
    let grown = most - before;
    println!(
        "{transport} {journal:?}: {} of {} clients stopped reading, tail {tail}, {signals} signals in {elapsed:.1?}: \
         resident {:.1} MB before, {:.1} MB more at most",
        scale.stopped,
        scale.stopped + scale.readers,
        before as f64 / 1e6,
        grown as f64 / 1e6,
    );
    assert!(
        grown <= tail_bytes + MOST_BESIDES_TAIL,
        "{grown} bytes more"
    );

    // Those that read are still there, and nobody else is.
    server.feed(&lines(signals..signals + 1));
    for reader in &mut readers {
        reader.read_until(signals + 1).await;
    }
    let log = server.stop();
    let clients = format!("clients={}", readers.len());
    assert!(log.contains(&clients), "{clients} is not in\n{log}");
}

/// An eighth of the tail and a twelfth of the signals, which still pass it four times.
#[tokio::test]
async fn clients_that_stop_reading_cost_neither_memory_nor_time() {
    for (transport, journal) in ["", "--plaintext"].into_iter().zip(JOURNALS) {
        clients_stop_reading(&Scale {
            transport,
            journal,
            signals: 42_000,
            tail: "1MiB",
            tail_bytes: 1 << 20,
            stopped: 100,
            readers: 3,
            write_timeout: Duration::from_secs(12),
        })
        .await;
    }
}

/// The size for which memory is promised. `make soak` runs it.
#[tokio::test]
async fn a_hundred_clients_that_stop_reading_while_half_a_million_signals_pass() {
    if std::env::var_os("SIGNALCAST_SOAK").is_none() {
        return;
    }
    for (transport, journal) in ["", "--plaintext"].into_iter().zip(JOURNALS) {
        clients_stop_reading(&Scale {
            transport,
            journal,
            signals: 500_000,
            tail: "8MiB",
            tail_bytes: 8 << 20,
            stopped: 100,
            readers: 10,
            write_timeout: Duration::from_secs(25),
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_whose_signals_are_gone_may_take_its_time_to_read_what_is_left() {
    /// About half of what sockets hold here.
    const READ: u64 = 192 * 1024;
    for transport in ["", "--plaintext"] {
        let tail = "--journal none --hub-tail-bytes 256KiB";
        let mut server = TestServer::start(&format!("{transport} {tail}"));
        let token = server.token();
        let mut slow = Reader::connect(&server, &token, 0).await;
        let mut fast = Reader::connect(&server, &token, 0).await;
        for published in (1000..=20_000).step_by(1000) {
            server.feed(&lines(published - 1000..published));
            fast.read_until(published).await;
        }
        // Enough for the server to put its close frame behind the signals that are on their way.
        slow.read_some(READ, 20_000).await;
        assert_eq!(slow.closed, None, "nothing is on its way");
        // Then it is busy for longer than an answer may take, and still answers pings.
        tokio::time::sleep(Duration::from_secs(3)).await;
        slow.client.send(&frame(PING, b"")).await;
        fast.client.send(&frame(TEXT, b"x")).await;
        assert_eq!(fast.client.next().await.0, TEXT);
        let (code, _) = slow.read_to_close().await;
        assert_eq!(code, 1013);
        assert!(slow.next < 20_000);
    }
}
