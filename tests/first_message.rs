//! Clients that say who they are with their first message, if `auth.first_message` lets them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::Command;
use std::sync::Arc;

use common::frames::{BINARY, CLOSE, TEXT, close, frame};
use common::jwt::{base64url, claims, now, with, without};
use common::{Answer, Folder, TestClient, TestServer, patiently, upgrade_request, wire};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// The setting under test.
const FIRST_MESSAGE: &str = "--auth-first-message";

fn auth(token: &str) -> String {
    json!({"type": "auth", "token": token}).to_string()
}

/// What an upgrade is answered with.
async fn ask(server: &TestServer, path: &str, headers: &str) -> Answer {
    let request = upgrade_request(path, headers);
    server.open(request.as_bytes()).await.1
}

/// Somebody who has opened a WebSocket and has said nothing yet.
async fn stranger(server: &TestServer, path: &str) -> TestClient {
    let request = server.url(path).into_client_request().unwrap();
    server.client_with(request).await.unwrap()
}

/// The same in `signalcast.v2`.
async fn stranger_v2(server: &TestServer, path: &str) -> TestClient {
    let mut request = server.url(path).into_client_request().unwrap();
    let protocol = HeaderValue::from_static("signalcast.v2");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    server.client_with(request).await.unwrap()
}

/// How somebody who says this first is sent away.
async fn sent_away(server: &TestServer, path: &str, text: &str) -> (u16, String) {
    let mut client = stranger(server, path).await;
    client.send(text).await;
    let end = client.expect_close().await;
    assert!(end.1.len() <= 123, "{}", end.1);
    client.expect_end().await;
    end
}

#[tokio::test]
async fn nobody_is_let_in_without_a_token_unless_that_is_allowed() {
    let server = TestServer::start("");
    let answer = ask(&server, "/", "").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "missing_token")
    );
    // Where it is allowed, a bad token is one, and so are two.
    let server = TestServer::start(FIRST_MESSAGE);
    for (path, headers, status, code) in [
        ("/", "Authorization: Bearer bad\r\n", 401, "invalid_token"),
        ("/?ticket=bad", "", 401, "invalid_token"),
        ("/?ticket=a&ticket=b", "", 400, "invalid_request"),
        ("/?after_seq=x", "", 400, "bad_request"),
        ("/?stale=true", "", 400, "bad_request"),
        ("/signals", "", 401, "missing_token"),
    ] {
        let answer = ask(&server, path, headers).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{path}"
        );
    }
    let headers = format!("Authorization: Bearer {}\r\n", server.token());
    let answer = ask(&server, "/", &headers).await;
    assert_eq!(answer.status, 101);
    assert!(answer.header("signalcast-epoch").is_some());
}

#[tokio::test]
async fn a_token_in_the_first_message_lets_in_as_any_other() {
    let mut server = TestServer::start(FIRST_MESSAGE);
    let token = server.mint(&with("symbols", json!(["BTC*"])));
    let mut witness = server.client().await;
    server.feed("buy BTCUSDT 1 7\n");
    witness.text().await;
    for path in ["/ws?after_seq=0&prices=string", "/?prices=string"] {
        let mut client = stranger(&server, path).await;
        // What there is concerns nobody who is not known.
        for name in ["signalcast-last-seq", "signalcast-epoch"] {
            assert!(!client.response.headers().contains_key(name));
        }
        client.send(&auth(&token)).await;
        if path.contains("after_seq") {
            let expected = wire("buy", "BTCUSDT", r#""1""#, 7);
            assert_eq!(client.text().await, expected);
        }
        client.send("test").await;
        assert_eq!(client.json().await["is_test"], true);
        server.feed("buy ETHUSDT 2 7\nbuy BTCUSDT 3 7\n");
        let expected = wire("buy", "BTCUSDT", r#""3""#, 7);
        assert_eq!(client.text().await, expected);
    }
    let revoked = server.mint(&with("jti", "t-1"));
    let mut client = stranger(&server, "/").await;
    client.send(&auth(&revoked)).await;
    client.send("test").await;
    client.text().await;
    assert!(server.folder.run("token revoke --jti t-1").status.success());
    assert_eq!(client.expect_close().await.0, 1008);
    server.logged("subscribed").await;
}

#[tokio::test]
async fn in_v2_the_connection_is_established_and_the_message_answered() {
    let mut server = TestServer::start(FIRST_MESSAGE);
    for id in [None, Some("7")] {
        let mut client = stranger_v2(&server, "/").await;
        let exp = now() + 3600;
        let mut message = json!({"type": "auth", "token": server.mint(&with("exp", exp))});
        if let Some(id) = id {
            message["request_id"] = id.into();
        }
        client.send(&message.to_string()).await;
        let first = client.json().await;
        assert_eq!(first["type"], "connection_established");
        let answer = client.json().await;
        assert_eq!(answer["type"], "authenticated");
        assert_eq!(answer["request_id"].as_str(), id);
        let until: jiff::Timestamp = answer["expires_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(until.as_second(), i64::try_from(exp).unwrap());
        server.feed("buy X 1 7\n");
        assert_eq!(client.json().await["type"], "buy");
    }
}

/// In one packet with the request, in one behind it, and byte by byte.
#[tokio::test]
async fn what_is_sent_right_behind_the_first_message_is_not_lost() {
    for transport in ["", "--plaintext"] {
        let server = TestServer::start(&format!("{FIRST_MESSAGE} {transport}"));
        let token = server.mint(&claims());
        let request = upgrade_request("/", "");
        let long = "x".repeat(60_000);
        let messages = [
            frame(TEXT, auth(&token).as_bytes()),
            frame(TEXT, b"test"),
            // Longer than the first one may be.
            frame(TEXT, long.as_bytes()),
            frame(TEXT, b"test"),
        ]
        .concat();
        let together = [request.as_bytes(), &messages].concat();
        for packets in [
            vec![together.as_slice()],
            vec![request.as_bytes(), &messages],
            vec![
                &together[..request.len() + 50],
                &together[request.len() + 50..],
            ],
            vec![
                &together[..request.len() + 300],
                &together[request.len() + 300..],
            ],
        ] {
            let mut stream = server.connect().await;
            for packet in packets {
                stream.write_all(packet).await.unwrap();
                stream.flush().await.unwrap();
            }
            let mut received = Vec::new();
            let count = |received: &[u8], what: &str| {
                String::from_utf8_lossy(received).matches(what).count()
            };
            let answers = async {
                while count(&received, r#""is_test":true"#) < 2 {
                    assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
                }
            };
            patiently("two test signals", answers).await;
            assert_eq!(count(&received, "unknown_command"), 1);
        }
    }
}

#[tokio::test]
async fn whoever_says_something_else_first_is_sent_away() {
    let server = TestServer::start(&format!(
        "{FIRST_MESSAGE} --log debug --auth-failed-tries-per-minute 0"
    ));
    let narrow = server.mint(&without("scope"));
    let expired = server.mint(&with("exp", now() - 60));
    for (text, reason) in [
        ("test".to_owned(), r#"{"type":"auth","token":"…"}"#),
        (
            r#"{"type":"ping"}"#.to_owned(),
            r#"{"type":"auth","token":"…"}"#,
        ),
        (auth(""), r#"{"type":"auth","token":"…"}"#),
        (auth("bad"), "the token has not the three parts of a JWT"),
        (auth(&expired), "the token has expired"),
        (auth(&narrow), "the token lacks the scope signals:read"),
    ] {
        let (code, said) = sent_away(&server, "/", &text).await;
        assert_eq!(code, 1008, "{text}: {said}");
        assert!(said.contains(reason), "{text}: {said}");
    }
    let long = auth(&"x".repeat(16_400));
    for (message, code) in [
        (frame(BINARY, b"auth"), 1003),
        (frame(TEXT, long.as_bytes()), 1009),
        (frame(TEXT, b"\xff"), 1007),
        (frame(0x83, b"reserved"), 1002),
    ] {
        let (mut stream, answer) = server.open(upgrade_request("/", "").as_bytes()).await;
        assert_eq!(answer.status, 101);
        stream.write_all(&message).await.unwrap();
        let mut farewell = [0; 4];
        patiently("close frame", stream.read_exact(&mut farewell))
            .await
            .unwrap_or_else(|error| panic!("{code}: {error}\n{}", server.log()));
        assert_eq!(
            (farewell[0], [farewell[2], farewell[3]]),
            (CLOSE, u16::to_be_bytes(code))
        );
    }
    // Whoever goes by itself is answered.
    let (mut stream, _) = server.open(upgrade_request("/", "").as_bytes()).await;
    stream.write_all(&close(3000, b"")).await.unwrap();
    let mut echo = [0; 4];
    patiently("echo", stream.read_exact(&mut echo))
        .await
        .unwrap();
    assert_eq!(echo, [CLOSE, 2, 0x0b, 0xb8]);
}

#[tokio::test]
async fn bad_first_messages_count_as_tries() {
    let server = TestServer::start(&format!("{FIRST_MESSAGE} --auth-failed-tries-per-minute 3"));
    for _ in 0..3 {
        let (_, reason) = sent_away(&server, "/", &auth("bad")).await;
        assert!(reason.contains("three parts"), "{reason}");
    }
    let (code, reason) = sent_away(&server, "/", &auth("bad")).await;
    assert_eq!(
        (code, reason.contains("too many")),
        (1008, true),
        "{reason}"
    );
    let answer = ask(&server, "/", "Authorization: Bearer bad\r\n").await;
    assert_eq!(answer.code(), "too_many_attempts");
    let mut client = stranger(&server, "/").await;
    client.send(&auth(&server.token())).await;
    client.send("test").await;
    client.text().await;
}

#[tokio::test]
async fn places_are_for_those_who_are_known() {
    let mut server = TestServer::start(&format!(
        "{FIRST_MESSAGE} --limits-connections 1 --wait-clients 1"
    ));
    let token = server.mint(&claims());
    let mut first = stranger(&server, "/").await;
    let mut second = stranger(&server, "/").await;
    server.feed("buy X 1 7\n");
    first.send(&auth(&token)).await;
    assert_eq!(
        first.text().await,
        wire("buy", "X", "1", 7),
        "until now nobody was there"
    );
    second.send(&auth(&token)).await;
    let (code, reason) = second.expect_close().await;
    assert_eq!(code, 1013, "{reason}");
    let answer = ask(&server, "/", "").await;
    assert_eq!(answer.code(), "overloaded", "it would wait for nothing");
}

#[tokio::test]
async fn what_is_no_longer_kept_is_told_when_it_is_known_who_asks() {
    let server = TestServer::start(FIRST_MESSAGE);
    let token = server.token();
    let (code, reason) = sent_away(&server, "/?after_seq=7", &auth(&token)).await;
    assert_eq!(code, 1008);
    assert!(reason.starts_with("history_gone: epoch "), "{reason}");
    assert!(reason.ends_with("first_seq 1, last_seq 0"), "{reason}");
}

#[tokio::test]
async fn a_server_that_drains_sends_away_who_has_not_spoken() {
    let server = TestServer::start(FIRST_MESSAGE);
    let _client = server.client().await;
    let mut client = stranger(&server, "/").await;
    server.signal(Signal::TERM);
    assert_eq!(client.expect_close().await.0, 1001);
}

#[tokio::test]
async fn many_who_say_nothing_shut_nobody_out() {
    let folder = Arc::new(Folder::new());
    let serve = folder.command("serve --listen 127.0.0.1:0 --source stdin --plaintext");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .arg(FIRST_MESSAGE)
        .current_dir(serve.get_current_dir().unwrap());
    for (name, _) in serve.get_envs() {
        limited.env_remove(name);
    }
    let mut server = TestServer::start_command(folder, limited);
    let mut client = server.client().await;
    let request = upgrade_request("/", "");
    let mut crowd = Vec::new();
    // More than the server has files for.
    for _ in 0..300 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.ok();
        crowd.push(stream);
    }
    let mut late = server
        .client_at("/", &server.mint(&claims()))
        .await
        .unwrap();
    let mut rest = Vec::new();
    // The oldest was dropped. A reset is an end, too.
    patiently("end", crowd[0].read_to_end(&mut rest)).await.ok();
    server.feed("buy X 1 7\n");
    for client in [&mut client, &mut late] {
        assert_eq!(client.text().await, wire("buy", "X", "1", 7));
    }
}

#[tokio::test]
async fn no_log_holds_what_is_said_first() {
    let server = TestServer::start(&format!("{FIRST_MESSAGE} --log trace"));
    let good = server.mint(&claims());
    let bad = server.mint(&with("exp", 1));
    for token in [&good, &bad] {
        let mut client = stranger(&server, "/").await;
        client.send(&auth(token)).await;
        if token == &good {
            client.send("test").await;
            assert!(!client.text().await.contains(token.as_str()));
        } else {
            assert!(!client.expect_close().await.1.contains(token.as_str()));
        }
        let broken = json!({"type": "auth", "token": token, "x": 1}).to_string();
        sent_away(&server, "/", &broken).await;
        sent_away(&server, "/", token).await;
    }
    let log = server.stop();
    for token in [good, bad] {
        let (_, secret) = token.split_once('.').unwrap();
        assert!(!log.contains(secret), "{log}");
        assert!(!log.contains(&base64url(secret)), "{log}");
        assert!(!log.contains(&secret[secret.len() - 20..]), "{log}");
    }
}
