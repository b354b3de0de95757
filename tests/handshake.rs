//! Peers that dawdle before they are clients: they are let go in time, and keep nobody waiting.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::jwt::{claims, with};
use common::{TestServer, patiently, upgrade_request, wait_until, wire};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A peer that has sent this much of what a client sends, and then nothing more. Whatever the
/// server says is read to the end.
async fn stalled(mut stream: impl AsyncRead + AsyncWrite + Unpin, said: &[u8]) -> usize {
    stream.write_all(said).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    stream.read_to_end(&mut answer).await.ok();
    answer.len()
}

/// A peer that sends a request a byte at a time, until nobody listens.
async fn trickling(stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> usize {
    let (mut from, mut to) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let sending = async {
        for byte in request {
            pace.tick().await;
            if to.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
        panic!("the server waited for all of the request");
    };
    tokio::select! {
        // A reset is an end, too.
        _ = from.read_to_end(&mut answer) => answer.len(),
        () = sending => 0,
    }
}

/// Much more than a byte each 20 ms brings within the time for a handshake.
fn long_request() -> String {
    upgrade_request("/", &format!("X-Padding: {}\r\n", "x".repeat(10_000)))
}

#[tokio::test]
async fn peers_that_never_finish_their_request_are_let_go_and_disturb_nobody() {
    let mut server = TestServer::start("--limits-handshake 1s");
    let socket = || async { TcpStream::connect(server.address).await.unwrap() };
    let hello = server.client_hello();
    let request = long_request();
    let (silent, first_byte, half_hello, whole_hello) = (
        socket().await,
        socket().await,
        socket().await,
        socket().await,
    );
    let (encrypted, half_request, slow, slow_hello) = (
        server.connect().await,
        server.connect().await,
        server.connect().await,
        socket().await,
    );
    let mut client = server.client().await;
    let ends = Box::pin(async {
        tokio::join!(
            stalled(silent, b""),
            stalled(first_byte, &[0x16]),
            stalled(half_hello, &hello[..hello.len() / 2]),
            stalled(encrypted, b""),
            stalled(half_request, &request.as_bytes()[..100]),
            trickling(slow, request.as_bytes()),
            trickling(slow_hello, &hello),
        )
    });
    // Whoever has said nothing that can be answered gets no answer.
    assert_eq!(
        patiently("end of the stalled peers", ends).await,
        (0, 0, 0, 0, 0, 0, 0)
    );
    // To a ClientHello TLS itself answers.
    patiently("end of the handshake", stalled(whole_hello, &hello)).await;

    server.feed("buy BTCUSDT 75000.00 1720000000\n");
    assert_eq!(
        client.text().await,
        wire("buy", "BTCUSDT", "75000.00", 1_720_000_000)
    );
    server.stop();
}

#[tokio::test]
async fn without_tls_slow_peers_are_let_go_too() {
    let mut server = TestServer::start("--plaintext --limits-handshake 1s");
    let request = long_request();
    let [silent, half_request, slow] = [
        server.connect().await,
        server.connect().await,
        server.connect().await,
    ];
    let mut client = server.client().await;
    let ends = Box::pin(async {
        tokio::join!(
            stalled(silent, b""),
            stalled(half_request, &request.as_bytes()[..100]),
            trickling(slow, request.as_bytes()),
        )
    });
    assert_eq!(patiently("end of the stalled peers", ends).await, (0, 0, 0));
    server.feed("buy BTCUSDT 75000.00 1720000000\n");
    assert_eq!(
        client.text().await,
        wire("buy", "BTCUSDT", "75000.00", 1_720_000_000)
    );
}

/// One handshake at a time, and several peers that begin one and never finish it.
#[tokio::test]
async fn handshakes_that_stall_shut_nobody_out() {
    let timeout = Duration::from_secs(10);
    let server = TestServer::start("--shards 1 --limits-handshakes 1 --limits-handshake 10s");
    let token = server.mint(&claims());
    let began = Instant::now();
    let hello = server.client_hello();
    let mut stalling = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        stalling.push(stream);
    }
    // Its turn has come for this one.
    let mut byte = [0];
    patiently("ServerHello", stalling[0].read_exact(&mut byte))
        .await
        .unwrap();

    server.client_at("/", &token).await.unwrap();
    assert!(
        began.elapsed() < timeout,
        "others wait until a stalled handshake is given up"
    );
}

/// Only a complete ClientHello asks for a turn.
#[tokio::test]
async fn sockets_that_say_nothing_take_nobodys_turn() {
    let server = TestServer::start("--shards 1 --limits-handshakes 1 --limits-handshake 10m");
    let token = server.mint(&claims());
    let hello = server.client_hello();
    let mut silent = Vec::new();
    for said in [0, 1, 5, hello.len() - 1] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&hello[..said]).await.unwrap();
        silent.push(stream);
    }
    server.client_at("/", &token).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_asks_without_end_and_takes_no_answer_is_let_go() {
    for arguments in ["--limits-handshake 1s", "--plaintext --limits-handshake 1s"] {
        let server = TestServer::start(arguments);
        let mut stream = server.connect().await;
        let requests = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
        let asking = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
        patiently("end of the connection", asking).await;
        server.stop();
    }
}

/// What is answered to a request whose sender ends his side right behind it, as `nc -N` does.
async fn with_nothing_behind(server: &TestServer, request: &str) -> String {
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    patiently("end of the connection", stream.read_to_end(&mut answer))
        .await
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

const TRANSPORTS: [&str; 2] = ["", "--plaintext"];

#[tokio::test]
async fn whoever_ends_his_side_behind_a_request_is_answered() {
    for transport in TRANSPORTS {
        let server = TestServer::start(transport);
        let publisher = server.mint(&with("scope", "signals:publish"));
        for seq in 1..=8 {
            let body = format!("buy BTCUSDT {seq}");
            let request = format!(
                "POST /signals HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {publisher}\r\n\
                 Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = with_nothing_behind(&server, &request).await;
            assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
            assert!(answer.contains(&format!("\"seq\":{seq},")), "{answer}");
        }
        server.stop();
    }
}

/// Nothing comes from him any more, and so he has gone, maybe before he is told that he is in.
#[tokio::test]
async fn whoever_ends_his_side_behind_his_coming_in_is_no_client_for_long() {
    for transport in TRANSPORTS {
        let server = TestServer::start(transport);
        let authorization = format!("Authorization: Bearer {}\r\n", server.token());
        let upgrade = upgrade_request("/", &authorization);
        let stream =
            format!("GET /signals/stream HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n");
        for (request, status) in [(upgrade, "101"), (stream, "200")] {
            let answer = with_nothing_behind(&server, &request).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(
                answer.is_empty() || answer.starts_with(&expected),
                "{answer}"
            );
        }
        let ended = || server.log().matches("sent_bytes=").count();
        wait_until("the end of both sessions", || ended() == 2);
        server.stop();
    }
}
