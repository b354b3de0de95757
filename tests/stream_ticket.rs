//! Event streams that a page opens by a ticket, as a browser's `EventSource` does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;
use std::net::Ipv4Addr;

use common::events::EventReader;
use common::jwt::{base64url, claims, with};
use common::{Answer, TestServer};
use futures::future::join_all;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

const LENIENT: &str = "--auth-failed-tries-per-minute 0";

/// What somebody is told who is not let in.
async fn refused(server: &TestServer, target: &str, headers: &str) -> (u16, String) {
    let answer: Answer = server.get(target, headers).await;
    let said: Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, said["code"].as_str().unwrap().to_owned())
}

fn last_event_id(id: u64) -> String {
    format!("Last-Event-ID: {id}\r\n")
}

#[tokio::test]
async fn a_ticket_opens_a_stream_and_opens_it_again_when_the_connection_breaks() {
    let mut server = TestServer::start(&format!("{LENIENT} --limits-connections 1"));
    let target = format!(
        "/signals/stream?ticket={}",
        server.ticket(&server.token()).await
    );
    let unknown = (401, "invalid_token".to_owned());
    let (mut reader, first) = server.events(&target, "").await;
    server.feed("buy X 1 7\n");
    assert_eq!(reader.signal().await.id, first.id + 1);
    // It is used, and nobody else's.
    assert_eq!(refused(&server, &target, "").await, unknown);
    let target_of_socket = target.replace("/signals/stream", "/ws");
    let request = common::upgrade_request(&target_of_socket, &last_event_id(1));
    let (_, answer) = server.open(request.as_bytes()).await;
    assert_eq!(answer.code(), "invalid_token");
    let mut elsewhere = server.connect_from(Ipv4Addr::new(127, 0, 0, 2)).await;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
        last_event_id(1)
    );
    elsewhere.flush().await.unwrap();
    let answer = server.exchange_on(elsewhere, request.as_bytes()).await;
    assert_eq!(answer.code(), "invalid_token");
    // The browser comes again while the server still holds the old connection, and there is one
    // place.
    for seq in 1..4 {
        let (mut again, _) = server.events(&target, &last_event_id(seq)).await;
        assert_eq!(reader.try_next().await, None, "the older one has ended");
        server.feed("buy X 1 7\n");
        assert_eq!(again.signal().await.id, seq + 1);
        reader = again;
    }
    // Or after it was gone.
    drop(reader);
    server.logged("closed").await;
    let (mut again, _) = server.events(&target, &last_event_id(2)).await;
    assert_eq!(again.seqs(2).await, [3, 4]);
}

/// Comes in whenever there is a place, and leaves it soon.
async fn comes_and_goes(server: &TestServer, token: &str) -> Infallible {
    loop {
        drop(server.client_at("/", token).await);
    }
}

#[tokio::test]
async fn who_comes_back_keeps_its_place_when_others_are_after_it() {
    const TIMES: usize = 200;
    let options = "--limits-connections 1 --server-shards 2 --plaintext";
    let mut server = TestServer::start(&format!("{LENIENT} {options}"));
    let token = server.token();
    let ticket = server.ticket(&token).await;
    let target = format!("/signals/stream?ticket={ticket}");
    let (mut reader, _) = server.events(&target, "").await;
    server.feed("buy X 1 7\n");
    assert_eq!(reader.signal().await.id, 1);
    let coming_back = async {
        for time in 0..TIMES {
            let (again, _) = server.events(&target, &last_event_id(1)).await;
            assert_eq!(reader.try_next().await, None, "{time}");
            reader = again;
        }
    };
    let others = join_all((0..4).map(|_| comes_and_goes(&server, &token)));
    tokio::select! {
        () = coming_back => {}
        _ = others => {}
    }
    // It is the one client, and gets what comes.
    server.feed("buy X 1 7\n");
    assert_eq!(reader.signal().await.id, 2);
}

#[tokio::test]
async fn a_request_that_is_refused_ends_no_stream_and_opens_none() {
    let mut server = TestServer::start(&format!("{LENIENT} --limits-connections 1"));
    let target = format!(
        "/signals/stream?ticket={}",
        server.ticket(&server.token()).await
    );
    let (mut reader, _) = server.events(&target, "").await;
    let bad = (400, "bad_request".to_owned());
    let gone = (410, "history_gone".to_owned());
    for (query, id, refusal) in [
        ("&limit=1", "0", &bad),
        ("&after_seq=x", "0", &bad),
        ("", "x", &bad),
        ("", "99", &gone),
        ("&epoch=other", "0", &gone),
    ] {
        let headers = format!("Last-Event-ID: {id}\r\n");
        let answer = refused(&server, &format!("{target}{query}"), &headers).await;
        assert_eq!(&answer, refusal, "{query} {id}");
        server.feed("buy X 1 7\n");
        reader.signal().await;
    }
    let (mut again, _) = server.events(&target, &last_event_id(3)).await;
    assert_eq!(again.seqs(2).await, [4, 5]);
    assert_eq!(reader.try_next().await, None);
    drop(again);
    server.logged("closed by the client").await;
    // What is refused at first was no stream at any time, and has used the ticket up.
    let unused = server.ticket(&server.token()).await;
    let target = format!("/signals/stream?ticket={unused}");
    let answer = refused(&server, &format!("{target}&limit=1"), "").await;
    assert_eq!(answer, bad);
    let answer = refused(&server, &target, &last_event_id(0)).await;
    assert_eq!(answer, (401, "invalid_token".to_owned()));
}

#[tokio::test]
async fn a_reader_stays_no_longer_than_the_token_behind_its_ticket() {
    let server = TestServer::start(LENIENT);
    let token = server.mint(&with("jti", "t-1"));
    let target = format!("/signals/stream?ticket={}", server.ticket(&token).await);
    let (mut reader, _) = server.events(&target, "").await;
    assert!(server.folder.run("token revoke --jti t-1").status.success());
    assert_eq!(reader.closed().await.0, 1008);
    let refused = refused(&server, &target, &last_event_id(0)).await;
    assert_eq!(refused, (401, "invalid_token".to_owned()));
}

#[tokio::test]
async fn the_other_ways_of_a_stream() {
    let server = TestServer::start(&format!(
        "{LENIENT} --auth-query-token --server-cors-origins https://app.example.org"
    ));
    let token = server.mint(&claims());
    let by_url = format!("/signals/stream?token={token}&after_seq=0");
    let (reader, _) = server
        .events(&by_url, "Origin: https://app.example.org\r\n")
        .await;
    // A page of another origin may read it.
    let origin = reader.answer.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://app.example.org"));
    let _: EventReader = reader;
    // A stream has no subprotocols.
    let entry = format!(
        "Sec-WebSocket-Protocol: base64url.bearer.authorization.signalcast.{}\r\n",
        base64url(&token)
    );
    let answer = refused(&server, "/signals/stream", &entry).await;
    assert_eq!(answer, (401, "missing_token".to_owned()));
    let both = format!("{by_url}&ticket={}", server.ticket(&token).await);
    let answer = refused(&server, &both, "").await;
    assert_eq!(answer, (400, "invalid_request".to_owned()));
}
