//! Who comes back: from which signal on a client is served, which it gets, and in which form.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;

use common::jwt::{claims, with, without};
use common::{Answer, Folder, TestClient, TestServer, patiently, upgrade_request, wire};
use futures::future::join_all;
use serde_json::{Value, json};

/// With a log that is kept, and with one of which only the hot tail is there.
const JOURNALS: [&str; 2] = ["--journal sqlite", "--journal none"];

const V1: &str = "signalcast.v1";
const V2: &str = "signalcast.v2";

fn bearer(server: &TestServer, claims: &Value) -> String {
    format!("Authorization: Bearer {}\r\n", server.mint(claims))
}

/// A client that asks for this subprotocol.
async fn client(server: &TestServer, path: &str, subprotocol: &str) -> TestClient {
    client_who(server, &claims(), path, subprotocol).await
}

/// The same with a token of these claims.
async fn client_who(
    server: &TestServer,
    claims: &Value,
    path: &str,
    subprotocol: &str,
) -> TestClient {
    let token = server.mint(claims);
    let client = server.client_speaking(subprotocol, path, &token).await;
    client.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What an upgrade at this path is answered with.
async fn ask(server: &TestServer, path: &str) -> Answer {
    server.ask(path, &bearer(server, &claims())).await
}

/// The next signal of a client that speaks `signalcast.v2`, as text and as JSON.
async fn signal(client: &mut TestClient) -> (String, Value) {
    loop {
        let text = client.text().await;
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["content"].is_object() {
            return (text, frame);
        }
    }
}

async fn seqs(client: &mut TestClient, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        seqs.push(signal(client).await.1["seq"].as_u64().unwrap());
    }
    seqs
}

/// Nothing waits to be sent to this client: its test signal comes next.
async fn assert_nothing_more(client: &mut TestClient, what: &str) {
    client.send("test").await;
    let (_, frame) = signal(client).await;
    assert!(
        frame["is_test"] == true && frame["seq"].is_null(),
        "{what}: {frame}"
    );
}

fn lines(of: RangeInclusive<u64>) -> String {
    of.map(|price| format!("buy BTCUSDT {price} 1720000000\n"))
        .collect()
}

fn frames(of: RangeInclusive<u64>) -> Vec<String> {
    of.map(|price| wire("buy", "BTCUSDT", &price.to_string(), 1_720_000_000))
        .collect()
}

/// All signals as `GET /signals` gives them.
async fn recorded(server: &TestServer) -> Vec<Value> {
    let answer = server
        .get(
            "/signals?limit=10000&stale=true",
            &bearer(server, &claims()),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["signals"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_client_goes_on_after_the_seq_it_names() {
    for journal in JOURNALS {
        let mut server = TestServer::start(&format!("{journal} --server-shards 2"));
        let mut live = client(&server, "/?after_seq=0", V1).await;
        assert_eq!(live.response.headers()["signalcast-last-seq"], "0");
        server.feed(&lines(1..=5));
        assert_eq!(live.texts(5).await, frames(1..=5));
        for (path, first) in [
            ("/?after_seq=0", 1),
            ("/ws?after_seq=3", 4),
            ("/?after_seq=5", 6),
            ("/", 6),
        ] {
            let mut v1 = client(&server, path, V1).await;
            let headers = v1.response.headers();
            assert_eq!(headers["signalcast-last-seq"], "5", "{path}");
            let epoch = &live.response.headers()["signalcast-epoch"];
            assert_eq!(&headers["signalcast-epoch"], epoch);
            let missed = frames(first..=5);
            assert_eq!(v1.texts(missed.len()).await, missed, "{path}");
            assert_nothing_more(&mut v1, path).await;

            let mut v2 = client(&server, path, V2).await;
            let expected: Vec<u64> = (first..=5).collect();
            assert_eq!(seqs(&mut v2, expected.len()).await, expected, "{path}");
            assert_nothing_more(&mut v2, path).await;
        }
    }
}

#[tokio::test]
async fn of_the_subprotocols_that_are_known_the_clients_first_is_spoken() {
    let mut server = TestServer::start("");
    let mut fed = 0;
    for (asked, answered) in [
        ("signalcast.v2", Some(V2)),
        ("signalcast.v2, signalcast.v1", Some(V2)),
        ("signalcast.v1, signalcast.v2", Some(V1)),
        ("chat, signalcast.v2", Some(V2)),
        ("signalcast.v3", None),
    ] {
        let asking = format!("Sec-WebSocket-Protocol: {asked}\r\n");
        let request = upgrade_request("/", &(bearer(&server, &claims()) + &asking));
        let (_stream, answer) = server.open(request.as_bytes()).await;
        let named = answer.header("sec-websocket-protocol");
        assert_eq!((answer.status, named), (101, answered), "{asked}");
        if answered.is_none() {
            continue;
        }
        let mut client = client(&server, "/", asked).await;
        fed += 1;
        server.feed(&lines(fed..=fed));
        if answered == Some(V1) {
            assert_eq!(client.text().await, frames(fed..=fed)[0]);
            continue;
        }
        let (text, signal) = signal(&mut client).await;
        let (id, received_at) = (&signal["id"], &signal["received_at"]);
        let expected = format!(
            r#"{{"type":"buy","seq":{fed},"id":{id},"content":{{"symbol":"BTCUSDT","price":{fed},"timestamp":1720000000}},"is_test":false,"source":"stdin","received_at":{received_at}}}"#
        );
        assert_eq!(text, expected, "{asked}");
    }
}

#[tokio::test]
async fn since_is_exact_to_the_microsecond() {
    for journal in JOURNALS {
        let mut server = TestServer::start(journal);
        let mut live = server.client().await;
        for price in 1..=4 {
            // One commit each, so that each has a time of its own.
            server.feed(&lines(price..=price));
            live.text().await;
        }
        let times: Vec<String> = recorded(&server)
            .await
            .iter()
            .map(|signal| signal["received_at"].as_str().unwrap().to_owned())
            .collect();
        assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
        let mut rows = vec![
            ("1970-01-01T00:00:00Z".to_owned(), 1),
            ("2999-01-01T00:00:00Z".to_owned(), 5),
            ("9999-12-31T23:59:59Z".to_owned(), 5),
        ];
        for (time, seq) in times.iter().zip(1..) {
            let digits = time.trim_end_matches('Z');
            rows.push((time.clone(), seq));
            rows.push((format!("{digits}+00:00"), seq));
            // A nanosecond later.
            rows.push((format!("{digits}001Z"), seq + 1));
        }
        for (since, first) in rows {
            let path = format!("/?since={since}");
            let mut back = client(&server, &path, V2).await;
            let expected: Vec<u64> = (first..=4).collect();
            assert_eq!(seqs(&mut back, expected.len()).await, expected, "{path}");
            assert_nothing_more(&mut back, &path).await;
        }
    }
}

/// What is left to whoever comes too late.
fn assert_gone(answer: &Answer, epoch: &str, first_seq: u64, last_seq: u64) {
    assert_eq!(answer.status, 410, "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    let mut body: Value = serde_json::from_str(&answer.body).unwrap();
    let message = body["message"].take();
    assert!(!message.as_str().unwrap().is_empty());
    let expected = json!({
        "type": "error", "code": "history_gone", "message": null,
        "epoch": epoch, "first_seq": first_seq, "last_seq": last_seq,
    });
    assert_eq!(body, expected);
    let keys = r#"{"type":"error","code":"history_gone","message":"#;
    assert!(answer.body.starts_with(keys), "{}", answer.body);
}

#[tokio::test]
async fn a_seq_beyond_the_newest_is_of_another_log() {
    for journal in JOURNALS {
        let mut server = TestServer::start(journal);
        let mut live = server.client().await;
        let epoch = live.response.headers()["signalcast-epoch"].clone();
        let epoch = epoch.to_str().unwrap();
        assert_gone(&ask(&server, "/?after_seq=1").await, epoch, 1, 0);
        server.feed(&lines(1..=3));
        live.texts(3).await;
        for path in ["/?after_seq=4", "/ws?after_seq=18446744073709551615"] {
            assert_gone(&ask(&server, path).await, epoch, 1, 3);
        }
    }
}

#[tokio::test]
async fn a_seq_of_a_log_that_is_named_is_of_that_log_or_gone() {
    let mut server = TestServer::start("");
    let mut live = client(&server, "/", V2).await;
    server.feed(&lines(1..=5));
    assert_eq!(seqs(&mut live, 5).await, [1, 2, 3, 4, 5]);
    let epoch = live.response.headers()["signalcast-epoch"].clone();
    let epoch = epoch.to_str().unwrap();
    let path = format!("/?after_seq=3&epoch={epoch}");
    let mut goes_on = client(&server, &path, V2).await;
    assert_eq!(seqs(&mut goes_on, 2).await, [4, 5]);
    let bearer = bearer(&server, &claims());
    let page = format!("/signals?after_seq=3&epoch={epoch}");
    assert_eq!(server.get(&page, &bearer).await.status, 200);
    // There is a signal of that seq, and it is another one.
    for other in ["019a0000-0000-7000-8000-000000000000", "x"] {
        for answer in [
            ask(&server, &format!("/?after_seq=3&epoch={other}")).await,
            ask(&server, &format!("/?epoch={other}")).await,
            server
                .get(&format!("/signals?epoch={other}&after_seq=3"), &bearer)
                .await,
        ] {
            assert_gone(&answer, epoch, 1, 5);
        }
    }
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_gone_and_said_to_be() {
    let note = "x".repeat(4000);
    let line = format!(r#"{{"type":"buy","symbol":"BTCUSDT","price":1,"note":"{note}"}}"#) + "\n";
    for (settings, newest) in [
        // Less than is fed.
        ("--journal none --hub-tail-bytes 256KiB", 200),
        ("--journal-retain-age 1s --hub-tail-bytes 256KiB", 200),
        // The hot tail holds more, which nobody may begin with.
        ("--journal-retain-age 1s --hub-tail-bytes 16MiB", 200),
    ] {
        let mut server = TestServer::start(settings);
        let mut live = server.client().await;
        let mut feed = server.take_feed();
        let first_time = async |server: &TestServer| {
            let signal = &recorded(server).await[0];
            signal["received_at"].as_str().unwrap().to_owned()
        };
        feed.write_all(line.as_bytes()).unwrap();
        live.text().await;
        let since = first_time(&server).await;
        // One by one: what comes at once is kept at once, however much that is.
        for _ in 1..newest {
            feed.write_all(line.as_bytes()).unwrap();
            live.text().await;
        }
        let bearer = bearer(&server, &claims());
        let retention = async {
            while server
                .get("/signals?after_seq=0&limit=1", &bearer)
                .await
                .status
                == 200
            {}
        };
        patiently("retention", retention).await;
        let answer = ask(&server, "/?after_seq=0").await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let first = body["first_seq"].as_u64().unwrap();
        let epoch = body["epoch"].as_str().unwrap();
        assert!(first > 1, "{settings}: {body}");
        assert_gone(&answer, epoch, first, 200);
        for path in [
            format!("/?since={since}"),
            "/?since=1970-01-01T00:00:00Z".to_owned(),
        ] {
            let answer = ask(&server, &path).await;
            assert_eq!(answer.status, 410, "{settings}: {path}");
        }
        let mut late = client(&server, "/", V2).await;
        let said = late.json().await;
        assert!(
            said["first_seq"].as_u64() >= Some(first),
            "{settings}: {said}"
        );
        assert_eq!(said["last_seq"], 200, "{settings}");
        // Where the newest one is, everybody may begin.
        let mut back = client(&server, "/?after_seq=199", V2).await;
        assert_eq!(seqs(&mut back, 1).await, [200]);
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused_and_told_what_to_write() {
    let server = TestServer::start("");
    for (query, said) in [
        ("after_seq=x", "after_seq must be a whole number"),
        ("after_seq=-1", "after_seq must be a whole number"),
        ("after_seq=1&after_seq=1", "write it once"),
        (
            "after_seq=0&since=2026-11-20T10:00:00Z",
            "after_seq and since are both given; write one of them",
        ),
        ("since=yesterday", "write RFC 3339"),
        ("since=2026-11-20T10:00:00", "has no offset"),
        ("after_sec=1", "the nearest known one is after_seq"),
        ("limit=10", "there is no parameter"),
        ("symbols=", "symbols has an empty pattern"),
        ("symbols=%zz", "must be followed by two hex digits"),
        ("tests=no", "write tests=true or tests=false"),
        ("prices=float", "write prices=string or prices=number"),
        ("stale=yes", "write stale=true or stale=false"),
        (
            "stale=true",
            "stale signals can only be marked in signalcast.v2",
        ),
        ("token=secret", "send Authorization: Bearer TOKEN"),
    ] {
        for path in ["/", "/ws"] {
            let answer = ask(&server, &format!("{path}?{query}")).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "bad_request")
            );
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(answer.body.contains(said), "{query}: {}", answer.body);
            assert!(!answer.body.contains("secret"), "{}", answer.body);
        }
    }
    let many = vec!["X*"; 256].join(",");
    client(&server, &format!("/?symbols={many}"), V1).await;
    let answer = ask(&server, &format!("/?symbols={many},Y")).await;
    assert!(
        answer.body.contains("257 symbol patterns"),
        "{}",
        answer.body
    );
    client(&server, "/?stale=true", V2).await;
    client(&server, "/?stale=false&tests=true&prices=number", V1).await;
}

#[tokio::test]
async fn who_may_not_come_in_is_told_so_first() {
    let server = TestServer::start("--limits-connections 1 --limits-handshake 10m");
    let without_scope = bearer(&server, &without("scope"));
    for bad in ["/?after_seq=x", "/?after_seq=99"] {
        assert_eq!(server.ask(bad, "").await.code(), "missing_token");
        let answer = server.ask(bad, "Authorization: Bearer x\r\n").await;
        assert_eq!(answer.code(), "invalid_token");
        let answer = server.ask(bad, &without_scope).await;
        assert_eq!(answer.code(), "insufficient_scope");
        assert!([400, 410].contains(&ask(&server, bad).await.status));
        let upgrade = "Sec-WebSocket-Version: 13";
        let request = upgrade_request(bad, "").replace(upgrade, "Sec-WebSocket-Version: 12");
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!(answer.code(), "upgrade_required");
    }
    let _one = client(&server, "/", V1).await;
    for bad in ["/?after_seq=x", "/?after_seq=99"] {
        assert_eq!(ask(&server, bad).await.code(), "overloaded");
    }
}

#[tokio::test]
async fn who_is_refused_was_no_client_that_sources_wait_for() {
    let mut server = TestServer::start("--wait-clients 1");
    server.feed("buy BTCUSDT 1 1720000000\n");
    for path in ["/?after_seq=99", "/?after_sec=1", "/?stale=true"] {
        assert!([400, 410].contains(&ask(&server, path).await.status));
    }
    assert_eq!(
        server
            .get("/signals", &bearer(&server, &claims()))
            .await
            .status,
        200
    );
    let ready = server.get("/readyz", "").await;
    let ready: Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!(ready["checks"]["sources"]["stdin"]["state"], "waiting");
    let mut live = client(&server, "/", V1).await;
    assert_eq!(live.text().await, frames(1..=1)[0]);
}

#[tokio::test]
async fn a_client_gets_what_it_asked_for_of_what_its_token_allows() {
    for journal in JOURNALS {
        let mut server = TestServer::start(journal);
        let mut live = server.client().await;
        server.feed(
            "buy BTCUSDT 1\nsell ETHUSDT 2\nbuy BTC+X 3\nbuy BTCUSDT 4 test\nsell ^GSPC 5\n\
             buy ETHUSDT 6 test\n",
        );
        live.texts(6).await;
        let everything = claims();
        let btc = with("symbols", json!(["BTC*", "ETHUSDT"]));
        for (who, query, expected) in [
            (&everything, "", &[1, 2, 3, 4, 5, 6][..]),
            (&everything, "&tests=true", &[1, 2, 3, 4, 5, 6]),
            (&everything, "&tests=false", &[1, 2, 3, 5]),
            (&everything, "&symbols=BTC*", &[1, 3, 4]),
            (
                &everything,
                "&symbols=BTC%2A,%5EGSPC&tests=false",
                &[1, 3, 5],
            ),
            (&everything, "&symbols=BTC%2BX", &[3]),
            (&everything, "&symbols=btc*", &[]),
            (&btc, "", &[1, 2, 3, 4, 6]),
            (&btc, "&symbols=*", &[1, 2, 3, 4, 6]),
            (&btc, "&symbols=^GSPC,ETH*", &[2, 6]),
        ] {
            let path = format!("/?after_seq=0{query}");
            let mut v2 = client_who(&server, who, &path, V2).await;
            assert_eq!(seqs(&mut v2, expected.len()).await, expected, "{path}");
            // Whatever the filter.
            assert_nothing_more(&mut v2, &path).await;
            let mut v1 = client_who(&server, who, &path, V1).await;
            for price in expected {
                assert_eq!(v1.json().await["content"]["price"], *price, "{path}");
            }
            assert_nothing_more(&mut v1, &path).await;
        }
    }
}

#[tokio::test]
async fn what_a_client_asked_for_holds_for_what_comes_live() {
    let mut server = TestServer::start("");
    let mut live = client(&server, "/?symbols=BTC*&tests=false&prices=string", V2).await;
    server.feed("buy BTCUSDT 1.10\nsell ETHUSDT 2\nbuy BTCUSDT 3 test\nbuy BTCEUR 4.00\n");
    for (seq, price) in [(1, "1.10"), (4, "4.00")] {
        let (_, signal) = signal(&mut live).await;
        assert_eq!(
            (&signal["seq"], &signal["content"]["price"]),
            (&json!(seq), &json!(price))
        );
    }
}

#[tokio::test]
async fn prices_as_strings_keep_every_digit() {
    let mut server = TestServer::start("");
    let mut live = server.client().await;
    let prices = [
        "75000.00",
        "0.10",
        "-0.00000001",
        "0.0000000000000000000000000001",
        "9999999999999999999999999999",
    ];
    for price in prices {
        server.feed(&format!("buy BTCUSDT {price} 1720000000\n"));
    }
    live.texts(prices.len()).await;
    let mut v1 = client(&server, "/?after_seq=0&prices=string", V1).await;
    let mut v2 = client(&server, "/?after_seq=0&prices=string", V2).await;
    for price in prices {
        let expected = wire("buy", "BTCUSDT", &format!("\"{price}\""), 1_720_000_000);
        assert_eq!(v1.text().await, expected);
        let (text, _) = signal(&mut v2).await;
        let content =
            format!(r#""content":{{"symbol":"BTCUSDT","price":"{price}","timestamp":1720000000}}"#);
        assert!(text.contains(&content), "{text}");
    }
}

#[tokio::test]
async fn stale_signals_come_only_to_those_who_ask_and_say_so() {
    let mut server = TestServer::start("");
    let mut live = server.client().await;
    server.feed(
        r#"{"type":"buy","symbol":"A","price":1,"timestamp":1720000000,"valid_for":60}
{"type":"buy","symbol":"A","price":2,"timestamp":1720000000}
"#,
    );
    assert_eq!(live.json().await["content"]["price"], 2);
    for (path, subprotocol) in [
        ("/?after_seq=0", V1),
        ("/?after_seq=0", V2),
        ("/?after_seq=0&stale=false", V2),
    ] {
        let mut back = client(&server, path, subprotocol).await;
        assert_eq!(signal(&mut back).await.1["content"]["price"], 2, "{path}");
    }
    let mut back = client(&server, "/?after_seq=0&stale=true", V2).await;
    let (text, _) = signal(&mut back).await;
    assert!(text.ends_with(r#"Z","stale":true}"#), "{text}");
    let (text, frame) = signal(&mut back).await;
    assert_eq!(frame["seq"], 2);
    assert!(!text.contains("stale"), "{text}");
}

#[tokio::test]
async fn a_client_goes_on_where_it_was_when_the_server_was_started_anew() {
    let folder = Arc::new(Folder::new());
    let start = |journal: &str| TestServer::start_in(Arc::clone(&folder), journal);
    let mut server = start("");
    let mut live = client(&server, "/", V1).await;
    let epoch = live.response.headers()["signalcast-epoch"].clone();
    server.feed(&lines(1..=3000));
    live.texts(3000).await;
    server.stop();

    let mut server = start("");
    let mut v1 = client(&server, "/?after_seq=1500", V1).await;
    let mut v2 = client(&server, "/?after_seq=2999&symbols=BTC*&prices=string", V2).await;
    let mut live = client(&server, "/?after_seq=3000", V1).await;
    for client in [&v1, &v2, &live] {
        assert_eq!(client.response.headers()["signalcast-last-seq"], "3000");
        assert_eq!(client.response.headers()["signalcast-epoch"], epoch);
    }
    server.feed(&lines(3001..=3010));
    assert_eq!(v1.texts(1510).await, frames(1501..=3010));
    assert_eq!(seqs(&mut v2, 11).await, (3000..=3010).collect::<Vec<_>>());
    assert_eq!(live.texts(10).await, frames(3001..=3010));
    server.stop();

    // What was never kept is gone, and it shows.
    let server = start("--journal none");
    let live = client(&server, "/", V1).await;
    let other = live.response.headers()["signalcast-epoch"].clone();
    assert_ne!(other, epoch);
    let answer = ask(&server, "/?after_seq=3000").await;
    assert_gone(&answer, other.to_str().unwrap(), 1, 0);
}

/// Whatever shard it comes to, and however far that one is.
#[tokio::test]
async fn clients_that_come_back_while_signals_flow_get_each_once() {
    const SIGNALS: u64 = 20_000;
    for journal in JOURNALS {
        let mut server = TestServer::start(&format!("{journal} --server-shards 2"));
        // Somebody who always reads, so that shards have something to do.
        let steady = client(&server, "/", V2).await;
        let mut feed = server.take_feed();
        let feeding = thread::spawn(move || {
            for chunk in 0..SIGNALS / 1000 {
                let first = chunk * 1000 + 1;
                feed.write_all(lines(first..=first + 999).as_bytes())
                    .unwrap();
            }
            feed
        });
        let server = &server;
        let restless = async |step: usize| {
            let mut last = 0;
            while last < SIGNALS {
                let path = format!("/?after_seq={last}");
                let mut client = client(server, &path, V2).await;
                let expected: Vec<u64> = (last + 1..=SIGNALS).take(step).collect();
                assert_eq!(seqs(&mut client, expected.len()).await, expected, "{path}");
                last += expected.len() as u64;
            }
        };
        let all = join_all([1500, 997, 403].map(restless));
        let reading = async {
            let mut steady = steady;
            let expected: Vec<u64> = (1..=SIGNALS).collect();
            assert_eq!(seqs(&mut steady, expected.len()).await, expected);
        };
        tokio::join!(all, reading);
        feeding.join().unwrap();
    }
}

/// A live client gets what comes after the seq that it is told, be it told by the answer to its
/// request or by the first frame.
#[tokio::test]
async fn where_a_live_client_begins_is_told_the_same_twice() {
    let mut server = TestServer::start("--plaintext");
    let mut feed = server.take_feed();
    let feeding = thread::spawn(move || {
        // Until the server has ended.
        for first in (1..).step_by(10) {
            if feed.write_all(lines(first..=first + 9).as_bytes()).is_err() {
                break;
            }
        }
    });
    for _ in 0..30 {
        // A time to come: the log is looked through, and goes on meanwhile.
        let mut client = client(&server, "/?since=2100-01-01T00:00:00Z", V2).await;
        let answered = client.response.headers()["signalcast-last-seq"].clone();
        let last = client.json().await["last_seq"].as_u64().unwrap();
        assert_eq!(answered.to_str().unwrap(), last.to_string());
        assert_eq!(seqs(&mut client, 1).await, [last + 1]);
    }
    server.stop();
    feeding.join().unwrap();
}
