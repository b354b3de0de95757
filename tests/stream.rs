//! `GET /signals/stream`: Server-Sent Events that say what `signalcast.v2` says, for whoever has no
//! WebSocket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use common::events::{Event, EventReader};
use common::jwt::{claims, with};
use common::{Answer, PATIENCE, TestClient, TestServer, patiently};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

const TRANSPORTS: [&str; 2] = ["", "--plaintext"];

/// A client of `signalcast.v2`, behind its first frame, and that.
async fn v2(server: &TestServer, path: &str) -> (TestClient, Value) {
    let token = server.token();
    let client = server.client_speaking("signalcast.v2", path, &token).await;
    let mut client = client.unwrap();
    let first = client.json().await;
    (client, first)
}

/// Names of what a message tells, in no order.
fn keys(message: &Value) -> Vec<&String> {
    message.as_object().unwrap().keys().collect()
}

fn lines(seqs: std::ops::RangeInclusive<u64>) -> String {
    seqs.map(|seq| format!("buy BTCUSDT {seq}.00 1720000000\n"))
        .collect()
}

#[tokio::test]
async fn a_reader_is_told_in_events_what_a_client_of_v2_is_told_in_frames() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        let (mut client, hello) = v2(&server, "/?stale=true").await;
        let (mut reader, first) = server
            .events("/signals/stream?stale=true", &server.authorization())
            .await;
        assert_eq!(first.id, 0, "what is before the first signal");
        let said = first.json();
        assert_eq!(keys(&said), keys(&hello));
        for key in ["heartbeat_interval", "epoch", "first_seq", "last_seq"] {
            assert_eq!(said[key], hello[key], "{key}");
        }
        let answer = &reader.answer;
        for (name, value) in [
            ("content-type", Some("text/event-stream")),
            ("cache-control", Some("no-store")),
            ("connection", Some("close")),
            ("x-accel-buffering", Some("no")),
            ("signalcast-last-seq", Some("0")),
            ("signalcast-epoch", said["epoch"].as_str()),
            ("content-length", None),
            ("transfer-encoding", None),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        let date = jiff::fmt::rfc2822::parse(answer.header("date").unwrap()).unwrap();
        let age = jiff::Timestamp::now().duration_since(date.timestamp());
        assert!(age.abs() < PATIENCE.try_into().unwrap(), "{date}");

        server.feed(concat!(
            "buy BTCUSDT 75000.00 1720000000\n",
            r#"{"type":"sell","content":{"symbol":"É\"\\","price":-0.10,"timestamp":1,"note":"a\nb\r\u2028"},"id":"x"}"#,
            "\n",
            r#"{"type":"buy","symbol":"X","price":"1e-8","timestamp":1,"valid_for":1,"is_test":true}"#,
            "\n",
        ));
        for seq in 1..=3 {
            let event = reader.signal().await;
            assert_eq!(event.id, seq);
            assert_eq!(event.data, client.text().await);
        }
    }
}

#[tokio::test]
async fn whoever_comes_back_goes_on_behind_the_last_id_it_has() {
    let mut server = TestServer::start("");
    let authorization = server.authorization();
    let (mut live, _) = server.events("/signals/stream", &authorization).await;
    server.feed(&lines(1..=10));
    assert_eq!(live.seqs(10).await, (1..=10).collect::<Vec<_>>());
    let mut readers = Vec::new();
    for (query, header, next) in [
        ("", "", 11),
        ("", "Last-Event-ID: 10\r\n", 11),
        ("", "Last-Event-ID: 3\r\n", 4),
        ("?after_seq=2", "", 3),
        // A browser asks for its first URL again.
        ("?after_seq=2", "Last-Event-ID: 7\r\n", 8),
        ("?after_seq=9", "last-event-id: 0\r\n", 1),
        ("?since=2020-01-01T00:00:00Z", "Last-Event-ID: 4\r\n", 5),
        ("?since=2020-01-01T00:00:00Z", "Last-Event-ID:\r\n", 1),
    ] {
        let headers = format!("{authorization}{header}");
        let target = format!("/signals/stream{query}");
        let (reader, first) = server.events(&target, &headers).await;
        assert_eq!(first.id, next - 1, "{query} {header}");
        assert_eq!(first.json()["last_seq"], 10);
        readers.push((reader, next));
    }
    server.feed(&lines(11..=12));
    for (mut reader, next) in readers {
        let expected: Vec<u64> = (next..=12).collect();
        assert_eq!(reader.seqs(expected.len()).await, expected);
    }
}

/// Where each start begins another log, an id of the former one would be taken for one of this.
#[tokio::test]
async fn an_id_counts_where_it_is_certain_which_log_it_is_of() {
    for (journal, alone) in [("sqlite", 200), ("none", 410)] {
        let mut server = TestServer::start(&format!("--journal {journal}"));
        let good = server.authorization();
        let (mut reader, _) = server.events("/signals/stream", &good).await;
        let epoch = reader.answer.header("signalcast-epoch").unwrap();
        let epoch = format!("/signals/stream?epoch={epoch}");
        server.feed(&lines(1..=8));
        assert_eq!(reader.seqs(8).await, (1..=8).collect::<Vec<_>>());
        let by_ticket = format!(
            "/signals/stream?ticket={}",
            server.ticket(&server.token()).await
        );
        let unused = format!(
            "/signals/stream?ticket={}",
            server.ticket(&server.token()).await
        );
        let (mut known, _) = server.events(&by_ticket, "").await;
        for (target, headers, id, status) in [
            ("/signals/stream", good.as_str(), "5", alone),
            ("/signals/stream", &good, "0", alone),
            ("/signals/stream?after_seq=5", &good, "5", alone),
            (&unused, "", "5", alone),
            (&epoch, &good, "5", 200),
            ("/signals/stream?epoch=other", &good, "5", 410),
            (&by_ticket, "", "5", 200),
        ] {
            let headers = format!("{headers}Last-Event-ID: {id}\r\n");
            if status == 200 {
                let (_, first) = server.events(target, &headers).await;
                assert_eq!(first.id.to_string(), id, "{journal} {target}");
                continue;
            }
            let answer = server.get(target, &headers).await;
            let said: Value = serde_json::from_str(&answer.body).unwrap();
            let told = (answer.status, &said["code"], &said["last_seq"]);
            let expected = (410, &json!("history_gone"), &json!(8));
            assert_eq!(told, expected, "{journal} {target}");
        }
        assert_eq!(known.try_next().await, None, "it was opened again");
        // What is in the URL alone is what a program means, and an empty header is none.
        let headers = format!("{good}Last-Event-ID:\r\n");
        let target = "/signals/stream?after_seq=6";
        assert_eq!(server.events(target, &headers).await.1.id, 6);
        server.stop();
    }
}

#[tokio::test]
async fn a_reader_gets_what_it_and_its_token_ask_for_in_the_form_it_asks_for() {
    let mut server = TestServer::start("");
    let bearer = |claims: &Value| format!("Authorization: Bearer {}\r\n", server.mint(claims));
    let (all, some) = (
        bearer(&claims()),
        bearer(&with("symbols", json!(["BTC*", "X"]))),
    );
    let mut readers = Vec::new();
    for (query, headers, expected) in [
        ("", &all, vec![1, 2, 3, 4, 6]),
        ("?stale=true", &all, vec![1, 2, 3, 4, 5, 6]),
        ("?tests=false", &all, vec![1, 2, 4, 6]),
        ("?symbols=BTC*", &all, vec![1, 3, 6]),
        ("", &some, vec![1, 3, 4, 6]),
        ("?symbols=*USDT&tests=false&stale=true", &some, vec![1, 6]),
    ] {
        let target = format!("/signals/stream{query}");
        readers.push((server.events(&target, headers).await.0, expected));
    }
    let (mut strings, _) = server.events("/signals/stream?prices=string", &all).await;
    server.feed(concat!(
        "buy BTCUSDT 1.00 7\n",
        "buy ETHUSDT 2.00 7\n",
        "buy BTCEUR 3.00 7 test\n",
        "buy X 4.00 7\n",
        r#"{"side":"buy","symbol":"X","price":5,"timestamp":7,"valid_for":1}"#,
        "\n",
        "buy BTCUSDT 6.00 7\n",
    ));
    for (mut reader, expected) in readers {
        assert_eq!(reader.seqs(expected.len()).await, expected);
    }
    let said = strings.signal().await.json();
    assert_eq!(said["content"]["price"], "1.00");
}

#[tokio::test]
async fn who_is_refused_gets_an_answer_like_everybody_else() {
    let mut server = TestServer::start("");
    let good = server.authorization();
    let (mut reader, _) = server.events("/signals/stream", &good).await;
    server.feed(&lines(1..=3));
    reader.seqs(3).await;
    let blind = server.folder.token("--sub b --scope signals:test");
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let with = |header: &str| format!("{good}{header}\r\n");
    let twice = "Last-Event-ID: 1\r\nLast-Event-ID: 1";
    let (bad, gone) = ((400, "bad_request"), (410, "history_gone"));
    for ((status, code), query, headers) in [
        ((401, "missing_token"), "", String::new()),
        ((401, "invalid_token"), "", bearer("x.y.z")),
        ((403, "insufficient_scope"), "", bearer(&blind)),
        (bad, "?after_seq=x", good.clone()),
        (bad, "?after_sec=1", good.clone()),
        (bad, "?limit=5", good.clone()),
        (bad, "?after_seq=x", with("Last-Event-ID: 1")),
        (bad, "", with("Last-Event-ID: x")),
        (bad, "", with("Last-Event-ID: -1")),
        (bad, "", with("Last-Event-ID: é")),
        (bad, "", with(twice)),
        (gone, "", with("Last-Event-ID: 4")),
        (gone, "?after_seq=1&epoch=other", good.clone()),
        (gone, "?after_seq=9", good.clone()),
    ] {
        let answer = server
            .get(&format!("/signals/stream{query}"), &headers)
            .await;
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (answer.status, &said["code"]),
            (status, &code.into()),
            "{query} {headers}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("connection"), Some("close"));
        if status == 410 {
            assert_eq!(said["last_seq"], 3);
        }
    }
    for method in ["HEAD", "POST"] {
        let request = format!("{method} /signals/stream HTTP/1.1\r\nHost: localhost\r\n{good}\r\n");
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    }
}

#[tokio::test]
async fn a_reader_takes_a_clients_place_and_gives_it_back() {
    let server = TestServer::start("--limits-connections 1");
    let good = server.authorization();
    let (reader, _) = server.events("/signals/stream", &good).await;
    let answer = server.get("/signals/stream", &good).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    drop(reader);
    server.logged("closed by the client").await;
    server.events("/signals/stream", &good).await;
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_read_a_stream() {
    const ORIGIN: &str = "https://app.example.org";
    let server = TestServer::start(&format!("--server-cors-origins {ORIGIN}"));
    for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), ("https://other.example.org", None)] {
        let headers = format!("{}Origin: {origin}\r\n", server.authorization());
        let (reader, _) = server.events("/signals/stream", &headers).await;
        let said = reader.answer.header("access-control-allow-origin");
        assert_eq!(said, allowed, "{origin}");
    }
}

#[tokio::test]
async fn a_stream_may_follow_other_requests_on_its_connection() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        let good = server.authorization();
        let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let stream = format!("GET /signals/stream HTTP/1.1\r\nHost: localhost\r\n{good}\r\n");

        let (mut connection, answer) = server.open(health.as_bytes()).await;
        assert_eq!(answer.status, 200);
        connection.write_all(stream.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        let mut one = EventReader::begin(connection, Vec::new()).await;

        // What stands behind it is thrown away.
        let mut connection = server.connect().await;
        let all = format!("{health}{stream}{health}\r\n\0\u{ff}");
        connection.write_all(all.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        let (answer, rest) = whole(&mut connection).await;
        assert_eq!(answer.status, 200);
        let mut other = EventReader::begin(connection, rest).await;

        for reader in [&mut one, &mut other] {
            assert_eq!(reader.next().await.name, "connection_established");
        }
        server.feed(&lines(1..=2));
        for reader in [&mut one, &mut other] {
            assert_eq!(reader.seqs(2).await, [1, 2]);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_still_on_its_way_is_whole_before_a_stream_begins() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        let good = server.authorization();
        let (mut live, _) = server.events("/signals/stream", &good).await;
        server.feed(&long_lines(100));
        live.seqs(100).await;
        let mut connection = page_and_stream(&server, &good).await;
        let (answer, rest) = whole(&mut connection).await;
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(page["signals"].as_array().unwrap().len(), 100);
        let mut reader = EventReader::begin(connection, rest).await;
        assert_eq!(reader.next().await.id, 98);
        assert_eq!(reader.seqs(2).await, [99, 100]);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_followed_by_no_stream() {
    for transport in TRANSPORTS {
        let settings = format!("{transport} --limits-handshake 1s --log debug");
        let mut server = TestServer::start(&settings);
        let good = server.authorization();
        let (mut live, _) = server.events("/signals/stream", &good).await;
        server.feed(&long_lines(100));
        live.seqs(100).await;
        let mut connection = page_and_stream(&server, &good).await;
        server.logged("the peer does not take the answer").await;
        let mut bytes = Vec::new();
        // It may end with a reset.
        let _ = patiently("end", connection.read_to_end(&mut bytes)).await;
        let text = common::text(&bytes);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && !text.contains("event"));
    }
}

/// Signals that are more together than sockets hold.
fn long_lines(count: usize) -> String {
    let note = "x".repeat(30_000);
    let line = json!({"side": "buy", "symbol": "X", "price": 1, "note": note}).to_string();
    (line + "\n").repeat(count)
}

/// A connection on which these were asked for, the one right behind the other.
async fn page_and_stream(server: &TestServer, good: &str) -> MaybeTlsStream<TcpStream> {
    let mut connection = server.connect().await;
    let both = format!(
        "GET /signals?limit=100 HTTP/1.1\r\nHost: localhost\r\n{good}\r\n\
         GET /signals/stream?after_seq=98 HTTP/1.1\r\nHost: localhost\r\n{good}\r\n"
    );
    connection.write_all(both.as_bytes()).await.unwrap();
    connection.flush().await.unwrap();
    connection
}

/// The next answer on a connection, and what came behind it.
async fn whole(stream: &mut (impl AsyncReadExt + Unpin)) -> (Answer, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let answer = Answer::parse(&bytes[..head + 4]);
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            let end = head + 4 + length;
            if bytes.len() >= end {
                let rest = bytes.split_off(end);
                return (Answer::parse(&bytes), rest);
            }
        }
        let count = patiently("answer", stream.read_buf(&mut bytes)).await;
        assert!(count.unwrap() > 0, "the connection ended: {bytes:?}");
    }
}

#[tokio::test]
async fn a_quiet_stream_has_heartbeats_that_move_the_last_id_on() {
    let mut server = TestServer::start("--limits-heartbeat 1s");
    let good = server.authorization();
    let target = "/signals/stream?symbols=NONE";
    let (mut reader, first) = server.events(target, &good).await;
    assert_eq!(first.json()["heartbeat_interval"], 1000);
    let beat = reader.next().await;
    assert_eq!(
        (beat.name.as_str(), beat.id, beat.retry),
        ("heartbeat", 0, None)
    );
    assert!(
        beat.data
            .starts_with(r#"{"type":"heartbeat","timestamp":""#)
    );
    assert_eq!(beat.json()["last_seq"], 0);
    // None of these is for this reader, so whoever has the heartbeat lacks nothing.
    server.feed(&lines(1..=3));
    let mut beat = reader.next().await;
    while beat.id == 0 {
        beat = reader.next().await;
    }
    assert_eq!((beat.name.as_str(), beat.id), ("heartbeat", 3));
    assert_eq!(beat.json()["last_seq"], 3);
    assert_eq!(beat.json()["sources"]["stdin"]["state"], "live");
    let again = format!("{good}Last-Event-ID: 3\r\n");
    let (_, first) = server.events(target, &again).await;
    assert_eq!(first.id, 3);
}

#[test]
fn curl_prints_each_event_when_it_happens() {
    let mut server = TestServer::start("");
    let url = server.url("/signals/stream?after_seq=0");
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--no-buffer", "--cacert"])
        .arg(server.folder.path("certs/ca.pem"))
        .args(["--header", server.authorization().trim_end()])
        .arg(url.replace("wss://", "https://"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (printed, lines) = mpsc::sync_channel(16);
    let stdout = BufReader::new(curl.stdout.take().unwrap());
    let reading = thread::spawn(move || {
        for line in stdout.lines() {
            printed.send(line.unwrap()).unwrap();
        }
    });
    let event = || {
        let mut text = String::new();
        loop {
            let line = lines.recv_timeout(PATIENCE).unwrap() + "\n";
            text.push_str(&line);
            if line == "\n" {
                return Event::first(text.as_bytes()).unwrap().0;
            }
        }
    };
    assert_eq!(event().name, "connection_established");
    for seq in 1..=3 {
        server.feed(&format!("buy BTCUSDT {seq} 7\n"));
        let event = event();
        assert_eq!((event.name.as_str(), event.id), ("signal", seq));
    }
    server.signal(Signal::TERM);
    assert_eq!(event().name, "closed");
    let status = common::wait(&mut curl);
    reading.join().unwrap();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut curl.stderr.take().unwrap(), &mut stderr).unwrap();
    assert!(status.success(), "{status}: {stderr}");
    assert!(server.wait().0.success());
}
