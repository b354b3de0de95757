//! What a client of `signalcast.v1` sees: signals, answers to `test`, and errors that don't hurt.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::jwt::now;
use common::{TestServer, wire};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

/// The code of an error message, which must be of the shape of all errors.
fn error_code(text: &str) -> String {
    let message: serde_json::Value = serde_json::from_str(text).unwrap();
    assert!(text.starts_with(r#"{"type":"error","code":""#), "{text}");
    assert!(message["message"].is_string());
    assert_eq!(message.as_object().unwrap().len(), 3);
    message["code"].as_str().unwrap().to_owned()
}

/// A token that the server's key signed and `token issue` would not make.
fn signed(server: &TestServer, claims: &serde_json::Value) -> String {
    let secret = server.folder.read("certs/jwt.key");
    let key = EncodingKey::from_secret(secret.trim_end().as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).unwrap()
}

/// Over TLS, and without.
const TRANSPORTS: [&str; 2] = ["", "--plaintext"];

#[tokio::test]
async fn test_is_answered_to_the_asker_alone_with_buy_and_sell_in_turn() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        let mut asker = server.client().await;
        let mut other = server.client().await;

        for side in ["buy", "sell", "buy"] {
            let before = now();
            asker.send("test").await;
            let answer = asker.text().await;
            let timestamp = serde_json::from_str::<serde_json::Value>(&answer).unwrap();
            let timestamp = timestamp["content"]["timestamp"].as_u64().unwrap();
            assert!((before..=now()).contains(&timestamp));
            let expected = wire(side, "BTCUSDT", "75000.00", timestamp);
            assert_eq!(answer, expected.replace("false", "true"));
        }
        other.send("test").await;
        assert!(
            other.text().await.starts_with(r#"{"type":"buy","#),
            "its own turn begins"
        );

        // Nothing else reached either of them.
        server.feed("sell X 1 1720000000\n");
        for client in [&mut asker, &mut other] {
            assert_eq!(client.text().await, wire("sell", "X", "1", 1_720_000_000));
        }
        server.stop();
    }
}

#[tokio::test]
async fn test_has_the_symbol_and_price_of_the_settings_to_the_digit() {
    let server = TestServer::start("--test-symbol BTC/USDT:USDT --test-price 0.10");
    let mut client = server.client().await;
    client.send("test").await;
    let answer = client.text().await;
    let start = r#"{"type":"buy","content":{"symbol":"BTC/USDT:USDT","price":0.10,"timestamp":"#;
    assert!(answer.starts_with(start), "{answer}");
    assert!(answer.ends_with(r#"},"is_test":true}"#), "{answer}");
}

#[tokio::test]
async fn test_without_its_scope_is_an_error_and_the_connection_stays() {
    let mut server = TestServer::start("");
    let token = server.folder.token("--sub reader --scope signals:read");
    let mut client = server.client_at("/", &token).await.unwrap();
    for _ in 0..2 {
        client.send("test").await;
        assert_eq!(error_code(&client.text().await), "insufficient_scope");
    }
    server.feed("buy X 1 1720000000\n");
    assert_eq!(client.text().await, wire("buy", "X", "1", 1_720_000_000));
}

#[tokio::test]
async fn any_other_text_is_one_error_and_the_connection_stays() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        let mut client = server.client().await;
        let others = [
            "",
            "TEST",
            "Test",
            "test ",
            " test",
            "test\n",
            "\u{feff}test",
            "tes",
            "testtest",
            "\"test\"",
            "\0",
            r#"{"type":"test"}"#,
            r#"{"type":"ping"}"#,
            "{",
        ];
        for text in others {
            client.send(text).await;
            assert_eq!(
                error_code(&client.text().await),
                "unknown_command",
                "{text:?}"
            );
        }
        client.send("test").await;
        assert!(client.text().await.starts_with(r#"{"type":"buy","#));
        server.feed("buy X 1 1720000000\n");
        assert_eq!(client.text().await, wire("buy", "X", "1", 1_720_000_000));
    }
}

#[tokio::test]
async fn signals_arrive_byte_for_byte_and_in_order() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(transport);
        server.feed("buy BEFORE 1 1720000000\n");
        let (mut one, mut two) = (server.client().await, server.client().await);
        // Whoever has seen this one stands behind what came before.
        server.feed("buy FIRST 1 1720000000\n");
        for client in [&mut one, &mut two] {
            while !client.text().await.contains("FIRST") {}
        }
        let mut lines = String::new();
        let mut expected = Vec::new();
        for index in 0..2000 {
            // Longer and shorter than the two lengths that a header can hold.
            let note = "x".repeat(index % 7 * index % 900);
            lines += &format!(
                r#"{{"type":"sell","content":{{"symbol":"ÄÖ","price":{index}.00,"timestamp":7, "note" : "{note}" , "n":1.10e2}}}}"#
            );
            lines += "\n";
            expected.push(format!(
                r#"{{"type":"sell","content":{{"symbol":"ÄÖ","price":{index}.00,"timestamp":7,"note":"{note}","n":1.10e2}},"is_test":false}}"#
            ));
        }
        server.feed(&lines);
        assert_eq!(one.texts(2000).await, expected);
        assert_eq!(two.texts(2000).await, expected);
    }
}

#[tokio::test]
async fn a_token_shows_the_symbols_it_is_good_for_and_test_whatever_they_are() {
    let mut server = TestServer::start("");
    let all = server.token();
    let some = server.folder.token("--sub some --symbols BTC*,*/EUR,ETH");
    let claims = json!({
        "sub": "none", "exp": now() + 600, "scope": "signals:read signals:test", "symbols": [],
    });
    let none = signed(&server, &claims);
    let mut all = server.client_at("/", &all).await.unwrap();
    let mut some = server.client_at("/", &some).await.unwrap();
    let mut none = server.client_at("/", &none).await.unwrap();

    let symbols = [
        "BTC", "BTCUSDT", "XBTC", "btc", "A/EUR", "A/EURO", "ETH", "ETHUSDT",
    ];
    for symbol in symbols {
        server.feed(&format!("buy {symbol} 1 7\n"));
    }
    let told = |symbols: &[&str]| -> Vec<String> {
        symbols
            .iter()
            .map(|symbol| wire("buy", symbol, "1", 7))
            .collect()
    };
    assert_eq!(all.texts(symbols.len()).await, told(&symbols));
    let some_symbols = ["BTC", "BTCUSDT", "A/EUR", "ETH"];
    assert_eq!(some.texts(some_symbols.len()).await, told(&some_symbols));

    // The answer is the next thing they see: nothing else was on its way.
    for client in [&mut some, &mut none] {
        client.send("test").await;
        let answer = client.text().await;
        assert!(
            answer.contains(r#""symbol":"BTCUSDT","price":75000.00"#),
            "{answer}"
        );
        assert!(answer.ends_with(r#""is_test":true}"#));
    }
}

#[tokio::test]
async fn a_stale_signal_is_not_sent() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let now = now();
    let line = |symbol: &str, timestamp: u64, valid_for: &str| {
        format!(
            r#"{{"side":"buy","symbol":"{symbol}","price":1,"timestamp":{timestamp}{valid_for}}}"#
        ) + "\n"
    };
    server.feed(&line("OVER", now - 60, r#","valid_for":60"#));
    server.feed(&line("LONG-OVER", 7, r#","valid_for":1"#));
    server.feed(&line("VALID", now - 60, r#","valid_for":600"#));
    server.feed(&line("FUTURE", now + 600, r#","valid_for":1"#));
    server.feed(&line("FOR-EVER", 7, ""));
    let expected = [
        wire("buy", "VALID", "1", now - 60),
        wire("buy", "FUTURE", "1", now + 600),
        wire("buy", "FOR-EVER", "1", 7),
    ];
    assert_eq!(client.texts(3).await, expected);
}

#[tokio::test]
async fn max_age_holds_for_all_and_a_shorter_validity_besides() {
    let mut server = TestServer::start("--max-age 60s");
    let mut client = server.client().await;
    let now = now();
    server.feed(&format!("buy OLD 1 {}\n", now - 61));
    for (symbol, age, valid_for) in [("OLD", 61, 600), ("SHORT", 30, 29), ("FRESH", 30, 600)] {
        server.feed(&format!(
            r#"{{"side":"buy","symbol":"{symbol}","price":1,"timestamp":{},"valid_for":{valid_for}}}"#,
            now - age
        ));
        server.feed("\n");
    }
    server.feed(&format!("buy RECENT 1 {now}\n"));
    let expected = [
        wire("buy", "FRESH", "1", now - 30),
        wire("buy", "RECENT", "1", now),
    ];
    assert_eq!(client.texts(2).await, expected);
}
