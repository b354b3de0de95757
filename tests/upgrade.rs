//! From a request to its answer: what becomes a WebSocket, and what each refusal says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::jwt::{claims, now, token, with, without};
use common::{Answer, TestServer, patiently, upgrade_request, wire};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Bad tokens are not throttled; and a connection that the server forgets to close stays open,
/// for the time to the next request is long.
const LENIENT: &str = "--auth-failed-tries-per-minute 0 --limits-handshake 10m";

const REALM: &str = r#"Bearer realm="signalcast""#;

/// Headers that some refusals have. Those that are not expected must not be there.
const TELLING: [&str; 5] = [
    "www-authenticate",
    "retry-after",
    "allow",
    "sec-websocket-version",
    "upgrade",
];

/// The answer is this refusal, in the one shape of all refusals.
#[track_caller]
fn assert_refused(what: &str, answer: &Answer, status: u16, code: &str, headers: &[(&str, &str)]) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.code(), code, "{what}: {answer:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{what}"
    );
    let length = answer.body.len().to_string();
    assert_eq!(
        answer.header("content-length"),
        Some(length.as_str()),
        "{what}"
    );
    for name in TELLING {
        let expected = headers.iter().find(|(known, _)| *known == name);
        assert_eq!(
            answer.header(name),
            expected.map(|(_, value)| *value),
            "{what}: {name}"
        );
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A well-formed upgrade request of which one piece was replaced.
fn with_other(piece: &str, replacement: &str) -> String {
    let request = upgrade_request("/", "");
    assert!(request.contains(piece), "{piece}");
    request.replace(piece, replacement)
}

/// A well-formed upgrade request padded to this many bytes.
fn of_size(bytes: usize, headers: &str) -> String {
    let empty = upgrade_request("/", &format!("{headers}X-Padding: \r\n"));
    let padding = "x".repeat(bytes - empty.len());
    upgrade_request("/", &format!("{headers}X-Padding: {padding}\r\n"))
}

/// A text frame as a client sends it, masked with zeros.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test]
async fn a_request_that_is_no_proper_upgrade_is_refused_and_the_connection_closed() {
    let server = TestServer::start(LENIENT);
    let plain =
        |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let other_version: &[_] = &[("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let no_upgrade: &[_] = &[("upgrade", "websocket")];
    let get: &[_] = &[("allow", "GET")];
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let bad = (400, "bad_request", &[][..]);
    let outdated = (426, "upgrade_required", other_version);
    let not_found = (404, "not_found", &[][..]);
    let not_allowed = (405, "method_not_allowed", get);
    for (request, (status, code, headers)) in [
        (
            of_size(16 * 1024 + 3, ""),
            (431, "headers_too_large", &[][..]),
        ),
        (
            of_size(32 * 1024 - 100, ""),
            (431, "headers_too_large", &[]),
        ),
        (
            upgrade_request(&format!("/?{}", "x".repeat(16 * 1024)), ""),
            (431, "headers_too_large", &[]),
        ),
        (upgrade_request("/other", ""), not_found),
        (upgrade_request("/ws/other", ""), not_found),
        (upgrade_request("/WS", ""), not_found),
        (upgrade_request("//", ""), not_found),
        (upgrade_request("/%77s", ""), not_found),
        (plain("POST", "/other"), not_found),
        (plain("OPTIONS", "*"), not_found),
        (plain("POST", "/"), not_allowed),
        (plain("PUT", "/ws"), not_allowed),
        (plain("DELETE", "/"), not_allowed),
        (plain("OPTIONS", "/ws"), not_allowed),
        (plain("PATCH", "/"), not_allowed),
        (plain("BREW", "/"), not_allowed),
        (
            upgrade_request("/ws", "").replace("GET", "POST"),
            not_allowed,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            not_allowed,
        ),
        (
            plain("POST", "/healthz"),
            (405, "method_not_allowed", &[("allow", "GET, HEAD")]),
        ),
        (plain("GET", "/"), (426, "upgrade_required", no_upgrade)),
        (plain("GET", "/ws"), (426, "upgrade_required", no_upgrade)),
        (
            with_other("Upgrade: websocket\r\n", ""),
            (426, "upgrade_required", no_upgrade),
        ),
        (with_other("Upgrade: websocket", "Upgrade: h2c"), bad),
        (with_other("Upgrade: websocket", "Upgrade: websocket2"), bad),
        (with_other("Connection: Upgrade\r\n", ""), bad),
        (
            with_other("Connection: Upgrade", "Connection: keep-alive"),
            bad,
        ),
        (
            with_other("Connection: Upgrade", "Connection: Upgrades"),
            bad,
        ),
        (with_other(version, ""), bad),
        (with_other(version, &version.repeat(2)), bad),
        (with_other("Version: 13", "Version: thirteen"), bad),
        (with_other("Version: 13", "Version: "), bad),
        (with_other("Version: 13", "Version: 13, 8"), bad),
        (with_other("Version: 13", "Version: 8"), outdated),
        (with_other("Version: 13", "Version: 0"), outdated),
        (with_other("Version: 13", "Version: 14"), outdated),
        (with_other(key, ""), bad),
        (with_other(key, &key.repeat(2)), bad),
        (with_other("dGhlIHNhbXBsZSBub25jZQ==", ""), bad),
        (
            with_other("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"),
            bad,
        ),
        (
            with_other("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
            bad,
        ),
        (
            with_other("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSE="),
            bad,
        ),
        (
            with_other("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=!"),
            bad,
        ),
        (
            upgrade_request("/", "Sec-WebSocket-Protocol: sign\u{e4}l\r\n"),
            bad,
        ),
        (
            upgrade_request("/", "").replace("HTTP/1.1", "HTTP/1.0"),
            bad,
        ),
        (
            plain("GET", "/").replace("HTTP/1.1", "HTTP/1.0"),
            (426, "upgrade_required", no_upgrade),
        ),
    ] {
        let what = &request[..request.len().min(300)];
        let answer = server.exchange(request.as_bytes()).await;
        assert_refused(what, &answer, status, code, headers);
    }
    // The answer to HEAD has no body.
    for (path, status, allow) in [
        ("/", 405, Some("GET")),
        ("/ws", 405, Some("GET")),
        ("/other", 404, None),
    ] {
        let answer = server.exchange(plain("HEAD", path).as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("allow"), answer.body.as_str()),
            (status, allow, "")
        );
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_token_that_lets_nobody_in_is_refused_and_the_connection_closed() {
    let server = TestServer::start(LENIENT);
    let good = server.mint(&claims());
    let stranger = token(&claims(), "another secret, as long as needed");
    let missing = |headers: &str| (headers.to_owned(), 401, "missing_token", REALM.to_owned());
    let invalid = |token: &str, description: &str| {
        let why = format!(r#"{REALM}, error="invalid_token", error_description="{description}""#);
        (bearer(token), 401, "invalid_token", why)
    };
    let two = |headers: String| {
        (
            headers,
            400,
            "invalid_request",
            format!(r#"{REALM}, error="invalid_request""#),
        )
    };
    let narrow = |claims| {
        let why = format!(r#"{REALM}, error="insufficient_scope", scope="signals:read""#);
        (
            bearer(&server.mint(&claims)),
            403,
            "insufficient_scope",
            why,
        )
    };
    for (headers, status, code, challenge) in [
        two(bearer(&good).repeat(2)),
        two(format!(
            "{}Authorization: Basic dXNlcjpwYXNz\r\n",
            bearer(&good)
        )),
        two("Authorization:\r\nauthorization:\r\n".to_owned()),
        missing(""),
        missing("Authorization:\r\n"),
        missing("Authorization: Bearer\r\n"),
        missing("Authorization: Bearer   \r\n"),
        missing("Authorization: Basic dXNlcjpwYXNz\r\n"),
        missing(&format!("Authorization: {good}\r\n")),
        missing(&format!("Authorization: Digest {good}\r\n")),
        missing(&format!(
            "Cookie: token={good}\r\nX-Authorization: Bearer {good}\r\n"
        )),
        invalid("opaque", "the token has not the three parts of a JWT"),
        invalid(&format!("{good} a"), "a part of the token is not base64url"),
        invalid(
            &format!("{good}, Basic x"),
            "a part of the token is not base64url",
        ),
        invalid("sign\u{e4}l", "the token has not the three parts of a JWT"),
        invalid(&stranger, "the signature does not match"),
        invalid(
            &server.mint(&with("exp", now() - 31)),
            "the token has expired",
        ),
        invalid(
            &server.mint(&with("nbf", now() + 600)),
            "the token is not valid yet: nbf is in the future",
        ),
        narrow(without("scope")),
        narrow(with("scope", "")),
        narrow(with("scope", "signals:test admin")),
        narrow(with("scope", "signals:readonly")),
    ] {
        for path in ["/", "/ws"] {
            let answer = server.ask(path, &headers).await;
            assert_refused(
                &headers,
                &answer,
                status,
                code,
                &[("www-authenticate", &challenge)],
            );
        }
    }
}

/// Every request has all the faults of those below it, too.
#[tokio::test]
async fn of_several_faults_the_one_that_is_checked_first_is_answered() {
    let server = TestServer::start(&format!("{LENIENT} --limits-connections 1"));
    let _the_only_place = server.client().await;
    let bad = bearer("bad");
    let narrow = bearer(&server.mint(&without("scope")));
    let request = |method: &str, path: &str, key: &str, version: &str, headers: &str| {
        upgrade_request(path, headers)
            .replace("GET", method)
            .replace("dGhlIHNhbXBsZSBub25jZQ==", key)
            .replace("Version: 13", &format!("Version: {version}"))
    };
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let padded = format!("{}X-Padding: {}\r\n", bad.repeat(2), "x".repeat(17_000));
    for (request, status, code) in [
        (
            request("POST", "/other", "short", "13", &padded),
            431,
            "headers_too_large",
        ),
        (
            request("POST", "/other", "short", "13", &bad.repeat(2)),
            404,
            "not_found",
        ),
        (
            request("POST", "/", "short", "13", &bad.repeat(2)),
            405,
            "method_not_allowed",
        ),
        (
            request("GET", "/", "short", "13", &bad.repeat(2)),
            400,
            "bad_request",
        ),
        (
            request("GET", "/", key, "8", &bad.repeat(2)),
            426,
            "upgrade_required",
        ),
        (
            request("GET", "/", key, "13", &bad.repeat(2)),
            400,
            "invalid_request",
        ),
        (request("GET", "/", key, "13", ""), 401, "missing_token"),
        (request("GET", "/", key, "13", &bad), 401, "invalid_token"),
        (
            request("GET", "/", key, "13", &narrow),
            403,
            "insufficient_scope",
        ),
        (
            request("GET", "/", key, "13", &bearer(&server.mint(&claims()))),
            503,
            "overloaded",
        ),
    ] {
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_http_gets_an_empty_answer_and_the_connection_is_closed() {
    let server = TestServer::start(LENIENT);
    let header_lines = |count: usize| {
        let own = upgrade_request("/", "").matches("\r\n").count() - 2;
        upgrade_request("/", &"X-More: x\r\n".repeat(count - own))
    };
    let header =
        |line: &[u8]| [b"GET / HTTP/1.1\r\nHost: localhost\r\n", line, b"\r\n\r\n"].concat();
    for (request, status) in [
        (b"hello\r\n\r\n".to_vec(), 400),
        (b"GET /\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400),
        (b"GET  / HTTP/1.1\r\n\r\n".to_vec(), 400),
        (b"G\0T / HTTP/1.1\r\n\r\n".to_vec(), 400),
        (b"GET /\0 HTTP/1.1\r\n\r\n".to_vec(), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 400),
        (header(b"X-Bad: a\0b"), 400),
        (header(b"X-Bad: a\x01b"), 400),
        (header(b"X-Bad: a\x7fb"), 400),
        (header(b"X-Bad : a"), 400),
        (header(b"X Bad: a"), 400),
        (header(b"X-Bad"), 400),
        (header(b": a"), 400),
        (header(b"X-Bad: a\r\n folded"), 400),
        (header(b"Content-Length: x"), 400),
        (of_size(65 * 1024, "").into_bytes(), 431),
        (header_lines(101).into_bytes(), 431),
    ] {
        let what = String::from_utf8_lossy(&request[..request.len().min(100)]).into_owned();
        let answer = server.exchange(&request).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, ""),
            "{what}"
        );
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "{what}: {answer:?}"
        );
    }
    let answer = server.exchange(header_lines(100).as_bytes()).await;
    assert_refused(
        "100 headers",
        &answer,
        401,
        "missing_token",
        &[("www-authenticate", REALM)],
    );
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_what_to_do() {
    let server = TestServer::start(LENIENT);
    let headers = bearer(&server.mint(&claims()));
    for request in [
        upgrade_request("/", &headers),
        "GET /other HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        patiently("end of the answer", stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        let answer = Answer::parse(&bytes);
        assert_refused(&request, &answer, 400, "bad_request", &[]);
        assert!(
            answer.body.contains("this port speaks TLS; use wss://"),
            "{answer:?}"
        );
    }
}

/// A client that never hangs up does not keep the connection.
#[tokio::test]
async fn after_a_refusal_the_server_lets_go_of_a_client_that_does_not() {
    let server = TestServer::start(&format!("{LENIENT} --plaintext"));
    let (mut stream, answer) = server.open(upgrade_request("/", "").as_bytes()).await;
    assert_eq!(answer.status, 401);
    let mut rest = Vec::new();
    assert_eq!(
        patiently("end", stream.read_to_end(&mut rest))
            .await
            .unwrap(),
        0
    );
    // What is sent to a closed socket is answered with a reset.
    let reset = async {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while stream.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    };
    patiently("reset", reset).await;
}

#[tokio::test]
async fn a_token_of_8_kib_and_headers_of_16_kib_are_welcome() {
    let server = TestServer::start("");
    let token = server.mint(&with("padding", "x".repeat(6100)));
    assert!(token.len() >= 8 * 1024, "{}", token.len());
    server.client_at("/", &token).await.unwrap();
    let (_stream, answer) = server
        .open(of_size(16 * 1024, &bearer(&token)).as_bytes())
        .await;
    assert_eq!(answer.status, 101, "{answer:?}");
}

#[tokio::test]
async fn after_too_many_bad_tokens_only_good_ones_are_looked_at() {
    let server = TestServer::start("--limits-handshake 10m");
    let bad = |n: usize| bearer(&format!("bad{n}"));
    let good = bearer(&server.mint(&claims()));
    // What is no try at a token does not count.
    for _ in 0..25 {
        assert_eq!(server.ask("/", "").await.code(), "missing_token");
        assert_eq!(
            server.ask("/", "Authorization: Basic x\r\n").await.code(),
            "missing_token"
        );
        assert_eq!(
            server.ask("/", &bad(0).repeat(2)).await.code(),
            "invalid_request"
        );
        assert_eq!(server.ask("/other", &bad(0)).await.code(), "not_found");
    }
    for n in 0..20 {
        assert_eq!(
            server.ask("/", &bad(n)).await.code(),
            "invalid_token",
            "{n}"
        );
    }
    // One more is let through every 3 seconds, and this machine may be slow.
    let mut n = 20;
    let answer = loop {
        let answer = server.ask("/", &bad(n)).await;
        if answer.status != 401 {
            break answer;
        }
        n += 1;
        assert!(n < 40, "no limit");
    };
    let wait = answer.header("retry-after").unwrap().to_owned();
    assert_refused(
        "throttled",
        &answer,
        429,
        "too_many_attempts",
        &[("retry-after", &wait)],
    );
    assert!((1..=4).contains(&wait.parse::<u32>().unwrap()), "{wait}");

    assert_eq!(
        server
            .open(upgrade_request("/", &good).as_bytes())
            .await
            .1
            .status,
        101
    );
    assert_eq!(server.ask("/", "").await.code(), "missing_token");
    let narrow = bearer(&server.mint(&without("scope")));
    assert_eq!(server.ask("/", &narrow).await.code(), "insufficient_scope");
    assert_eq!(
        server.ask("/", &bad(0).repeat(2)).await.code(),
        "invalid_request"
    );
}

#[tokio::test]
async fn a_full_server_says_so_and_a_place_that_is_freed_is_given_again() {
    let server = TestServer::start("--limits-connections 2 --limits-handshake 10m");
    let headers = bearer(&server.mint(&claims()));
    let _stays = server.client().await;
    let leaves = server.client().await;
    let answer = server.ask("/", &headers).await;
    assert_refused("full", &answer, 503, "overloaded", &[("retry-after", "5")]);
    // Neither good-bye nor a refusal keeps a place.
    drop(leaves);
    let _again = admitted(&server, &headers).await;
    assert_eq!(server.ask("/", &headers).await.code(), "overloaded");
}

/// Asks until there is a place.
async fn admitted(server: &TestServer, headers: &str) -> impl Sized {
    let request = upgrade_request("/", headers);
    let place = async {
        loop {
            let (stream, answer) = server.open(request.as_bytes()).await;
            if answer.status == 101 {
                break stream;
            }
            assert_eq!(answer.code(), "overloaded");
        }
    };
    patiently("place", place).await
}

#[tokio::test]
async fn each_address_has_places_of_its_own() {
    let server =
        TestServer::start("--plaintext --limits-connections-per-address 1 --limits-handshake 10m");
    let headers = bearer(&server.mint(&claims()));
    let first = server.client().await;
    let answer = server.ask("/", &headers).await;
    assert_refused("full", &answer, 503, "overloaded", &[("retry-after", "5")]);

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut neighbour = socket.connect(server.address).await.unwrap();
    neighbour
        .write_all(upgrade_request("/", &headers).as_bytes())
        .await
        .unwrap();
    let mut status = [0; 12];
    patiently("answer", neighbour.read_exact(&mut status))
        .await
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");

    drop(first);
    admitted(&server, &headers).await;
}

#[tokio::test]
async fn while_draining_nobody_is_let_in() {
    let mut server = TestServer::start("--drain 10m --limits-handshake 10m");
    let good = bearer(&server.mint(&claims()));
    // Two clients, and more signals than a socket holds: the one that does not read them holds
    // up the drain.
    let (_stalled, answer) = server.open(upgrade_request("/", &good).as_bytes()).await;
    assert_eq!(answer.status, 101);
    let mut reader = server.client().await;
    let note = "x".repeat(60_000);
    let line =
        json!({"type": "buy", "symbol": "BTCUSDT", "price": 1, "note": note}).to_string() + "\n";
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        std::io::Write::write_all(&mut feed, line.repeat(300).as_bytes())
    });
    reader.texts(300).await;
    // The feed ends here, and the server goes on serving.
    feeding.join().unwrap().unwrap();
    server.signal(Signal::TERM);
    assert_eq!(reader.expect_close().await.0, 1001);

    let answer = server.ask("/", &good).await;
    assert_refused(
        "draining",
        &answer,
        503,
        "draining",
        &[("retry-after", "5")],
    );
    assert_eq!(server.ask("/", "").await.code(), "missing_token");
    assert_eq!(
        server.ask("/", &bearer("bad")).await.code(),
        "invalid_token"
    );
    let ready = server
        .exchange(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(ready.status, 503);
}

#[tokio::test]
async fn both_paths_lead_to_the_signals_and_the_scheme_may_be_in_any_letter_case() {
    let mut server = TestServer::start("");
    let token = server.mint(&claims());
    let mut clients = Vec::new();
    for path in ["/", "/ws", "/?", "/?tests=true"] {
        clients.push(server.client_at(path, &token).await.unwrap());
    }
    for value in [
        format!("bearer {token}"),
        format!("BEARER {token}"),
        format!("bEaReR    {token}  "),
    ] {
        let mut request = server.url("/").into_client_request().unwrap();
        request
            .headers_mut()
            .insert("authorization", value.parse().unwrap());
        clients.push(server.client_with(request).await.unwrap());
    }
    server.feed("buy BTCUSDT 75000.00 1720000000\n");
    for client in &mut clients {
        assert_eq!(
            client.text().await,
            wire("buy", "BTCUSDT", "75000.00", 1_720_000_000)
        );
    }
}

#[tokio::test]
async fn a_proper_upgrade_may_be_put_in_many_ways() {
    let server = TestServer::start("");
    let headers = bearer(&server.mint(&claims()));
    let request = upgrade_request("/", &headers);
    for (piece, replacement) in [
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        (
            "Connection: Upgrade",
            "Connection: keep-alive\r\nConnection: upgrade",
        ),
        ("Upgrade: websocket", "Upgrade: h2c, WebSocket"),
        ("Sec-WebSocket-Key: ", "SEC-WEBSOCKET-KEY:"),
        ("Version: 13", "Version:   13  "),
        ("GET / ", "GET http://localhost/ws "),
        (
            "Host: localhost\r\n",
            "Host: localhost\r\nOrigin: https://elsewhere.example\r\nCookie: a=b\r\n",
        ),
    ] {
        assert!(request.contains(piece), "{piece}");
        let (_stream, answer) = server
            .open(request.replace(piece, replacement).as_bytes())
            .await;
        assert_eq!(answer.status, 101, "{replacement}: {answer:?}");
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert_eq!(answer.header("connection"), Some("Upgrade"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
    }
}

#[tokio::test]
async fn of_the_subprotocols_that_are_asked_for_the_known_one_is_answered() {
    let server = TestServer::start("");
    let good = bearer(&server.mint(&claims()));
    let v1 = Some("signalcast.v1");
    for (asked, answered) in [
        ("", None),
        ("Sec-WebSocket-Protocol: signalcast.v1\r\n", v1),
        ("Sec-WebSocket-Protocol: chat\r\n", None),
        ("Sec-WebSocket-Protocol: SIGNALCAST.V1\r\n", None),
        ("Sec-WebSocket-Protocol: chat, signalcast.v1\r\n", v1),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: signalcast.v1,x\r\n",
            v1,
        ),
        (
            "Sec-WebSocket-Protocol: signalcast.v1, signalcast.v2\r\n",
            v1,
        ),
    ] {
        let request = upgrade_request("/", &format!("{good}{asked}"));
        let (mut stream, answer) = server.open(request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("sec-websocket-protocol")),
            (101, answered),
            "{asked}"
        );
        stream.write_all(&text_frame("test")).await.unwrap();
        let mut frame = [0; 15];
        patiently("test signal", stream.read_exact(&mut frame))
            .await
            .unwrap();
        assert!(frame.ends_with(br#"{"type":"buy""#), "{frame:?}");
    }
}

#[tokio::test]
async fn the_answer_says_where_the_log_stands_and_agrees_on_no_extension() {
    let mut server = TestServer::start("");
    let headers = format!(
        "{}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        bearer(&server.mint(&claims()))
    );
    let request = upgrade_request("/", &headers);
    let (_first, before) = server.open(request.as_bytes()).await;
    assert_eq!(before.header("signalcast-last-seq"), Some("0"));
    assert_eq!(before.header("sec-websocket-extensions"), None);

    let mut client = server.client().await;
    server.feed("buy BTCUSDT 1\nsell BTCUSDT 2\nbuy BTCUSDT 3\n");
    client.texts(3).await;
    // Whatever shard it comes to.
    let (_, after) = server.open(request.as_bytes()).await;
    assert_eq!(after.header("signalcast-last-seq"), Some("3"));
    let epoch = after.header("signalcast-epoch").unwrap();
    assert!(!epoch.is_empty());
    assert_eq!(before.header("signalcast-epoch"), Some(epoch));
    assert_eq!(client.response.headers()["signalcast-epoch"], epoch);
}

/// Whether the frames come in the TLS record of the request or in the next one, and wherever the
/// server's buffers are full.
#[tokio::test]
async fn what_is_sent_right_behind_the_request_is_not_lost() {
    for arguments in ["", "--plaintext"] {
        let server = TestServer::start(arguments);
        let good = bearer(&server.mint(&claims()));
        let tests = text_frame("test").repeat(3);
        for size in [1000, 4096, 8182, 8187, 8192, 8193, 16_300] {
            for records in [1, 2] {
                let request = of_size(size, &good).into_bytes();
                let answers = early(&server, &request, &tests, records).await;
                let texts = answers.matches(r#""symbol":"BTCUSDT""#).count();
                assert_eq!(texts, 3, "{arguments} {size} {records}: {answers:?}");
            }
        }
    }
}

/// Sends a request and frames in one segment, in so many TLS records; reads the answer and three
/// messages.
async fn early(server: &TestServer, request: &[u8], frames: &[u8], records: usize) -> String {
    let mut stream = server.connect().await;
    let cork = |stream: &tokio_tungstenite::MaybeTlsStream<_>, on| {
        rustix::net::sockopt::set_tcp_cork(tcp(stream), on).unwrap();
    };
    cork(&stream, true);
    match records {
        1 => stream.write_all(&[request, frames].concat()).await.unwrap(),
        _ => {
            stream.write_all(request).await.unwrap();
            stream.write_all(frames).await.unwrap();
        }
    }
    stream.flush().await.unwrap();
    cork(&stream, false);
    let mut bytes = Vec::new();
    let answers = async {
        while bytes
            .windows(9)
            .filter(|window| window == b"\"is_test\"")
            .count()
            < 3
        {
            assert_ne!(
                stream.read_buf(&mut bytes).await.unwrap(),
                0,
                "the connection ended"
            );
        }
    };
    patiently("answers to what was sent early", answers).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tcp(
    stream: &tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
) -> &tokio::net::TcpStream {
    match stream {
        tokio_tungstenite::MaybeTlsStream::Plain(stream) => stream,
        tokio_tungstenite::MaybeTlsStream::Rustls(stream) => stream.get_ref().0,
        _ => panic!("another TLS"),
    }
}
