//! What a client of `signalcast.v2` may ask of the server, and what it is answered.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::issuer::{Answer, Issuer, Signer};
use common::jwt::{claims, now, token, with, without};
use common::{Folder, TestClient, TestServer};
use serde_json::{Value, json};

/// Over TLS, and without.
const TRANSPORTS: [&str; 2] = ["", "--plaintext"];

/// With a log that is kept, and with one of which only the hot tail is there.
const JOURNALS: [&str; 2] = ["--journal sqlite", "--journal none"];

/// A server that takes commands as fast as a test sends them.
fn start(arguments: &str) -> TestServer {
    TestServer::start(&format!("{arguments} --limits-commands-per-second 1000"))
}

/// A client of `signalcast.v2` that has read the first frame.
async fn client(server: &TestServer) -> TestClient {
    client_with(server, "/", &server.mint(&claims())).await
}

async fn client_with(server: &TestServer, path: &str, token: &str) -> TestClient {
    let client = server.client_speaking("signalcast.v2", path, token).await;
    let mut client = client.unwrap();
    assert_eq!(client.json().await["type"], "connection_established");
    client
}

/// The answer to a command, as it lies on the wire.
async fn ask(client: &mut TestClient, command: &Value) -> String {
    client.send(&command.to_string()).await;
    client.text().await
}

/// The code and the message of an error, which must be of the shape of all errors.
async fn problem(client: &mut TestClient, command: &str) -> (String, String) {
    client.send(command).await;
    let text = client.text().await;
    let said: Value = serde_json::from_str(&text).unwrap();
    let (code, message) = (said["code"].as_str(), said["message"].as_str());
    let (code, message) = (code.expect(&text), message.expect(&text));
    let expected = json!({ "code": code, "message": message }).to_string();
    assert_eq!(text, expected.replacen('{', r#"{"type":"error","#, 1));
    (code.to_owned(), message.to_owned())
}

/// Nothing waits to be sent to this client: its pong comes next.
async fn assert_nothing_more(client: &mut TestClient) {
    let answer = ask(client, &json!({ "type": "ping" })).await;
    assert!(answer.starts_with(r#"{"type":"pong""#), "{answer}");
}

fn lines(of: RangeInclusive<u64>) -> String {
    of.map(|price| format!("buy X {price} 7\n")).collect()
}

/// The next signals have these places in the log.
async fn expect_seqs(client: &mut TestClient, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        let signal = client.json().await;
        assert_eq!(signal["seq"], seq, "{signal}");
    }
}

/// The symbols of the next signals.
async fn expect_symbols(client: &mut TestClient, symbols: &[&str]) {
    for symbol in symbols {
        let signal = client.json().await;
        assert_eq!(signal["content"]["symbol"], *symbol, "{signal}");
    }
}

fn epoch(client: &TestClient) -> String {
    let epoch = &client.response.headers()["signalcast-epoch"];
    epoch.to_str().unwrap().to_owned()
}

/// A time to the microsecond.
fn time(text: &str) -> SystemTime {
    let time: jiff::Timestamp = text.parse().unwrap();
    assert_eq!(format!("{time:.6}"), text);
    time.into()
}

#[tokio::test]
async fn ping_is_answered_with_the_time() {
    for transport in TRANSPORTS {
        let server = start(transport);
        let mut client = client(&server).await;
        for (command, rest) in [
            (r#"{"type":"ping"}"#, "}"),
            (
                r#" { "request_id" : "7" , "type" : "ping" } "#,
                r#","request_id":"7"}"#,
            ),
            (
                r#"{"type":"p\u0069ng","request_id":"\u00fc\"\\\n/\/\u0001"}"#,
                r#","request_id":"ü\"\\\n//\u0001"}"#,
            ),
            (r#"{"type":"ping","request_id":""}"#, r#","request_id":""}"#),
        ] {
            let before = SystemTime::now();
            client.send(command).await;
            let answer = client.text().await;
            let said: Value = serde_json::from_str(&answer).unwrap();
            let shown = said["timestamp"].as_str().unwrap();
            assert_eq!(
                answer,
                format!(r#"{{"type":"pong","timestamp":"{shown}"{rest}"#)
            );
            let micro = Duration::from_micros(1);
            assert!((before - micro..=SystemTime::now()).contains(&time(shown)));
        }
    }
}

#[tokio::test]
async fn the_id_of_a_request_is_up_to_128_characters() {
    let server = start("");
    let mut client = client(&server).await;
    for id in ["x".repeat(128), "ü".repeat(128)] {
        let answer = ask(&mut client, &json!({ "type": "ping", "request_id": id })).await;
        let end = format!(r#","request_id":"{id}"}}"#);
        assert!(answer.ends_with(&end), "{answer}");
    }
    for id in [
        json!("x".repeat(129)),
        json!(1),
        json!(null),
        json!(["1"]),
        json!({}),
    ] {
        let command = json!({ "type": "ping", "request_id": id }).to_string();
        let (code, message) = problem(&mut client, &command).await;
        assert_eq!(code, "bad_command");
        assert_eq!(
            message,
            "request_id must be a string of up to 128 characters"
        );
    }
}

#[tokio::test]
async fn a_test_may_be_asked_for_as_json_and_carries_the_id_of_its_request() {
    let server = start("");
    let mut client = client(&server).await;
    for (command, side, rest) in [
        (r#"{"type":"test"}"#, "buy", ""),
        (
            r#"{"type":"test","request_id":"t-1"}"#,
            "sell",
            r#","request_id":"t-1""#,
        ),
        ("test", "buy", ""),
    ] {
        client.send(command).await;
        let answer = client.text().await;
        let said: Value = serde_json::from_str(&answer).unwrap();
        let (id, content) = (said["id"].as_str().unwrap(), &said["content"]);
        let (at, received_at) = (&content["timestamp"], said["received_at"].as_str().unwrap());
        assert_eq!(
            answer,
            format!(
                r#"{{"type":"{side}","id":"{id}","content":{{"symbol":"BTCUSDT","price":75000.00,"timestamp":{at}}},"is_test":true,"source":"test","received_at":"{received_at}"{rest}}}"#
            )
        );
    }
    let reader = server.mint(&with("scope", "signals:read"));
    let mut reader = client_with(&server, "/", &reader).await;
    let answer = ask(&mut reader, &json!({ "type": "test", "request_id": "t-2" })).await;
    assert_eq!(
        answer,
        r#"{"type":"error","code":"insufficient_scope","message":"test needs a token with the scope signals:test","request_id":"t-2"}"#
    );
}

#[tokio::test]
async fn what_is_no_command_is_an_error_that_says_so_and_the_connection_stays() {
    for transport in TRANSPORTS {
        let mut server = start(transport);
        let mut client = client(&server).await;
        for (text, code) in [
            ("", "bad_command"),
            ("TEST", "bad_command"),
            ("test ", "bad_command"),
            ("{", "bad_command"),
            ("[]", "bad_command"),
            ("\"test\"", "bad_command"),
            ("null", "bad_command"),
            ("{}", "bad_command"),
            (r#"{"type":"ping"}{"type":"ping"}"#, "bad_command"),
            (r#"{"type":1}"#, "bad_command"),
            (r#"{"type":null}"#, "bad_command"),
            (r#"{"type":"\ud800"}"#, "bad_command"),
            (r#"{"Type":"ping"}"#, "bad_command"),
            (r#"{"type":"ping","type":"ping"}"#, "bad_command"),
            (r#"{"type":"ping","after_seq":1}"#, "bad_command"),
            (r#"{"type":"ping","x":{"deep":[1,2]}}"#, "bad_command"),
            (r#"{"type":"Ping"}"#, "unknown_command"),
        ] {
            let (said, message) = problem(&mut client, text).await;
            assert_eq!(said, code, "{text:?}: {message}");
        }
        server.feed("buy X 1 7\n");
        expect_symbols(&mut client, &["X"]).await;
    }
    let server = start("");
    let mut client = client(&server).await;
    for text in [
        r#"{"type":""}"#,
        r#"{"type":"PING"}"#,
        r#"{"type":"unsubscribe","symbols":["X"]}"#,
        r#"{"type":"halted"}"#,
    ] {
        let (said, message) = problem(&mut client, text).await;
        assert_eq!(said, "unknown_command", "{text:?}: {message}");
    }
    // The id comes back with errors too, as long as it could be read.
    for (command, start) in [
        (
            json!({ "type": "stop", "request_id": "a" }),
            r#"{"type":"error","code":"unknown_command","message":""#,
        ),
        (
            json!({ "type": "ping", "request_id": "a", "x": 1 }),
            r#"{"type":"error","code":"bad_command","message":""#,
        ),
        (
            json!({ "request_id": "a" }),
            r#"{"type":"error","code":"bad_command","message":""#,
        ),
        (
            json!({ "type": "resume", "after_seq": 9, "request_id": "a" }),
            r#"{"type":"error","code":"history_gone","message":""#,
        ),
    ] {
        let answer = ask(&mut client, &command).await;
        assert!(answer.starts_with(start), "{answer}");
        assert!(answer.ends_with(r#","request_id":"a"}"#), "{answer}");
    }
}

#[tokio::test]
async fn commands_are_answered_in_their_order() {
    let server = start("");
    let mut client = client(&server).await;
    let again = server.mint(&claims());
    let commands = [
        (json!({ "type": "auth", "token": again }), "authenticated"),
        (
            json!({ "type": "subscribe", "symbols": ["A"] }),
            "subscribed",
        ),
        (json!({ "type": "ping" }), "pong"),
        (json!({ "type": "resume", "after_seq": 0 }), "resumed"),
        (json!({ "type": "nothing" }), "error"),
        (json!({ "type": "test" }), "buy"),
        (json!({ "type": "resume", "after_seq": 1 }), "error"),
        (json!({ "type": "auth", "token": "x" }), "error"),
    ];
    for (index, (command, _)) in commands.iter().enumerate() {
        let mut command = command.clone();
        command["request_id"] = index.to_string().into();
        client.send(&command.to_string()).await;
    }
    for (index, (_, answer)) in commands.iter().enumerate() {
        let said = client.json().await;
        assert_eq!(
            (&said["type"], &said["request_id"]),
            (&json!(answer), &json!(index.to_string()))
        );
    }
}

#[tokio::test]
async fn subscribe_replaces_the_filter_and_what_the_token_allows_holds_besides() {
    for transport in TRANSPORTS {
        let mut server = start(transport);
        let token = server.mint(&with("symbols", json!(["BTC*", "ETH*"])));
        let mut client = client_with(&server, "/?symbols=X", &token).await;
        let feed =
            "buy BTCUSDT 1 7\nbuy BTCEUR 1 7 test\nbuy ETHUSDT 1 7\nbuy X 1 7\nbuy ETHEND 1 7\n";
        for (asked, answer, symbols) in [
            (
                r#"{"type":"subscribe","symbols":["*USDT","ETHEND"]}"#,
                r#"{"type":"subscribed","symbols":["*USDT","ETHEND"],"tests":true}"#,
                &["BTCUSDT", "ETHUSDT", "ETHEND"][..],
            ),
            (
                r#"{"type":"subscribe","request_id":"all"}"#,
                r#"{"type":"subscribed","symbols":["*"],"tests":true,"request_id":"all"}"#,
                &["BTCUSDT", "BTCEUR", "ETHUSDT", "ETHEND"],
            ),
            (
                r#"{"type":"subscribe","tests":false}"#,
                r#"{"type":"subscribed","symbols":["*"],"tests":false}"#,
                &["BTCUSDT", "ETHUSDT", "ETHEND"],
            ),
            // As it was asked, also what is there twice.
            (
                r#"{"type":"subscribe","tests":true,"symbols":["X","ETHEND","\u0042TCE**","X"]}"#,
                r#"{"type":"subscribed","symbols":["X","ETHEND","BTCE**","X"],"tests":true}"#,
                &["BTCEUR", "ETHEND"],
            ),
        ] {
            client.send(asked).await;
            assert_eq!(client.text().await, answer);
            server.feed(feed);
            expect_symbols(&mut client, symbols).await;
        }
        // None at all.
        let answer = ask(&mut client, &json!({ "type": "subscribe", "symbols": [] })).await;
        assert_eq!(answer, r#"{"type":"subscribed","symbols":[],"tests":true}"#);
        server.feed(feed);
        let mut other = client_with(&server, "/?after_seq=20", &token).await;
        expect_symbols(&mut other, &["BTCUSDT", "BTCEUR", "ETHUSDT", "ETHEND"]).await;
        assert_nothing_more(&mut client).await;
    }
}

#[tokio::test]
async fn a_filter_that_means_nothing_changes_nothing() {
    let mut server = start("");
    let mut client = client_with(&server, "/?symbols=A", &server.mint(&claims())).await;
    let many: Vec<String> = (0..257).map(|index| format!("S{index}")).collect();
    for (symbols, words) in [
        (json!("A"), "symbols must be a list"),
        (json!(null), "symbols must be a list"),
        (json!([1]), "symbols must be a list"),
        (json!([null]), "symbols must be a list"),
        (json!([""]), "empty"),
        (json!(["A", "B C"]), "blank"),
        (json!(many), "257 symbol patterns; at most 256"),
    ] {
        let command = json!({ "type": "subscribe", "symbols": symbols }).to_string();
        let (code, message) = problem(&mut client, &command).await;
        assert_eq!(code, "bad_command");
        assert!(message.contains(words), "{message}");
    }
    for tests in [json!("false"), json!(0), json!(null)] {
        let command = json!({ "type": "subscribe", "tests": tests }).to_string();
        let (code, message) = problem(&mut client, &command).await;
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("bad_command", "tests must be true or false")
        );
    }
    let (code, message) = problem(&mut client, r#"{"type":"subscribe","symbol":["B"]}"#).await;
    assert_eq!(code, "bad_command");
    assert_eq!(
        message,
        r#"subscribe does not take "symbol"; it takes symbols, tests and request_id"#
    );
    server.feed("buy B 1 7\nbuy A 1 7\n");
    expect_symbols(&mut client, &["A"]).await;
    let most = &many[..256];
    let answer = ask(
        &mut client,
        &json!({ "type": "subscribe", "symbols": most }),
    )
    .await;
    assert!(
        answer.starts_with(r#"{"type":"subscribed","symbols":["S0","#),
        "{answer}"
    );
}

#[tokio::test]
async fn prices_and_stale_signals_stay_as_the_url_asked_for() {
    let mut server = start("");
    let path = "/?prices=string&stale=true";
    let mut client = client_with(&server, path, &server.mint(&claims())).await;
    ask(
        &mut client,
        &json!({ "type": "subscribe", "symbols": ["A*"] }),
    )
    .await;
    server.feed(r#"{"side":"buy","symbol":"AB","price":1.50,"timestamp":7,"valid_for":1}"#);
    server.feed("\n");
    let signal = client.json().await;
    assert_eq!(signal["content"]["price"], "1.50");
    assert_eq!(signal["stale"], true);
}

#[tokio::test]
async fn resume_goes_back_and_on_with_the_same_filter() {
    for journal in JOURNALS {
        for transport in TRANSPORTS {
            let mut server = start(&format!("{journal} {transport}"));
            let mut client = client(&server).await;
            let answer = ask(&mut client, &json!({ "type": "resume", "after_seq": 0 })).await;
            assert_eq!(answer, r#"{"type":"resumed","from_seq":1,"to_seq":0}"#);
            server.feed(&lines(1..=700));
            expect_seqs(&mut client, 1..=700).await;
            for (after, to) in [(0, 700), (699, 700), (700, 700), (350, 700)] {
                let command = json!({ "type": "resume", "after_seq": after, "request_id": "r" });
                let answer = ask(&mut client, &command).await;
                let from = after + 1;
                assert_eq!(
                    answer,
                    format!(
                        r#"{{"type":"resumed","from_seq":{from},"to_seq":{to},"request_id":"r"}}"#
                    )
                );
                expect_seqs(&mut client, from..=to).await;
                assert_nothing_more(&mut client).await;
            }
            server.feed(&lines(701..=702));
            expect_seqs(&mut client, 701..=702).await;

            ask(
                &mut client,
                &json!({ "type": "subscribe", "symbols": ["Y"] }),
            )
            .await;
            server.feed("buy Y 1 7\nbuy X 1 7\nbuy Y 1 7\n");
            expect_seqs(&mut client, [703, 705]).await;
            let answer = ask(&mut client, &json!({ "type": "resume", "after_seq": 1 })).await;
            assert_eq!(answer, r#"{"type":"resumed","from_seq":2,"to_seq":705}"#);
            expect_seqs(&mut client, [703, 705]).await;
            assert_nothing_more(&mut client).await;
        }
    }
}

#[tokio::test]
async fn a_place_that_the_log_does_not_hold_is_gone_and_the_client_stays_where_it_is() {
    for journal in JOURNALS {
        let mut server = start(journal);
        let mut client = client(&server).await;
        let epoch = epoch(&client);
        server.feed(&lines(1..=3));
        expect_seqs(&mut client, 1..=3).await;
        for after in [4, u64::MAX] {
            let answer = ask(
                &mut client,
                &json!({ "type": "resume", "after_seq": after }),
            )
            .await;
            let said: Value = serde_json::from_str(&answer).unwrap();
            let message = said["message"].as_str().unwrap();
            assert_eq!(
                answer,
                format!(
                    r#"{{"type":"error","code":"history_gone","message":"{message}","epoch":"{epoch}","first_seq":1,"last_seq":3}}"#
                )
            );
        }
        server.feed(&lines(4..=4));
        expect_seqs(&mut client, [4]).await;
    }
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_gone() {
    let mut server = start("--journal none --hub-tail-bytes 256KiB --server-shards 1");
    let mut client = client(&server).await;
    let note = "x".repeat(4000);
    for price in 1..=200 {
        server.feed(&format!(
            r#"{{"side":"buy","symbol":"X","price":{price},"timestamp":7,"note":"{note}"}}"#
        ));
        server.feed("\n");
        // One by one: what comes at once is kept at once.
        expect_seqs(&mut client, [price]).await;
    }
    let answer = ask(&mut client, &json!({ "type": "resume", "after_seq": 0 })).await;
    let said: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&said["code"], &said["last_seq"]),
        (&json!("history_gone"), &json!(200))
    );
    let first = said["first_seq"].as_u64().unwrap();
    assert!((2..=200).contains(&first), "{answer}");
    let command = json!({ "type": "resume", "after_seq": first - 1 });
    let answer = ask(&mut client, &command).await;
    assert_eq!(
        answer,
        format!(r#"{{"type":"resumed","from_seq":{first},"to_seq":200}}"#)
    );
    expect_seqs(&mut client, first..=200).await;
}

#[tokio::test]
async fn a_place_must_be_a_whole_number() {
    let server = start("");
    let mut client = client(&server).await;
    for place in [
        "-1",
        "1.0",
        "1e1",
        "\"1\"",
        "null",
        "true",
        "18446744073709551616",
    ] {
        let command = format!(r#"{{"type":"resume","after_seq":{place}}}"#);
        let (code, message) = problem(&mut client, &command).await;
        assert_eq!(code, "bad_command");
        assert!(
            message.starts_with("after_seq must be a whole number"),
            "{message}"
        );
    }
    let (code, message) = problem(&mut client, r#"{"type":"resume"}"#).await;
    assert_eq!(code, "bad_command");
    assert!(
        message.starts_with("resume needs after_seq, a whole number"),
        "{message}"
    );
}

/// What a client of another shard was sent, a client of this one may ask for, though its own shard
/// has not come by it yet.
#[tokio::test]
async fn what_anybody_was_sent_everybody_can_go_on_after() {
    let mut server = start("--server-shards 4");
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut other = client_with(&server, "/", &server.mint(&claims())).await;
        ask(&mut other, &json!({ "type": "subscribe", "symbols": [] })).await;
        clients.push(other);
    }
    let mut first = client(&server).await;
    for seq in 1..=100 {
        server.feed(&lines(seq..=seq));
        expect_seqs(&mut first, [seq]).await;
        let other = &mut clients[usize::try_from(seq).unwrap() % 8];
        let answer = ask(other, &json!({ "type": "resume", "after_seq": seq })).await;
        let next = seq + 1;
        assert_eq!(
            answer,
            format!(r#"{{"type":"resumed","from_seq":{next},"to_seq":{seq}}}"#)
        );
    }
}

/// The token's own end, without the leeway.
fn authenticated(expires: u64, rest: &str) -> String {
    let expires = i64::try_from(expires).unwrap();
    let expires = jiff::Timestamp::from_second(expires).unwrap();
    format!(r#"{{"type":"authenticated","expires_at":"{expires:.6}"{rest}}}"#)
}

#[tokio::test]
async fn a_renewed_token_carries_the_connection_beyond_the_first_ones_end() {
    for transport in TRANSPORTS {
        let mut server = start(&format!("{transport} --auth-leeway 1s"));
        let brief = now() + 3;
        let brief = server.mint(&with("exp", brief));
        let mut renewed = client_with(&server, "/", &brief).await;
        let mut left = client_with(&server, "/", &brief).await;
        let end = now() + 600;
        let fresh = server.mint(&with("exp", end));
        let command = json!({ "type": "auth", "token": fresh, "request_id": "a" });
        let answer = ask(&mut renewed, &command).await;
        assert_eq!(answer, authenticated(end, r#","request_id":"a""#));
        assert_eq!(left.expect_close().await.0, 1008);
        server.feed("buy X 1 7\n");
        expect_symbols(&mut renewed, &["X"]).await;

        // A shorter one shortens it.
        let end = now() + 2;
        let shorter = server.mint(&with("exp", end));
        let answer = ask(&mut renewed, &json!({ "type": "auth", "token": shorter })).await;
        assert_eq!(answer, authenticated(end, ""));
        let (code, reason) = renewed.expect_close().await;
        assert_eq!(code, 1008);
        assert!(reason.contains("expired"), "{reason}");
        assert!(now() >= end);
    }
}

#[tokio::test]
async fn a_renewed_token_brings_its_own_scopes_and_symbols() {
    let mut server = start("");
    let token = |symbols: Value, scope: &str| {
        let mut claims = with("symbols", symbols);
        claims["scope"] = scope.into();
        server.mint(&claims)
    };
    let narrow = token(json!(["A*", "END"]), "signals:read");
    let other = token(json!(["B*", "END"]), "signals:read signals:test");
    let opaque = server.folder.token("--opaque --sub bot-1 --symbols *1,END");
    server.logged("tokens reloaded").await;
    let mut client = client_with(&server, "/?symbols=*1,END", &narrow).await;
    let feed = "buy A1 1 7\nbuy A2 1 7\nbuy B1 1 7\nbuy B2 1 7\nbuy C1 1 7\nbuy END 1 7\n";
    server.feed(feed);
    expect_symbols(&mut client, &["A1", "END"]).await;
    let (code, _) = problem(&mut client, "test").await;
    assert_eq!(code, "insufficient_scope");

    ask(&mut client, &json!({ "type": "auth", "token": other })).await;
    client.send("test").await;
    assert_eq!(client.json().await["is_test"], true);
    server.feed(feed);
    expect_symbols(&mut client, &["B1", "END"]).await;

    // Another kind of token, of the same subject.
    let answer = ask(&mut client, &json!({ "type": "auth", "token": opaque })).await;
    assert!(answer.starts_with(r#"{"type":"authenticated""#), "{answer}");
    server.feed(feed);
    expect_symbols(&mut client, &["A1", "B1", "C1", "END"]).await;
}

#[tokio::test]
async fn a_token_that_would_let_in_nobody_or_somebody_else_changes_nothing() {
    let folder = Arc::new(Folder::new());
    let revoked = folder.token("--sub bot-1");
    let run = folder.run(&format!("token revoke {revoked}"));
    assert!(run.status.success(), "{run:?}");
    let mut server = TestServer::start_in(Arc::clone(&folder), "");
    let mut client = client_with(&server, "/", &server.mint(&with("symbols", json!(["A"])))).await;
    for (token, code, words) in [
        ("", "invalid_token", "three parts"),
        ("x", "invalid_token", "three parts"),
        (revoked.as_str(), "invalid_token", "revoked"),
        (&server.mint(&with("exp", 1)), "invalid_token", "expired"),
        (
            &token(&claims(), "k".repeat(32)),
            "invalid_token",
            "signature",
        ),
        (&server.mint(&without("sub")), "invalid_token", "sub"),
        (
            &server.mint(&with("sub", "bot-2")),
            "invalid_token",
            "another sub",
        ),
        (
            &server.mint(&without("scope")),
            "insufficient_scope",
            "signals:read",
        ),
        (
            &server.mint(&with("scope", "signals:test")),
            "insufficient_scope",
            "signals:read",
        ),
        (
            "sgc_0123456789012345678901234567890123456789012",
            "invalid_token",
            "not known",
        ),
    ] {
        let command = json!({ "type": "auth", "token": token }).to_string();
        let (said, message) = problem(&mut client, &command).await;
        assert_eq!(said, code, "{message}");
        assert!(message.contains(words), "{message}");
    }
    for command in [
        r#"{"type":"auth"}"#,
        r#"{"type":"auth","token":null}"#,
        r#"{"type":"auth","token":["x"]}"#,
        r#"{"type":"auth","token":"x","scope":"admin"}"#,
    ] {
        let (code, _) = problem(&mut client, command).await;
        assert_eq!(code, "bad_command");
    }
    server.feed("buy B 1 7\nbuy A 1 7\n");
    expect_symbols(&mut client, &["A"]).await;
    client.send("test").await;
    assert_eq!(client.json().await["is_test"], true);
}

#[tokio::test]
async fn what_is_withdrawn_is_the_token_that_holds_now() {
    let folder = Arc::new(Folder::new());
    let server = TestServer::start_in(Arc::clone(&folder), "");
    let named = |jti: &str| server.mint(&with("jti", jti));
    let mut client = client_with(&server, "/", &named("first")).await;
    let command = json!({ "type": "auth", "token": named("second") });
    let answer = ask(&mut client, &command).await;
    assert!(answer.starts_with(r#"{"type":"authenticated""#), "{answer}");
    let mut witness = client_with(&server, "/", &named("first")).await;
    assert!(folder.run("token revoke --jti first").status.success());
    assert_eq!(witness.expect_close().await.0, 1008);
    assert_nothing_more(&mut client).await;
    assert!(folder.run("token revoke --jti second").status.success());
    let (code, reason) = client.expect_close().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("revoked"), "{reason}");
}

#[tokio::test]
async fn refused_tokens_count_as_failed_tries_wherever_they_are_tried() {
    let server = start("--auth-failed-tries-per-minute 3");
    let mut client = client(&server).await;
    let bad = json!({ "type": "auth", "token": "x.y.z" }).to_string();
    for _ in 0..3 {
        assert_eq!(problem(&mut client, &bad).await.0, "invalid_token");
    }
    assert_eq!(problem(&mut client, &bad).await.0, "too_many_attempts");
    let answer = server.ask("/", "Authorization: Bearer x.y.z\r\n").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "too_many_attempts")
    );
    // A good one gets in all the same.
    let good = json!({ "type": "auth", "token": server.mint(&claims()) });
    let answer = ask(&mut client, &good).await;
    assert!(answer.starts_with(r#"{"type":"authenticated""#), "{answer}");
}

/// A server that trusts this issuer.
fn serve(issuer: &Issuer) -> TestServer {
    let folder = Arc::new(Folder::new());
    let mut command = folder.command(&format!(
        "serve --listen 127.0.0.1:0 --source stdin --auth-jwks {}",
        issuer.url()
    ));
    issuer.make_trusted(&mut command);
    TestServer::start_command(folder, command)
}

#[tokio::test]
async fn a_renewed_token_may_be_signed_by_a_key_that_is_new_and_commands_wait_for_it() {
    let (old, new) = (Signer::p256("old"), Signer::ed25519("new"));
    let issuer = Issuer::start(Answer::keys(&[&old]));
    let mut server = serve(&issuer);
    server.logged("auth.jwks fetched").await;
    let mut client = client_with(&server, "/", &old.token()).await;
    issuer.now_answers(Answer::Silence);
    let command = json!({ "type": "auth", "token": new.token(), "request_id": "1" });
    client.send(&command.to_string()).await;
    client.send(r#"{"type":"ping","request_id":"2"}"#).await;
    issuer.asked(2).await;
    // Signals go on meanwhile, and nothing that was sent behind it is answered.
    server.feed("buy X 1 7\n");
    expect_symbols(&mut client, &["X"]).await;
    issuer.now_answers(Answer::keys(&[&old, &new]));
    let said = client.json().await;
    assert_eq!(
        (&said["type"], &said["request_id"]),
        (&json!("authenticated"), &json!("1"))
    );
    let said = client.json().await;
    assert_eq!(
        (&said["type"], &said["request_id"]),
        (&json!("pong"), &json!("2"))
    );
}

#[tokio::test]
async fn a_client_whose_new_token_is_being_judged_is_let_go_like_the_others() {
    let (old, new) = (Signer::p256("old"), Signer::ed25519("new"));
    let issuer = Issuer::start(Answer::keys(&[&old]));
    let server = serve(&issuer);
    server.logged("auth.jwks fetched").await;
    let mut client = client_with(&server, "/", &old.token()).await;
    issuer.now_answers(Answer::Silence);
    let command = json!({ "type": "auth", "token": new.token() });
    client.send(&command.to_string()).await;
    client.send(r#"{"type":"ping"}"#).await;
    issuer.asked(2).await;
    let revoked = server.folder.run("token revoke --sub bot-1");
    assert!(revoked.status.success(), "{revoked:?}");
    // What it asked for is not answered any more.
    let (code, reason) = client.expect_close().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("revoked"), "{reason}");
    issuer.now_answers(Answer::keys(&[&old]));
}

#[tokio::test]
async fn no_log_holds_a_token_that_came_as_a_command() {
    let server = start("--log trace");
    let mut client = client(&server).await;
    let mut pieces = Vec::new();
    for token in [
        server.mint(&with("jti", "good")),
        server.mint(&with("sub", "bot-2")),
        token(&claims(), "k".repeat(32)),
        format!("sgc_{}", "opaque0".repeat(7)),
    ] {
        for command in [
            json!({ "type": "auth", "token": token }),
            json!({ "type": "auth", "token": [token] }),
            json!({ "type": token }),
            json!({ "type": "ping", (token.as_str()): 1 }),
            json!(token),
        ] {
            let answer = ask(&mut client, &command).await;
            assert!(!answer.contains(&token), "{answer}");
        }
        client.send(&token).await;
        let answer = client.text().await;
        assert!(!answer.contains(&token), "{answer}");
        pieces.extend(
            token
                .split('.')
                .map(|piece| piece[piece.len() - 12..].to_owned()),
        );
    }
    let log = server.stop();
    assert!(log.contains("token renewed"), "{log}");
    for piece in pieces {
        assert!(!log.contains(&piece), "{piece} is in the log");
    }
}

/// Throws the halt switch, or lifts it.
async fn halt(server: &TestServer, method: &str, body: &str) {
    let answer = server.administer(method, "/halt", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn while_the_server_is_halted_commands_are_answered_and_signals_wait_for_the_lift() {
    for journal in JOURNALS {
        let mut server = start(journal);
        let mut client = client(&server).await;
        server.feed("buy A 1 7\nbuy B 1 7\nbuy A 1 7\n");
        expect_seqs(&mut client, 1..=3).await;
        halt(&server, "POST", r#"{"reason":"why"}"#).await;
        assert_eq!(client.text().await, r#"{"type":"halted","reason":"why"}"#);
        for (command, answer) in [
            (json!({ "type": "ping" }), "pong"),
            (
                json!({ "type": "subscribe", "symbols": ["B"] }),
                "subscribed",
            ),
            (json!({ "type": "resume", "after_seq": 2 }), "resumed"),
            (
                json!({ "type": "auth", "token": server.mint(&claims()) }),
                "authenticated",
            ),
            (json!({ "type": "test" }), "buy"),
            (json!({ "type": "resume", "after_seq": 0 }), "resumed"),
            (json!({ "type": "resume", "after_seq": 9 }), "error"),
        ] {
            let said: Value = serde_json::from_str(&ask(&mut client, &command).await).unwrap();
            assert_eq!(said["type"], answer, "{said}");
        }
        assert_nothing_more(&mut client).await;
        halt(&server, "DELETE", "").await;
        assert_eq!(client.text().await, r#"{"type":"resumed_live"}"#);
        expect_seqs(&mut client, [2]).await;
        server.feed("buy A 1 7\nbuy B 1 7\n");
        expect_seqs(&mut client, [5]).await;
    }
}

#[tokio::test]
async fn v1_knows_no_commands_but_the_text() {
    let server = start("");
    let mut client = server.client().await;
    for command in ["ping", "test", "subscribe", "resume", "auth"] {
        let command = json!({ "type": command, "request_id": "1" }).to_string();
        let (code, message) = problem(&mut client, &command).await;
        assert_eq!(code, "unknown_command");
        assert_eq!(message, "the one command is the text test");
    }
}
