//! `GET /signals`: past signals page by page, each exactly once, whatever the filter.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod scrape;

use std::io::Write;
use std::sync::Arc;

use common::jwt::{claims, with, without};
use common::{Answer, Folder, PATIENCE, TestServer};
use scrape::{MEASURED, Scrape, metrics_address};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn bearer(server: &TestServer, claims: &Value) -> String {
    format!("Authorization: Bearer {}\r\n", server.mint(claims))
}

/// A page as JSON.
async fn page(server: &TestServer, query: &str, headers: &str) -> Value {
    let answer = server.get(&format!("/signals?{query}"), headers).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    for (header, key) in [
        ("signalcast-last-seq", "last_seq"),
        ("signalcast-next-after-seq", "next_after_seq"),
    ] {
        assert_eq!(answer.header(header), Some(body[key].to_string().as_str()));
    }
    assert!(answer.header("signalcast-epoch").is_some());
    assert_eq!(body.as_object().unwrap().len(), 3);
    body
}

fn seqs(signals: &Value) -> Vec<u64> {
    let signals = signals.as_array().unwrap().iter();
    signals
        .map(|signal| signal["seq"].as_u64().unwrap())
        .collect()
}

/// All pages from this query on.
async fn all(server: &TestServer, first: &str, next: &str, headers: &str) -> Vec<u64> {
    let (mut found, mut query) = (Vec::new(), first.to_owned());
    loop {
        let page = page(server, &query, headers).await;
        found.extend(seqs(&page["signals"]));
        if page["next_after_seq"] == page["last_seq"] {
            return found;
        }
        query = format!("after_seq={}&{next}", page["next_after_seq"]);
    }
}

/// The line of this signal: of five symbols, some of them tests, some of them stale.
fn line(seq: u64) -> String {
    let symbol =
        ["BTCUSDT", "ETHUSDT", "BTCEUR", "^GSPC", "SOLUSDT"][usize::try_from(seq % 5).unwrap()];
    let is_test = is_test(seq);
    let valid_for = if is_stale(seq) {
        r#","valid_for":60"#
    } else {
        ""
    };
    format!(
        r#"{{"type":"buy","symbol":"{symbol}","price":{seq}.00,"timestamp":1720000000,"is_test":{is_test}{valid_for}}}"#
    ) + "\n"
}

fn is_test(seq: u64) -> bool {
    seq.is_multiple_of(7)
}

fn is_stale(seq: u64) -> bool {
    seq.is_multiple_of(11)
}

/// Feeds so many signals and waits until the last of them, which is not stale, is in the log.
async fn record(server: &mut TestServer, count: u64) {
    let mut live = server.client().await;
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        let lines: String = (1..=count).map(line).collect();
        feed.write_all(lines.as_bytes()).unwrap();
        feed
    });
    let last = format!("{count}.00,");
    while !live.text().await.contains(&last) {}
    feeding.join().unwrap();
}

#[tokio::test]
async fn paging_gives_each_signal_that_passes_exactly_once() {
    const SIGNALS: u64 = 25_000;
    let folder = Arc::new(Folder::new());
    for (settings, fed) in [
        ("--journal none", SIGNALS),
        ("--journal sqlite", SIGNALS),
        // As the last one left it.
        ("--journal sqlite", 0),
    ] {
        let mut server = TestServer::start_in(Arc::clone(&folder), settings);
        if fed > 0 {
            record(&mut server, fed).await;
        }
        let everything = claims();
        let some = with("symbols", json!(["BTC*", "^GSPC"]));
        let btc = |seq: u64| [0, 2].contains(&(seq % 5));
        type Passes<'a> = &'a dyn Fn(u64) -> bool;
        let rows: [(&Value, &str, Passes<'_>); 9] = [
            (&everything, "limit=10000", &|seq| !is_stale(seq)),
            (&everything, "limit=997", &|seq| !is_stale(seq)),
            (&everything, "limit=4096&stale=true", &|_| true),
            (&everything, "limit=1000&symbols=BTC*", &|seq| {
                btc(seq) && !is_stale(seq)
            }),
            (&everything, "limit=10000&tests=false", &|seq| {
                !is_test(seq) && !is_stale(seq)
            }),
            (
                &everything,
                "limit=1000&symbols=BTC*,ETHUSDT&tests=false&stale=true",
                &|seq| (btc(seq) || seq % 5 == 1) && !is_test(seq),
            ),
            (&everything, "limit=10&symbols=NONE", &|_| false),
            (&some, "limit=5000&stale=true", &|seq| {
                btc(seq) || seq % 5 == 3
            }),
            (&some, "limit=5000&stale=true&symbols=*USDT,^*", &|seq| {
                [0, 3].contains(&(seq % 5))
            }),
        ];
        for (who, query, passes) in rows {
            let headers = bearer(&server, who);
            let expected: Vec<u64> = (1..=SIGNALS).filter(|&seq| passes(seq)).collect();
            let found = all(&server, query, query, &headers).await;
            assert!(
                found == expected,
                "{settings} {query}: {} of {}",
                found.len(),
                expected.len()
            );
        }
        let headers = bearer(&server, &everything);
        let received_at = async |seq: u64| {
            let query = format!("after_seq={}&limit=1&stale=true", seq - 1);
            let page = page(&server, &query, &headers).await;
            page["signals"][0]["received_at"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let time = received_at(12_000).await;
        let query = format!("since={time}&stale=true&limit=3000");
        let found = all(&server, &query, "stale=true&limit=3000", &headers).await;
        let first = found[0];
        assert!(
            found == (first..=SIGNALS).collect::<Vec<_>>(),
            "{settings} {query}"
        );
        assert_eq!(received_at(first).await, time);
        assert!(first == 1 || received_at(first - 1).await < time);
        server.stop();
    }
}

#[tokio::test]
async fn a_signal_looks_as_it_does_to_a_v2_client() {
    let mut server = TestServer::start("");
    let headers = bearer(&server, &claims());
    let empty = page(&server, "", &headers).await;
    assert_eq!(
        empty,
        json!({"signals": [], "last_seq": 0, "next_after_seq": 0})
    );
    record(&mut server, 12).await;
    for query in ["stale=true", "prices=string", "symbols=BTC*"] {
        let path = format!("/?after_seq=0&{query}");
        let mut request = server.url(&path).into_client_request().unwrap();
        let bearer = headers.trim_start_matches("Authorization: ").trim_end();
        request
            .headers_mut()
            .insert("authorization", bearer.parse().unwrap());
        let v2 = "signalcast.v2".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", v2);
        let mut client = server.client_with(request).await.unwrap();

        let target = format!("/signals?{query}");
        let lines = format!("{headers}Accept: application/x-ndjson\r\n");
        let lines = server.get(&target, &lines).await;
        assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(lines.header("signalcast-last-seq"), Some("12"));
        assert_eq!(lines.header("signalcast-next-after-seq"), Some("12"));
        let epoch = client.response.headers()["signalcast-epoch"]
            .to_str()
            .unwrap();
        assert_eq!(lines.header("signalcast-epoch"), Some(epoch));
        let mut frames = Vec::new();
        while frames.len() < lines.body.lines().count() {
            let text = client.text().await;
            if text.contains(r#""content""#) {
                frames.push(text);
            }
        }
        assert!(frames.len() > 3);
        assert_eq!(lines.body, frames.join("\n") + "\n", "{query}");

        let json = server.get(&target, &headers).await;
        let expected = frames.join(",");
        let expected = format!(r#"{{"signals":[{expected}],"last_seq":12,"next_after_seq":12}}"#);
        assert_eq!(json.body, expected, "{query}");
    }
}

#[tokio::test]
async fn a_page_holds_a_hundred_signals_unless_told_otherwise_and_ends_at_the_head() {
    let mut server = TestServer::start("");
    record(&mut server, 250).await;
    let headers = bearer(&server, &claims());
    for (query, count, next) in [
        ("stale=true", 100, 100),
        ("stale=true&after_seq=200", 50, 250),
        ("stale=true&limit=1", 1, 1),
        ("stale=true&limit=10000", 250, 250),
        ("stale=true&limit=250", 250, 250),
        ("after_seq=250", 0, 250),
        ("since=2999-01-01T00:00:00Z", 0, 250),
        ("since=9999-12-31T23:59:59Z", 0, 250),
        ("since=9999-12-31T23:59:59.999999-23:59", 0, 250),
        // What it takes to see that nothing passes was looked at.
        ("symbols=NONE", 0, 250),
    ] {
        let page = page(&server, query, &headers).await;
        let signals = page["signals"].as_array().unwrap();
        let expected = (count, json!(next), json!(250));
        let found = (
            signals.len(),
            page["next_after_seq"].clone(),
            page["last_seq"].clone(),
        );
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_of_the_path_changes_nothing() {
    for journal in ["--journal sqlite", "--journal none"] {
        let mut server = TestServer::start(journal);
        record(&mut server, 50).await;
        let headers = bearer(&server, &claims());
        let answer = server.get("/signals/", &headers).await;
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(!seqs(&page["signals"]).is_empty(), "{journal}: {page}");
        assert_eq!(answer.body, server.get("/signals", &headers).await.body);
    }
}

#[tokio::test]
async fn pages_fetched_while_signals_flow_have_no_gap_and_nothing_after_their_head() {
    const SIGNALS: u64 = 40_000;
    for journal in ["--journal sqlite", "--journal none"] {
        let mut server = TestServer::start(&format!("{journal} --server-shards 2"));
        let mut feed = server.take_feed();
        let feeding = std::thread::spawn(move || {
            for chunk in 0..SIGNALS / 500 {
                let lines: String = (chunk * 500 + 1..=chunk * 500 + 500).map(line).collect();
                feed.write_all(lines.as_bytes()).unwrap();
            }
            feed
        });
        let headers = bearer(&server, &claims());
        let mut last = 0;
        while last < SIGNALS {
            let query = format!("after_seq={last}&limit=3000&stale=true");
            let page = page(&server, &query, &headers).await;
            let found = seqs(&page["signals"]);
            let next = page["next_after_seq"].as_u64().unwrap();
            assert!(
                found == (last + 1..=next).collect::<Vec<_>>(),
                "{journal} {query}"
            );
            assert!(next <= page["last_seq"].as_u64().unwrap());
            last = next;
        }
        feeding.join().unwrap();
    }
}

#[tokio::test]
async fn a_page_ends_with_4_mib_or_100_000_signals_looked_at() {
    let mut server = TestServer::start("");
    let headers = bearer(&server, &claims());
    let note = "x".repeat(20_000);
    let line = format!(r#"{{"type":"buy","symbol":"BIG","price":1,"note":"{note}"}}"#) + "\n";
    let mut live = server.client().await;
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        feed.write_all(line.repeat(500).as_bytes()).unwrap();
        for _ in 0..105 {
            feed.write_all("buy SMALL 1\n".repeat(1000).as_bytes())
                .unwrap();
        }
        feed.write_all(b"buy LAST 1\n").unwrap();
        feed
    });
    while !live.text().await.contains("LAST") {}
    feeding.join().unwrap();

    let answer = server.get("/signals?limit=10000", &headers).await;
    assert!((4 << 20..(4 << 20) + 30_000).contains(&answer.body.len()));
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let held = seqs(&body["signals"]);
    assert!((150..250).contains(&held.len()), "{}", held.len());
    assert_eq!(body["next_after_seq"], *held.last().unwrap());
    let found = all(
        &server,
        "symbols=BIG,LAST&limit=10000",
        "symbols=BIG,LAST&limit=10000",
        &headers,
    )
    .await;
    assert_eq!(found, (1..=500).chain([105_501]).collect::<Vec<_>>());

    let none = page(&server, "symbols=LAST", &headers).await;
    assert_eq!(
        none,
        json!({"signals": [], "last_seq": 105_501, "next_after_seq": 100_000})
    );
    let found = all(&server, "symbols=LAST", "symbols=LAST", &headers).await;
    assert_eq!(found, [105_501]);
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn who_may_not_connect_may_not_fetch_either() {
    let arguments = format!("--auth-failed-tries-per-minute 2 {MEASURED}");
    let server = TestServer::start(&arguments);
    let good = bearer(&server, &claims());
    let answer = server.get("/signals", "").await;
    assert_refused(&answer, 401, "missing_token");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="signalcast""#)
    );
    assert_refused(
        &server.get("/signals", &good.repeat(2)).await,
        400,
        "invalid_request",
    );
    let answer = server
        .get("/signals?limit=x", &bearer(&server, &without("scope")))
        .await;
    assert_refused(&answer, 403, "insufficient_scope");
    for (query, said) in [
        ("limit=0", "limit must be a whole number from 1 to 10000"),
        (
            "limit=10001",
            "limit must be a whole number from 1 to 10000",
        ),
        ("limit=5&limit=5", "write it once"),
        ("after_seq=x", "after_seq must be a whole number"),
        ("since=x", "write RFC 3339"),
        ("after=1", "the nearest known one is after_seq"),
    ] {
        let answer = server.get(&format!("/signals?{query}"), &good).await;
        assert_refused(&answer, 400, "bad_request");
        assert!(answer.body.contains(said), "{query}: {}", answer.body);
    }
    let answer = server.get("/signals?after_seq=1", &good).await;
    assert_eq!(answer.status, 410, "{answer:?}");
    assert!(answer.body.contains(r#""code":"history_gone""#));
    assert!(
        answer.body.ends_with(r#""first_seq":1,"last_seq":0}"#),
        "{answer:?}"
    );
    let put = "PUT /signals HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let answer = server.exchange(put.as_bytes()).await;
    assert_refused(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, POST"));
    assert_refused(&server.get("/signals/1", &good).await, 404, "not_found");

    // Tries count wherever they are made.
    let bad = "Authorization: Bearer bad\r\n";
    assert_refused(&server.get("/signals", bad).await, 401, "invalid_token");
    assert_refused(&server.ask("/", bad).await, 401, "invalid_token");
    let answer = server.get("/signals", bad).await;
    assert_refused(&answer, 429, "too_many_attempts");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.get("/signals", &good).await.status, 200);

    let scrape = Scrape::of(metrics_address(&server).await).await;
    for (code, count) in [
        ("missing_token", 1),
        ("invalid_request", 1),
        ("insufficient_scope", 1),
        ("bad_request", 6),
        ("history_gone", 1),
        ("method_not_allowed", 1),
        ("not_found", 1),
        ("invalid_token", 2),
        ("too_many_attempts", 1),
    ] {
        let series = format!(r#"signalcast_refusals_total{{code="{code}"}}"#);
        assert_eq!(scrape.count(&series), count, "{code}");
    }
    let missing = r#"signalcast_auth_failures_total{reason="missing_token"}"#;
    assert_eq!(scrape.count(missing), 1);
}

#[tokio::test]
async fn whoever_fetches_needs_no_place_and_takes_none() {
    let mut server = TestServer::start("--limits-connections 1");
    let headers = bearer(&server, &claims());
    record(&mut server, 3).await;
    let _only = server.client().await;
    assert_eq!(server.ask("/", &headers).await.code(), "overloaded");
    assert_eq!(server.get("/signals", &headers).await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_many_pages() {
    let mut server = TestServer::start("");
    record(&mut server, 10).await;
    let headers = bearer(&server, &claims());
    let mut stream = server.connect().await;
    let mut text = String::new();
    for after in 0..5 {
        let request = format!(
            "GET /signals?after_seq={after}&limit=1 HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let expected = format!(r#""next_after_seq":{}}}"#, after + 1);
        let answered = async {
            let mut bytes = [0; 4096];
            while !text.ends_with(&expected) {
                let count = stream.read(&mut bytes).await.unwrap();
                assert_ne!(count, 0, "{text}");
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
        };
        common::patiently("page", answered).await;
    }
}

/// Whatever shard they are on, and however far that one is.
#[tokio::test]
async fn what_one_client_was_sent_others_may_ask_for() {
    let mut server = TestServer::start("--plaintext --server-shards 4");
    let headers = bearer(&server, &claims());
    let mut live = server.client().await;
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(server.connect().await);
    }
    for seq in 1..=300 {
        server.feed("buy BTCUSDT 1\n");
        live.text().await;
        let request =
            format!("GET /signals?after_seq={seq} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        for connection in &mut connections {
            connection.write_all(request.as_bytes()).await.unwrap();
        }
        let expected = format!(r#"{{"signals":[],"last_seq":{seq},"next_after_seq":{seq}}}"#);
        for connection in &mut connections {
            let mut text = String::new();
            let answered = async {
                let mut bytes = [0; 4096];
                while !text.ends_with('}') {
                    let count = connection.read(&mut bytes).await.unwrap();
                    text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
                }
            };
            common::patiently("page", answered).await;
            assert!(text.ends_with(&expected), "{seq}: {text}");
        }
    }
}

#[tokio::test]
async fn those_who_take_no_answer_hold_up_others_for_a_while_only() {
    let mut server = TestServer::start("--plaintext --limits-handshake 5s");
    let headers = bearer(&server, &claims());
    let note = "x".repeat(60_000);
    let line = format!(r#"{{"type":"buy","symbol":"BIG","price":1,"note":"{note}"}}"#) + "\n";
    let mut live = server.client().await;
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        feed.write_all(line.repeat(10).as_bytes()).unwrap();
        feed
    });
    live.texts(10).await;
    feeding.join().unwrap();
    let request = format!("GET /signals HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let mut deaf = Vec::new();
    for number in 0..32 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        deaf.push(stream);
        // Its answer has begun: one subject has eight turns.
        if number < 8 {
            deaf[number].readable().await.unwrap();
        }
    }
    for refused in &mut deaf[8..] {
        let mut answer = String::new();
        common::patiently("refusal", refused.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
        assert!(answer.contains("overloaded"), "{answer}");
    }
    let others = bearer(&server, &with("sub", "another"));
    assert_eq!(server.get("/signals", &others).await.status, 200);
    // They are given up, in twice the time for a handshake.
    let begun = std::time::Instant::now();
    while server.get("/signals", &headers).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE);
    }
}
