//! `POST /signals` when something fails: what was acknowledged is in the log, and what was not may be
//! brought again without becoming a second signal.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod publishing;
mod scrape;

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Answer, Folder, TestServer, patiently};
use futures::StreamExt;
use futures::future::{join_all, poll_immediate};
use futures::stream::FuturesUnordered;
use publishing::{NDJSON, Publisher, TEXT, accepted, bearer, client, line, next, request};
use rusqlite::Connection;
use rustix::process::Signal;
use scrape::{MEASURED, Scrape, metrics_address};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// A log that can't be written, until somebody lets go of it.
struct Held(Connection);

impl Held {
    fn of(server: &TestServer) -> Self {
        let db = Connection::open(server.folder.path("data/signals.db")).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(db)
    }

    fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// Waits until writing the log has failed.
async fn fails(server: &TestServer) {
    let name = "signalcast_journal_failures_total";
    let address = metrics_address(server).await;
    Scrape::until(address, name, |scrape| scrape.count(name) > 0).await;
}

/// The ids in a log, in order; none is there twice.
fn stored(folder: &Folder) -> Vec<String> {
    let db = Connection::open(folder.path("data/signals.db")).unwrap();
    let mut query = db.prepare("SELECT id FROM signals ORDER BY seq").unwrap();
    let ids = query.query_map([], |row| row.get(0)).unwrap();
    let ids: Vec<String> = ids.map(Result::unwrap).collect();
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len());
    ids
}

#[tokio::test]
async fn nobody_is_answered_before_the_log_has_the_signals() {
    let server = TestServer::start(&format!("{MEASURED} --limits-handshake 60s"));
    let mut client = client(&server, "/").await;
    let mut publisher = Publisher::of(&server).await;
    let held = Held::of(&server);
    publisher.send(NDJSON, &line("a", "A")).await.unwrap();
    fails(&server).await;
    {
        let mut answer = std::pin::pin!(publisher.answer());
        let early = poll_immediate(&mut answer).await;
        assert!(early.is_none(), "{early:?}");
        held.release();
        assert_eq!(accepted(&answer.await.unwrap()), [(1, 1, false)]);
    }
    assert_eq!(next(&mut client, 1).await, [(1, "A".to_owned())]);
}

#[tokio::test]
async fn when_the_log_fails_the_wait_is_bounded_and_a_retry_is_one_signal() {
    let server = TestServer::start(&format!("{MEASURED} --plaintext --limits-handshake 2s"));
    let mut client = client(&server, "/").await;
    let held = Held::of(&server);
    let post = request(&bearer(&server), NDJSON, &line("a", "A"));
    let begun = Instant::now();
    // More than one, and more than wait for the log at once.
    let refused = join_all((0..100).map(|_| server.exchange(post.as_bytes()))).await;
    for answer in refused {
        assert_eq!((answer.status, &*answer.code()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    let took = begun.elapsed();
    assert!((2..20).contains(&took.as_secs()), "{took:?}");
    let address = metrics_address(&server).await;
    assert_eq!(Scrape::of(address).await.count("signalcast_head_seq"), 0);
    // Meanwhile others are let in.
    server.client().await;

    held.release();
    let mut publisher = Publisher::of(&server).await;
    let told = publisher
        .publish(NDJSON, &(line("a", "A") + "buy B 1"))
        .await;
    assert_eq!(told, [(1, 1, true), (2, 2, false)]);
    let expected = [(1, "A".to_owned()), (2, "B".to_owned())];
    assert_eq!(next(&mut client, 2).await, expected);
    assert_eq!(stored(&server.folder).len(), 2);
}

#[tokio::test]
async fn while_the_log_fails_a_server_that_is_nearly_full_can_still_be_halted() {
    let folder = Folder::new();
    let serve = "serve --plaintext --source stdin --listen 127.0.0.1:0 --limits-handshake 5m";
    let serve = folder.command(serve);
    // Then 50 may wait for the server's own work.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 200; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .current_dir(folder.path(""));
    let server = TestServer::start_command(Arc::new(folder), limited);
    let held = Held::of(&server);
    let mut publishers = Vec::new();
    for n in 0..60 {
        let mut publisher = Publisher::of(&server).await;
        let body = line(&format!("a{n}"), "A");
        publisher.send(NDJSON, &body).await.unwrap();
        publishers.push(publisher);
        // One after the other: so many strangers at once would be too many.
        let healthy = patiently("whether it lives", server.get("/healthz", "")).await;
        assert_eq!(healthy.status, 200);
    }
    let halt = server.administer("POST", "/halt", "{\"reason\":\"x\"}");
    assert_eq!(patiently("the halt", halt).await.status, 200);
    held.release();
    for publisher in &mut publishers {
        assert_eq!(publisher.answer().await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn who_goes_away_before_the_answer_has_published_all_the_same() {
    let server = TestServer::start(&format!("{MEASURED} --limits-handshake 60s"));
    let mut client = client(&server, "/").await;
    let held = Held::of(&server);
    let mut publisher = Publisher::of(&server).await;
    publisher.send(NDJSON, &line("a", "A")).await.unwrap();
    fails(&server).await;
    publisher.stream.shutdown().await.unwrap();
    drop(publisher);
    held.release();
    assert_eq!(next(&mut client, 1).await, [(1, "A".to_owned())]);
    let told = Publisher::of(&server)
        .await
        .publish(NDJSON, &line("a", "A"))
        .await;
    assert_eq!(told, [(1, 1, true)]);
}

#[tokio::test]
async fn a_crash_before_the_commit_loses_nothing_that_was_acknowledged_and_after_it_repeats_nothing()
 {
    for (point, is_duplicate) in [("before_commit", false), ("after_commit", true)] {
        let folder = Arc::new(Folder::new());
        let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin");
        command.env("SIGNALCAST_CRASH_AT", format!("{point}:3"));
        let server = TestServer::start_command(Arc::clone(&folder), command);
        let mut publisher = Publisher::of(&server).await;
        let (mut known, mut n) = (Vec::new(), 0);
        let lost = loop {
            n += 1;
            let (a, b) = (format!("a{n}"), format!("b{n}"));
            let body = line(&a, "A") + &line(&b, "B");
            let sent = publisher.send(NDJSON, &body).await;
            match sent.and(publisher.answer().await) {
                Ok(answer) => assert_eq!(accepted(&answer).len(), 2),
                Err(_) => break body,
            }
            known.extend([a, b]);
        };
        let (status, log) = server.wait();
        assert!(!status.success(), "{log}");
        let in_log = stored(&folder);
        assert!(in_log.starts_with(&known), "{in_log:?}");
        assert_eq!(in_log.len() - known.len(), if is_duplicate { 2 } else { 0 });

        let server = TestServer::start_in(Arc::clone(&folder), "");
        let told = Publisher::of(&server).await.publish(NDJSON, &lost).await;
        let seq = known.len() as u64;
        assert_eq!(
            told,
            [(1, seq + 1, is_duplicate), (2, seq + 2, is_duplicate)]
        );
        server.stop();
        assert_eq!(stored(&folder).len(), known.len() + 2);
    }
}

/// What one strategy has brought to a server that dies again and again.
struct Strategy {
    name: usize,
    /// Those that were acknowledged, each with its seq.
    acknowledged: Vec<(String, u64)>,
    /// What is to be brought next, and whether it was brought before.
    next: u64,
}

impl Strategy {
    /// Brings signals, one request after the other, until the server is gone.
    async fn bring(&mut self, server: &TestServer) {
        let mut publisher = Publisher::named(server, &format!("s{}", self.name)).await;
        loop {
            let ids: Vec<_> = (0..3)
                .map(|n| format!("{}-{}-{n}", self.name, self.next))
                .collect();
            let body: String = ids.iter().map(|id| line(id, "X")).collect();
            let sent = publisher.send(NDJSON, &body).await;
            let answer = match sent {
                Ok(()) => publisher.answer().await,
                Err(why) => Err(why),
            };
            match answer {
                Ok(answer) if answer.status == 201 => {
                    let seqs = accepted(&answer).into_iter().map(|(_, seq, _)| seq);
                    self.acknowledged.extend(ids.into_iter().zip(seqs));
                    self.next += 1;
                }
                Ok(answer) => {
                    assert_eq!((answer.status, &*answer.code()), (503, "draining"));
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

/// Every server of a row, with this signal for its end, is brought signals until it is gone; in
/// the end the log holds each of them once, at the place that was told.
async fn ends(end: Signal, rounds: u64) {
    let folder = Arc::new(Folder::new());
    let mut strategies: Vec<_> = (0..4)
        .map(|name| Strategy {
            name,
            acknowledged: Vec::new(),
            next: 0,
        })
        .collect();
    for round in 0..rounds {
        let server = TestServer::start_in(Arc::clone(&folder), "");
        let mut client = client(&server, "/").await;
        let bringing = join_all(strategies.iter_mut().map(|one| one.bring(&server)));
        let ending = async {
            // Each time somewhere else in their work.
            next(&mut client, 10 + 7 * usize::try_from(round).unwrap()).await;
            server.signal(end);
        };
        patiently("the end", async { tokio::join!(bringing, ending) }).await;
        drop(client);
        let (status, log) = server.wait();
        assert_eq!(status.success(), end == Signal::TERM, "{status} {log}");
        assert!(!log.contains("bug"), "{log}");
    }
    let server = TestServer::start_in(Arc::clone(&folder), "");
    for one in &mut strategies {
        let mut publisher = Publisher::of(&server).await;
        let ids: Vec<_> = (0..3)
            .map(|n| format!("{}-{}-{n}", one.name, one.next))
            .collect();
        let body: String = ids.iter().map(|id| line(id, "X")).collect();
        let told = publisher.publish(NDJSON, &body).await;
        one.acknowledged
            .extend(ids.into_iter().zip(told.into_iter().map(|(_, seq, _)| seq)));
    }
    server.stop();
    let mut all: Vec<_> = strategies
        .into_iter()
        .flat_map(|one| one.acknowledged)
        .collect();
    all.sort_by_key(|(_, seq)| *seq);
    assert!(all.iter().map(|(_, seq)| *seq).eq(1..=all.len() as u64));
    let ids: Vec<_> = all.into_iter().map(|(id, _)| id).collect();
    assert_eq!(stored(&folder), ids);
}

#[tokio::test]
async fn whenever_the_server_is_killed_each_signal_is_in_the_log_once_and_where_it_was_told() {
    ends(Signal::KILL, 8).await;
}

#[tokio::test]
async fn a_drain_answers_what_it_took_and_refuses_the_rest() {
    ends(Signal::TERM, 4).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_bodies_and_answers_those_that_wait_for_the_log() {
    let server = TestServer::start(&format!("{MEASURED} --limits-handshake 60s --drain 30s"));
    // Half a body.
    let whole = request(&bearer(&server), TEXT, "buy LATE 1");
    let mut late = server.connect().await;
    late.write_all(&whole.as_bytes()[..whole.len() - 5])
        .await
        .unwrap();
    late.flush().await.unwrap();
    let held = Held::of(&server);
    let mut publishers = Vec::new();
    for n in 0..10 {
        let mut publisher = Publisher::of(&server).await;
        publisher
            .send(NDJSON, &line(&format!("n{n}"), "X"))
            .await
            .unwrap();
        publishers.push(publisher);
    }
    fails(&server).await;
    let address = metrics_address(&server).await;
    let waiting = r#"signalcast_signals_total{source="http",type="buy"}"#;
    Scrape::until(address, waiting, |scrape| {
        scrape.values.contains_key(waiting)
    })
    .await;
    let begun = Instant::now();
    server.signal(Signal::TERM);
    server.logged("draining").await;
    held.release();
    let mut taken = 0;
    for mut publisher in publishers {
        match publisher.answer().await {
            Ok(answer) if answer.status == 201 => taken += 1,
            Ok(answer) => assert_eq!((answer.status, &*answer.code()), (503, "draining")),
            // Cut off before it was looked at.
            Err(_) => {}
        }
    }
    assert!(taken > 0);
    let folder = Arc::clone(&server.folder);
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(25), "{log}");
    assert_eq!(stored(&folder).len(), taken);
}

/// Of what is not taken at once there is a rest when the last signal is in the log.
#[tokio::test]
async fn a_drain_brings_a_long_answer_to_its_end() {
    const SIGNALS: usize = 10_000;
    let server = TestServer::start(&format!(
        "{MEASURED} --plaintext --limits-handshake 60s --drain 30s"
    ));
    let held = Held::of(&server);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let body: String = (0..SIGNALS).map(|n| line(&format!("n{n}"), "X")).collect();
    let post = request(&bearer(&server), NDJSON, &body);
    stream.write_all(post.as_bytes()).await.unwrap();
    fails(&server).await;
    server.signal(Signal::TERM);
    server.logged("draining").await;
    held.release();
    // All of it is in the log, and the answer has begun.
    stream.readable().await.unwrap();
    let mut bytes = Vec::new();
    patiently("answer", stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    let answer = Answer::parse(&bytes);
    let length = answer.header("content-length").unwrap().parse();
    assert_eq!(length, Ok(answer.body.len()));
    assert_eq!(accepted(&answer).len(), SIGNALS);
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
}

/// Four of the largest bodies, or so, are held until they are in the log.
#[tokio::test]
async fn while_the_log_fails_what_waits_for_it_is_bounded_and_the_rest_is_turned_away_at_once() {
    const LINES: usize = 240;
    let server = TestServer::start(&format!("{MEASURED} --plaintext --limits-handshake 60s"));
    let held = Held::of(&server);
    let note = "x".repeat(64_000);
    let body = |number: usize| -> String {
        let line = |n| {
            let id = format!("{number}-{n}");
            format!(r#"{{"id":"{id}","side":"buy","symbol":"X","price":1,"note":"{note}"}}"#) + "\n"
        };
        (0..LINES).map(line).collect()
    };
    let before = server.resident_bytes();
    // Each of them another, for nobody has room for more than one of these.
    let bring = async |number: usize| {
        let mut publisher = Publisher::named(&server, &format!("strategy-{number}")).await;
        // What is refused is not read to its end.
        publisher.send(NDJSON, &body(number)).await.ok();
        (number, publisher.answer().await)
    };
    let expect_refusal = |answer: io::Result<Answer>| {
        if let Ok(answer) = answer {
            assert_eq!((answer.status, &*answer.code()), (503, "overloaded"));
            assert!(answer.body.contains("nothing was taken"), "{}", answer.body);
        }
    };
    let mut bringing: FuturesUnordered<_> = (0..8).map(bring).collect();
    let mut refused = Vec::new();
    while refused.len() < 4 {
        let (number, answer) = patiently("refusal", bringing.next()).await.unwrap();
        expect_refusal(answer);
        refused.push(number);
    }
    let grown = server.resident_bytes() - before;
    assert!(grown < 256 << 20, "{grown}");
    held.release();
    let mut taken = 0;
    while let Some((number, answer)) = patiently("answer", bringing.next()).await {
        match answer {
            Ok(answer) if answer.status == 201 => {
                assert_eq!(accepted(&answer).len(), LINES, "{number}");
                taken += 1;
            }
            // Two that grow at once may take the last room from each other.
            refusal => expect_refusal(refusal),
        }
    }
    assert!((1..=4).contains(&taken), "{taken}");
    // There is room again.
    let (_, answer) = bring(refused[0]).await;
    assert_eq!(accepted(&answer.unwrap()).len(), LINES);
    assert_eq!(stored(&server.folder).len(), (taken + 1) * LINES);
}
