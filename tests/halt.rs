//! The halt switch: nothing is broadcast until it is lifted, and what is recorded meanwhile is void.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod scrape;

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::disk::Disk;
use common::jwt::{claims, with};
use common::{Folder, TestClient, TestServer, patiently, wire};
use futures::StreamExt;
use futures::future::join_all;
use rusqlite::Connection;
use rustix::process::Signal;
use scrape::{MEASURED, Scrape, get, metrics_address};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::time::interval;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;

const JOURNALS: [&str; 2] = ["--journal sqlite", "--journal none"];

const V1: &str = "signalcast.v1";
const V2: &str = "signalcast.v2";

const REASON: &str = "the exchange is down";

/// What is answered to a call that is done.
async fn done(server: &TestServer, method: &str, path: &str, body: &str) -> Value {
    let answer = server.administer(method, path, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).unwrap()
}

/// Halts; the answer, but for the time.
async fn halt(server: &TestServer) -> Value {
    let body = json!({ "reason": REASON }).to_string();
    timeless(done(server, "POST", "/halt", &body).await)
}

fn timeless(mut stand: Value) -> Value {
    let since = stand.as_object_mut().unwrap().remove("since").unwrap();
    let _: jiff::Timestamp = since.as_str().unwrap().parse().unwrap();
    stand
}

fn halted(from_seq: u64) -> Value {
    json!({ "halted": true, "reason": REASON, "from_seq": from_seq })
}

async fn lift(server: &TestServer) -> Value {
    done(server, "DELETE", "/halt", "").await
}

fn lifted(to_seq: u64) -> Value {
    json!({ "halted": false, "to_seq": to_seq })
}

/// A client that asks for this subprotocol.
async fn client(server: &TestServer, path: &str, subprotocol: &str) -> TestClient {
    let token = server.mint(&claims());
    let client = server.client_speaking(subprotocol, path, &token).await;
    client.unwrap_or_else(|error| panic!("{path}: {error}:\n{}", server.log()))
}

/// The next message of `signalcast.v2` that is no heartbeat.
async fn said(client: &mut TestClient) -> Value {
    loop {
        let said = client.json().await;
        if said["type"] != "heartbeat" {
            return said;
        }
    }
}

async fn expect_halted(client: &mut TestClient) {
    let expected = json!({ "type": "halted", "reason": REASON });
    assert_eq!(said(client).await, expected);
}

async fn expect_resumed(client: &mut TestClient) {
    assert_eq!(said(client).await, json!({ "type": "resumed_live" }));
}

/// The next signals of a client of `signalcast.v2`: these, marked as stale or not.
async fn expect(client: &mut TestClient, seqs: RangeInclusive<u64>, stale: bool) {
    for seq in seqs {
        let signal = said(client).await;
        assert_eq!(signal["seq"], seq, "{signal}");
        assert_eq!(signal["content"]["price"], seq, "{signal}");
        assert_eq!(signal["stale"], json!(stale.then_some(true)), "{signal}");
    }
}

/// The same of a client of `signalcast.v1`.
async fn expect_v1(client: &mut TestClient, prices: RangeInclusive<u64>) {
    for price in prices {
        let expected = wire("buy", "X", &price.to_string(), 1_720_000_000);
        assert_eq!(client.text().await, expected);
    }
}

/// Nothing waits to be sent to this client: its test signal comes next.
async fn expect_nothing(client: &mut TestClient) {
    for _ in 0..2 {
        client.send("test").await;
        let answer = said(client).await;
        assert_eq!(answer["is_test"], true, "{answer}");
        assert_eq!(answer["seq"], Value::Null, "{answer}");
    }
}

/// Lines whose price is what their seq will be.
fn lines(seqs: RangeInclusive<u64>) -> String {
    seqs.map(|seq| format!("buy X {seq} 1720000000\n"))
        .collect()
}

/// The seqs of past signals, and whether each is stale.
async fn past(server: &TestServer, query: &str) -> Vec<(u64, bool)> {
    let bearer = format!("Authorization: Bearer {}\r\n", server.mint(&claims()));
    let target = format!("/signals?limit=10000&{query}");
    let answer = server.get(&target, &bearer).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let signals = body["signals"].as_array().unwrap().iter();
    signals
        .map(|signal| (signal["seq"].as_u64().unwrap(), signal["stale"] == true))
        .collect()
}

/// Waits until so many signals are in the log, and the shard that answers has them.
async fn recorded(server: &TestServer, count: usize) {
    let mut pause = interval(Duration::from_millis(5));
    let all = async {
        while past(server, "stale=true").await.len() < count {
            pause.tick().await;
        }
    };
    patiently("signals in the log", all).await;
}

fn fresh(seqs: RangeInclusive<u64>) -> Vec<(u64, bool)> {
    seqs.map(|seq| (seq, false)).collect()
}

fn stale(seqs: RangeInclusive<u64>) -> Vec<(u64, bool)> {
    seqs.map(|seq| (seq, true)).collect()
}

/// Of each signal in the database: its seq, and the column that says when it is stale.
fn stored(folder: &Folder) -> Vec<(u64, Option<i64>)> {
    let db = Connection::open(folder.path("data/signals.db")).unwrap();
    let mut query = db
        .prepare("SELECT seq, stale_after FROM signals ORDER BY seq")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
    rows.unwrap()
        .map(Result::unwrap)
        .map(|(seq, stale_after)| (seq.unsigned_abs(), stale_after))
        .collect()
}

#[tokio::test]
async fn while_halted_nobody_is_sent_a_signal_and_afterwards_they_go_on() {
    for journal in JOURNALS {
        let mut server = TestServer::start(&format!("{journal} --server-shards 1"));
        let mut v1 = client(&server, "/", V1).await;
        let mut v2 = client(&server, "/", V2).await;
        let mut marked = client(&server, "/?stale=true", V2).await;
        for client in [&mut v2, &mut marked] {
            assert_eq!(said(client).await["type"], "connection_established");
        }
        server.feed(&lines(1..=3));
        expect_v1(&mut v1, 1..=3).await;
        expect(&mut v2, 1..=3, false).await;
        expect(&mut marked, 1..=3, false).await;

        assert_eq!(halt(&server).await, halted(4));
        expect_halted(&mut v2).await;
        expect_halted(&mut marked).await;
        server.feed(&lines(4..=6));
        recorded(&server, 6).await;
        // Whoever comes now, to begin anywhere.
        let mut resumed_v1 = client(&server, "/?after_seq=0", V1).await;
        let mut resumed = client(&server, "/?after_seq=1", V2).await;
        let mut resumed_marked = client(&server, "/?after_seq=1&stale=true", V2).await;
        let mut new = client(&server, "/", V2).await;
        for client in [&mut resumed, &mut resumed_marked, &mut new] {
            assert_eq!(said(client).await["type"], "connection_established");
            expect_halted(client).await;
        }
        for client in [
            &mut v1,
            &mut v2,
            &mut marked,
            &mut resumed_v1,
            &mut resumed,
            &mut resumed_marked,
            &mut new,
        ] {
            expect_nothing(client).await;
        }

        assert_eq!(lift(&server).await, lifted(6));
        for client in [
            &mut v2,
            &mut marked,
            &mut resumed,
            &mut resumed_marked,
            &mut new,
        ] {
            expect_resumed(client).await;
        }
        // Who wants what is stale gets what is void as such.
        expect(&mut marked, 4..=6, true).await;
        expect_v1(&mut resumed_v1, 1..=3).await;
        expect(&mut resumed, 2..=3, false).await;
        expect(&mut resumed_marked, 2..=3, false).await;
        expect(&mut resumed_marked, 4..=6, true).await;
        for client in [&mut v1, &mut v2, &mut new] {
            expect_nothing(client).await;
        }
        server.feed(&lines(7..=9));
        for client in [&mut v1, &mut resumed_v1] {
            expect_v1(client, 7..=9).await;
        }
        for client in [
            &mut v2,
            &mut marked,
            &mut resumed,
            &mut resumed_marked,
            &mut new,
        ] {
            expect(client, 7..=9, false).await;
        }
        let all = [fresh(1..=3), stale(4..=6), fresh(7..=9)].concat();
        assert_eq!(past(&server, "stale=true").await, all);
        let left = [fresh(1..=3), fresh(7..=9)].concat();
        assert_eq!(past(&server, "").await, left);
        assert_eq!(past(&server, "after_seq=4").await, fresh(7..=9));
        server.stop();
    }
}

#[tokio::test]
async fn a_halt_outlives_the_process_and_what_was_void_stays_so() {
    for journal in JOURNALS {
        let folder = Arc::new(Folder::new());
        let arguments = format!("{journal} --server-shards 2");
        let mut server = TestServer::start_in(Arc::clone(&folder), &arguments);
        server.feed(&lines(1..=2));
        recorded(&server, 2).await;
        assert_eq!(halt(&server).await, halted(3));
        let stand = done(&server, "GET", "/halt", "").await;
        let mode = fs::metadata(folder.path("data/halt.json")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o7777, 0o600);
        server.feed(&lines(3..=4));
        recorded(&server, 4).await;
        server.signal(Signal::KILL);
        server.wait();

        let is_kept = journal == JOURNALS[0];
        let next = if is_kept { 5 } else { 1 };
        let mut server = TestServer::start_in(Arc::clone(&folder), &arguments);
        server.logged("still halted").await;
        let again = done(&server, "GET", "/halt", "").await;
        assert_eq!(again["since"], stand["since"]);
        assert_eq!(timeless(again), halted(next.min(3)));
        // Clients come before the first signal.
        let mut clients = Vec::new();
        for path in ["/", "/?after_seq=0", "/?after_seq=0&stale=true"] {
            let mut client = client(&server, path, V2).await;
            assert_eq!(said(&mut client).await["type"], "connection_established");
            expect_halted(&mut client).await;
            clients.push(client);
        }
        server.feed(&lines(next..=next + 1));
        recorded(&server, usize::try_from(next + 1).unwrap()).await;
        for client in &mut clients {
            expect_nothing(client).await;
        }
        assert_eq!(lift(&server).await, lifted(next + 1));
        assert!(!folder.path("data/halt.json").exists());
        for client in &mut clients {
            expect_resumed(client).await;
        }
        let [live, all, marked] = &mut clients[..] else {
            unreachable!()
        };
        if is_kept {
            expect(all, 1..=2, false).await;
            expect(marked, 1..=2, false).await;
            expect(marked, 3..=6, true).await;
        } else {
            expect(marked, 1..=2, true).await;
        }
        server.feed(&lines(next + 2..=next + 2));
        for client in [live, all, marked] {
            expect(client, next + 2..=next + 2, false).await;
        }
        server.stop();

        let server = TestServer::start_in(Arc::clone(&folder), &arguments);
        assert_eq!(
            done(&server, "GET", "/halt", "").await,
            json!({ "halted": false })
        );
        if is_kept {
            let all = [fresh(1..=2), stale(3..=6), fresh(7..=7)].concat();
            assert_eq!(past(&server, "stale=true").await, all);
            let mut resumed = client(&server, "/?after_seq=1", V2).await;
            said(&mut resumed).await;
            expect(&mut resumed, 2..=2, false).await;
            expect(&mut resumed, 7..=7, false).await;
        }
        server.stop();
        if is_kept {
            let void = |seq| (3..=6).contains(&seq).then_some(0);
            let expected: Vec<_> = (1..=7).map(|seq| (seq, void(seq))).collect();
            assert_eq!(stored(&folder), expected);
            let replayed = folder.run("replay 1 --speed max");
            let replayed = common::text(&replayed.stdout);
            let marked = replayed
                .lines()
                .map(|line| line.ends_with(r#","stale":true}"#));
            let expected: Vec<_> = expected.iter().map(|(_, at)| at.is_some()).collect();
            assert_eq!(marked.collect::<Vec<_>>(), expected, "{replayed}");
        }
    }
}

/// A client of `signalcast.v2` on a server without TLS, for which little waits in its own system.
async fn slow_client(server: &TestServer) -> TestClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = MaybeTlsStream::Plain(socket.connect(server.address).await.unwrap());
    let request = server.request_speaking(V2, "/", &server.mint(&claims()));
    let upgraded = Box::pin(tokio_tungstenite::client_async(request, stream));
    let (socket, response) = patiently("upgrade", upgraded).await.unwrap();
    TestClient { socket, response }
}

#[tokio::test]
async fn a_client_that_is_behind_waits_where_it_is_and_goes_on() {
    const SIGNALS: u64 = 60_000;
    let mut server = TestServer::start("--server-shards 1 --plaintext");
    let mut deaf = slow_client(&server).await;
    let mut live = client(&server, "/", V1).await;
    let mut feed = server.take_feed();
    let feeding = thread::spawn(move || {
        feed.write_all(lines(1..=SIGNALS).as_bytes()).unwrap();
        feed
    });
    expect_v1(&mut live, 1..=SIGNALS).await;
    let mut feed = feeding.join().unwrap();
    assert_eq!(halt(&server).await, halted(SIGNALS + 1));
    assert_eq!(said(&mut deaf).await["type"], "connection_established");
    // What was on its way, in order; then it is told, and nothing comes.
    let mut seen = 0;
    loop {
        let said = said(&mut deaf).await;
        if said["type"] == "halted" {
            break;
        }
        seen += 1;
        assert_eq!(said["seq"], seen);
    }
    assert!((1..SIGNALS / 2).contains(&seen), "{seen}");
    expect_nothing(&mut deaf).await;
    feed.write_all(lines(SIGNALS + 1..=SIGNALS + 3).as_bytes())
        .unwrap();
    let metrics = async {
        let mut pause = interval(Duration::from_millis(5));
        let query = format!("after_seq={SIGNALS}&stale=true");
        while past(&server, &query).await.len() < 3 {
            pause.tick().await;
        }
    };
    patiently("void signals", metrics).await;
    expect_nothing(&mut deaf).await;
    assert_eq!(lift(&server).await, lifted(SIGNALS + 3));
    expect_resumed(&mut deaf).await;
    expect(&mut deaf, seen + 1..=SIGNALS, false).await;
    feed.write_all(lines(SIGNALS + 4..=SIGNALS + 4).as_bytes())
        .unwrap();
    expect(&mut deaf, SIGNALS + 4..=SIGNALS + 4, false).await;
    expect_v1(&mut live, SIGNALS + 4..=SIGNALS + 4).await;
    drop(feed);
    server.stop();
}

/// What a client got: the seqs, and between them the halts it was told of.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Signal(u64),
    Halted,
    Resumed,
}

/// All that comes until the signal of the symbol `END`, the number being the price. So much comes
/// that it is looked at no further.
async fn all_until_end(mut client: TestClient) -> Vec<Got> {
    let mut all = Vec::new();
    loop {
        let next = patiently("message", client.socket.next()).await;
        let Message::Text(text) = next.unwrap().unwrap() else {
            continue;
        };
        let said: Value = serde_json::from_str(&text).unwrap();
        match said["type"].as_str().unwrap() {
            "halted" => all.push(Got::Halted),
            "resumed_live" => all.push(Got::Resumed),
            "buy" => all.push(Got::Signal(said["content"]["price"].as_u64().unwrap())),
            "sell" => return all,
            "connection_established" | "heartbeat" => {}
            _ => panic!("{said}"),
        }
    }
}

#[tokio::test]
async fn of_a_flood_clients_get_exactly_what_was_recorded_while_not_halted() {
    const HALTS: usize = 60;
    for journal in JOURNALS {
        let mut server = TestServer::start(&format!("{journal} --server-shards 2 --plaintext"));
        let mut clients = Vec::new();
        for subprotocol in [V1, V2, V1, V2] {
            clients.push(client(&server, "/", subprotocol).await);
        }
        clients.push(client(&server, "/?stale=true", V2).await);
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (mut feed, stopped) = (server.take_feed(), Arc::clone(&stop));
        let flood = thread::spawn(move || {
            let mut next = 1;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                feed.write_all(lines(next..=next + 19).as_bytes()).unwrap();
                next += 20;
                // Some 4,000 a second: more would only make the clients of the test late.
                thread::sleep(Duration::from_millis(5));
            }
            (feed, next - 1)
        });
        let throwing = async {
            let mut halts = Vec::new();
            for _ in 0..HALTS {
                let from = halt(&server).await["from_seq"].as_u64().unwrap();
                let to = lift(&server).await["to_seq"].as_u64().unwrap();
                halts.push(from..=to);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            halts
        };
        let (ends, reading) = (throwing, join_all(clients.into_iter().map(all_until_end)));
        let ending = async {
            let halts = ends.await;
            let (mut feed, last) = tokio::task::spawn_blocking(|| flood.join().unwrap())
                .await
                .unwrap();
            feed.write_all(b"sell END 1\n").unwrap();
            (halts, last, feed)
        };
        let ((halts, last, _feed), got) = tokio::join!(ending, reading);
        let is_void = |seq: &u64| halts.iter().any(|halt| halt.contains(seq));
        let (void, live): (Vec<u64>, Vec<u64>) = (1..=last).partition(is_void);
        assert!(void.len() > 50 && live.len() > 50, "{halts:?} of {last}");
        if journal == JOURNALS[0] {
            let stored = stored(&server.folder);
            let expected = (1..=last).map(|seq| (seq, is_void(&seq).then_some(0)));
            assert!(stored[..stored.len() - 1].iter().copied().eq(expected));
        }
        for (index, got) in got.iter().enumerate() {
            let signals = got.iter().filter_map(|got| match got {
                Got::Signal(seq) => Some(*seq),
                _ => None,
            });
            if index == 4 {
                assert!(signals.eq(1..=last), "everything, marked");
            } else {
                let signals: Vec<_> = signals.collect();
                assert!(signals == live, "{} of {}", signals.len(), live.len());
            }
            let told: Vec<_> = got
                .iter()
                .filter(|got| !matches!(got, Got::Signal(_)))
                .collect();
            if [1, 3, 4].contains(&index) {
                expect_told_in_place(got, &halts);
            } else {
                assert!(told.is_empty(), "clients of v1 are told nothing");
            }
        }
        server.stop();
    }
}

/// No signal comes between the news of a halt and that it is over, and before it only what was
/// recorded before.
fn expect_told_in_place(got: &[Got], halts: &[RangeInclusive<u64>]) {
    let (mut is_halted, mut told, mut newest) = (false, 0, 0);
    for got in got {
        match got {
            Got::Signal(seq) => {
                assert!(!is_halted, "{seq} during a halt");
                newest = *seq;
            }
            Got::Halted => {
                assert!(!is_halted);
                (is_halted, told) = (true, told + 1);
                let begins = halts.iter().any(|halt| newest < *halt.start());
                assert!(begins, "{newest} before the last of {halts:?}");
            }
            Got::Resumed => {
                assert!(is_halted);
                is_halted = false;
            }
        }
    }
    // Two that follow each other at once may be told as one.
    assert!(!is_halted && (1..=halts.len()).contains(&told), "{told}");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_keeps_no_halt_from_holding() {
    let folder = Arc::new(Folder::new());
    let disk = Disk::on(&folder, "data", 8 << 20);
    let serve = "serve --plaintext --listen 127.0.0.1:0 --source stdin --server-shards 1";
    let serve = format!("{serve} {MEASURED}");
    let mut server = TestServer::start_command(Arc::clone(&folder), disk.command(&serve));
    let mut live = client(&server, "/", V2).await;
    said(&mut live).await;
    server.feed(&lines(1..=1));
    expect(&mut live, 1..=1, false).await;
    disk.fill("other");
    let note = "x".repeat(400);
    let long = |seqs: RangeInclusive<u64>| -> String {
        let line =
            |seq| format!(r#"{{"side":"buy","symbol":"X","price":{seq},"note":"{note}"}}"#) + "\n";
        seqs.map(line).collect()
    };
    server.feed(&long(2..=2000));
    server
        .logged("signals wait until the log can be written")
        .await;

    let begin = Instant::now();
    let body = json!({ "reason": REASON }).to_string();
    let answer = server.administer("POST", "/halt", &body).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    for words in ["is halted, but would not be after a restart", "halt.json"] {
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    // So many have come as there was room for.
    let mut next = 2;
    loop {
        let said = said(&mut live).await;
        if said["type"] == "halted" {
            break;
        }
        assert_eq!(said["seq"], next);
        next += 1;
    }
    let stand = done(&server, "GET", "/halt", "").await;
    assert_eq!(timeless(stand), halted(next));

    fs::remove_file(disk.path("other")).unwrap();
    server.logged("the log can be written again").await;
    assert_eq!(halt(&server).await, halted(next));
    expect_halted(&mut live).await;
    let address = metrics_address(&server).await;
    let all = |scrape: &Scrape| scrape.count("signalcast_head_seq") == 2000;
    Scrape::until(address, "all recorded", all).await;
    expect_nothing(&mut live).await;
    assert_eq!(lift(&server).await, lifted(2000));
    expect_resumed(&mut live).await;
    server.feed(&lines(2001..=2001));
    expect(&mut live, 2001..=2001, false).await;
    server.stop();
}

#[tokio::test]
async fn a_log_that_hangs_is_not_waited_for_without_end() {
    let mut server = TestServer::start("--server-shards 1");
    let mut live = client(&server, "/", V2).await;
    said(&mut live).await;
    let db = Connection::open(server.folder.path("data/signals.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    server.feed(&lines(1..=1));
    let begin = Instant::now();
    let body = json!({ "reason": REASON }).to_string();
    let answer = server.administer("POST", "/halt", &body).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "bounded");
    if answer.status != 200 {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains("does not hold yet"), "{}", answer.body);
    }
    db.execute_batch("ROLLBACK").unwrap();
    expect_halted(&mut live).await;
    recorded(&server, 1).await;
    assert_eq!(timeless(done(&server, "GET", "/halt", "").await), halted(1));
    assert_eq!(lift(&server).await, lifted(1));
    expect_resumed(&mut live).await;
    server.stop();
}

#[tokio::test]
async fn it_can_be_seen_everywhere_that_the_server_is_halted() {
    let arguments = format!("{MEASURED} --limits-heartbeat 1s");
    let mut server = TestServer::start(&arguments);
    let address = metrics_address(&server).await;
    let mut live = client(&server, "/", V2).await;
    let heartbeat = async |client: &mut TestClient, is_so: fn(&str) -> bool| {
        let found = async {
            loop {
                let text = client.text().await;
                if text.starts_with(r#"{"type":"heartbeat""#) && is_so(&text) {
                    return;
                }
            }
        };
        patiently("a heartbeat", found).await;
    };
    let ready = async || {
        let answer = get(address, "/readyz").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["status"], "ready");
        body["checks"].clone()
    };
    heartbeat(&mut live, |text| text.ends_with("}}}")).await;
    assert_eq!(ready().await["halted"], false);
    assert_eq!(Scrape::of(address).await.count("signalcast_halted"), 0);
    halt(&server).await;
    heartbeat(&mut live, |text| text.ends_with(r#"}},"halted":true}"#)).await;
    assert_eq!(ready().await["halted"], true);
    // Why is told to those who have a token.
    assert!(!ready().await.to_string().contains(REASON));
    assert_eq!(Scrape::of(address).await.count("signalcast_halted"), 1);
    server.logged("nothing is broadcast").await;
    // What is void is behind who does not want it.
    server.feed(&lines(1..=3));
    heartbeat(&mut live, |text| text.contains(r#""last_seq":3,"#)).await;
    lift(&server).await;
    heartbeat(&mut live, |text| !text.contains("halted")).await;
    assert_eq!(ready().await["halted"], false);
    assert_eq!(Scrape::of(address).await.count("signalcast_halted"), 0);
    server.stop();
}

#[tokio::test]
async fn commands_are_followed_during_a_halt_and_what_they_ask_for_comes_after_it() {
    let mut server = TestServer::start("--server-shards 1");
    let mut asks = client(&server, "/", V2).await;
    said(&mut asks).await;
    server.feed(&lines(1..=3));
    expect(&mut asks, 1..=3, false).await;
    halt(&server).await;
    expect_halted(&mut asks).await;
    server.feed(&lines(4..=5));
    recorded(&server, 5).await;
    for (command, answer) in [
        (r#"{"type":"ping"}"#, "pong"),
        (r#"{"type":"subscribe","symbols":["X"]}"#, "subscribed"),
        (r#"{"type":"resume","after_seq":1}"#, "resumed"),
    ] {
        asks.send(command).await;
        assert_eq!(said(&mut asks).await["type"], answer);
        expect_nothing(&mut asks).await;
    }
    lift(&server).await;
    expect_resumed(&mut asks).await;
    expect(&mut asks, 2..=3, false).await;
    server.feed(&lines(6..=6));
    expect(&mut asks, 6..=6, false).await;
    server.stop();
}

#[tokio::test]
async fn readers_of_events_are_held_like_everybody_else() {
    let mut server = TestServer::start("--server-shards 1 --limits-heartbeat 1s");
    let bearer = server.authorization();
    let (mut live, _) = server.events("/signals/stream", &bearer).await;
    server.feed(&lines(1..=3));
    assert_eq!(live.seqs(3).await, [1, 2, 3]);
    halt(&server).await;
    server.feed(&lines(4..=5));
    recorded(&server, 5).await;
    let resuming = format!("{bearer}Last-Event-ID: 1\r\n");
    let (mut resumed, _) = server.events("/signals/stream", &resuming).await;
    for reader in [&mut live, &mut resumed] {
        let mut event = reader.next().await;
        while event.name == "heartbeat" {
            event = reader.next().await;
        }
        let expected = json!({ "type": "halted", "reason": REASON });
        assert_eq!((event.name.as_str(), event.json()), ("halted", expected));
        // Until the next sign of life nothing else comes.
        let event = reader.next().await;
        assert_eq!(event.name, "heartbeat");
        assert_eq!(event.json()["halted"], true);
    }
    lift(&server).await;
    server.feed(&lines(6..=6));
    for (reader, expected) in [(&mut live, &[6][..]), (&mut resumed, &[2, 3, 6])] {
        let mut event = reader.next().await;
        while event.name == "heartbeat" {
            event = reader.next().await;
        }
        assert_eq!(event.name, "resumed_live");
        assert_eq!(reader.seqs(expected.len()).await, expected);
    }
    server.stop();
}

#[tokio::test]
async fn another_reason_is_told_and_a_second_lift_changes_nothing() {
    let mut server = TestServer::start("");
    let mut live = client(&server, "/", V2).await;
    said(&mut live).await;
    assert_eq!(
        done(&server, "DELETE", "/halt", "").await,
        json!({ "halted": false })
    );
    halt(&server).await;
    expect_halted(&mut live).await;
    let first = done(&server, "GET", "/halt", "").await;
    server.feed(&lines(1..=1));
    recorded(&server, 1).await;
    let longest = "\"\u{e9}\u{1f4a5}\\".repeat(50);
    let body = json!({ "reason": longest }).to_string();
    let second = done(&server, "POST", "/halt", &body).await;
    assert_eq!(second["since"], first["since"]);
    assert_eq!(
        (&second["reason"], &second["from_seq"]),
        (&json!(longest), &json!(1))
    );
    let told = said(&mut live).await;
    assert_eq!(told, json!({ "type": "halted", "reason": longest }));
    for _ in 0..2 {
        assert_eq!(lift(&server).await, lifted(1));
    }
    expect_resumed(&mut live).await;
    server.feed(&lines(2..=2));
    expect(&mut live, 2..=2, false).await;
    // Also while nothing comes in it holds at once.
    let begin = Instant::now();
    for _ in 0..20 {
        halt(&server).await;
        lift(&server).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(10));
    server.stop();
}

#[tokio::test]
async fn who_may_not_halt_and_what_is_no_reason_changes_nothing() {
    let server = TestServer::start("");
    let body = json!({ "reason": REASON }).to_string();
    for method in ["GET", "POST", "DELETE"] {
        let reader = server.mint(&with("scope", "signals:read signals:publish"));
        let answer = server.call(&reader, method, "/halt", &body).await;
        let code = (answer.status, answer.code());
        assert_eq!(code, (403, "insufficient_scope".to_owned()), "{method}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.ends_with(r#"scope="admin""#), "{challenge}");
        let answer = server.call("x.y.z", method, "/halt", &body).await;
        assert_eq!(answer.status, 401, "{method}");
    }
    let answer = server.administer("PUT", "/halt", &body).await;
    assert_eq!(answer.header("allow"), Some("GET, POST, DELETE"));
    assert_eq!(answer.status, 405);
    let long = "x".repeat(201);
    for (body, words) in [
        ("", "not JSON"),
        ("reason", "not JSON"),
        ("{}", "not what is expected"),
        ("null", "not what is expected"),
        (r#"{"reason":5}"#, "not what is expected"),
        (r#"{"reason":""}"#, "reason is empty"),
        (r#"{"reason":" "}"#, "reason is empty"),
        (r#"{"reason":"a\nb"}"#, "control character"),
        (r#"{"reason":"a","until":1}"#, "not what is expected"),
        (&json!({ "reason": long }).to_string(), "longer than 200"),
    ] {
        let answer = server.administer("POST", "/halt", body).await;
        let code = (answer.status, answer.code());
        assert_eq!(code, (400, "bad_request".to_owned()), "{body}");
        assert!(answer.body.contains(words), "{body}: {}", answer.body);
    }
    let blanks = " ".repeat(16 * 1024 + 1);
    let answer = server.administer("POST", "/halt", &blanks).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "payload_too_large")
    );
    let stand = done(&server, "GET", "/halt", "").await;
    assert_eq!(stand, json!({ "halted": false }));
    assert!(!server.folder.path("data/halt.json").exists());
    server.stop();
}

#[tokio::test]
async fn a_halted_server_drains_like_any_other() {
    let mut server = TestServer::start("--drain 5s");
    let mut v1 = client(&server, "/", V1).await;
    let mut v2 = client(&server, "/", V2).await;
    said(&mut v2).await;
    halt(&server).await;
    expect_halted(&mut v2).await;
    server.feed(&lines(1..=100));
    recorded(&server, 100).await;
    server.signal(Signal::TERM);
    assert_eq!(v1.texts_until_close().await, (Vec::new(), 1001));
    assert_eq!(v2.texts_until_close().await, (Vec::new(), 1001));
    let log = server.wait().1;
    assert!(log.contains("drained in time"), "{log}");
}

#[tokio::test]
async fn what_a_drain_still_delivers_can_be_halted_but_not_lifted() {
    const SIGNALS: u64 = 20_000;
    let folder = Arc::new(Folder::new());
    let options = "--server-shards 1 --plaintext --drain 60s";
    let mut server = TestServer::start_in(Arc::clone(&folder), options);
    let mut slow = slow_client(&server).await;
    let mut live = client(&server, "/", V1).await;
    let mut feed = server.take_feed();
    let feeding = thread::spawn(move || feed.write_all(lines(1..=SIGNALS).as_bytes()).unwrap());
    expect_v1(&mut live, 1..=SIGNALS).await;
    feeding.join().unwrap();
    server.signal(Signal::TERM);
    // By then all is recorded, and only those that are behind are still served.
    assert_eq!(live.expect_close().await.0, 1001);
    assert_eq!(halt(&server).await, halted(SIGNALS + 1));
    let stand = timeless(done(&server, "GET", "/halt", "").await);
    assert_eq!(stand, halted(SIGNALS + 1));
    let lift = server.administer("DELETE", "/halt", "").await;
    assert_eq!((lift.status, lift.code().as_str()), (503, "draining"));

    assert_eq!(said(&mut slow).await["type"], "connection_established");
    let (rest, code) = slow.texts_until_close().await;
    assert_eq!(code, 1001);
    let (told, sent) = rest.split_last().unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(told, json!({ "type": "halted", "reason": REASON }));
    let sent = sent.len() as u64;
    assert!(sent < SIGNALS / 2, "{sent}");
    let log = server.wait().1;
    assert!(log.contains("drained in time"), "{log}");

    // So it is after the next start, and what was not sent comes after the lift.
    let server = TestServer::start_in(folder, "--plaintext");
    let mut back = client(&server, &format!("/?after_seq={sent}"), V2).await;
    assert_eq!(said(&mut back).await["type"], "connection_established");
    expect_halted(&mut back).await;
    expect_nothing(&mut back).await;
    assert_eq!(self::lift(&server).await, lifted(SIGNALS));
    expect_resumed(&mut back).await;
    expect(&mut back, sent + 1..=SIGNALS, false).await;
    server.stop();
}

#[test]
fn a_damaged_file_is_no_reason_to_broadcast() {
    let folder = Arc::new(Folder::new());
    TestServer::start_in(Arc::clone(&folder), "").stop();
    for text in ["", "{\"reason\":\"x\"", "{}", "halted"] {
        fs::write(folder.path("data/halt.json"), text).unwrap();
        let output = folder.run("serve --source stdin --listen 127.0.0.1:0");
        let said = common::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("data/halt.json: is no halt"), "{said}");
        assert!(said.contains("delete it to lift the halt"), "{said}");
        assert_eq!(common::text(&output.stdout), "");
    }
    fs::remove_file(folder.path("data/halt.json")).unwrap();
    TestServer::start_in(folder, "").stop();
}
