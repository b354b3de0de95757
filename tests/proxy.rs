//! Behind a proxy: whose address a client's is, and who may say so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::Ipv4Addr;

use common::jwt::claims;
use common::{Answer, TestServer, upgrade_request};

const BAD: &str = "Authorization: Bearer nonsense\r\n";

/// What a request gets that came through the proxy with this header.
async fn through_proxy(server: &TestServer, header: &str) -> (u16, String) {
    let answer = server.ask("/", &format!("{BAD}{header}\r\n")).await;
    (answer.status, answer.code())
}

async fn throttled(server: &TestServer, header: &str) {
    let answer = through_proxy(server, header).await;
    assert_eq!(answer, (429, "too_many_attempts".to_owned()), "{header}");
}

async fn tried(server: &TestServer, header: &str) {
    let answer = through_proxy(server, header).await;
    assert_eq!(answer, (401, "invalid_token".to_owned()), "{header}");
}

/// One failed try for each address, and then none for a minute.
const ONE_TRY: &str = "--auth-failed-tries-per-minute 1";

async fn each_client_has_its_own_tries(transport: &str) {
    let server = TestServer::start(&format!(
        "{transport} {ONE_TRY} --behind-proxy --server-trusted-proxies 127.0.0.1 \
         --server-trusted-proxies 10.0.0.0/8"
    ));
    tried(&server, "X-Forwarded-For: 192.0.2.1").await;
    throttled(&server, "X-Forwarded-For: 192.0.2.1").await;
    throttled(&server, "Forwarded: for=\"192.0.2.1:4711\";proto=https").await;
    tried(&server, "X-Forwarded-For: 192.0.2.2").await;
    tried(&server, "Forwarded: for=192.0.2.3").await;
    // What the client wrote comes before what the proxies did.
    throttled(&server, "X-Forwarded-For: 192.0.2.99, 192.0.2.1, 10.0.0.7").await;
    throttled(
        &server,
        "X-Forwarded-For: 192.0.2.99\r\nX-Forwarded-For: 192.0.2.1",
    )
    .await;
    // One IPv6 network is one subscriber.
    tried(&server, "X-Forwarded-For: 2001:db8::1").await;
    throttled(&server, "X-Forwarded-For: 2001:db8::2").await;
    // What can't be understood is the proxy's own, all of it together.
    tried(&server, "X-Forwarded-For: nonsense").await;
    for unclear in [
        "X-Forwarded-For: unknown",
        "X-Forwarded-For: 192.0.2.50, \u{e9}\"",
        "Forwarded: for=\"192.0.2.51",
        "Forwarded: for=192.0.2.52\r\nX-Forwarded-For: 192.0.2.53",
        "X-Nothing: 1",
    ] {
        throttled(&server, unclear).await;
    }
    // Somebody who is no proxy says what he likes.
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    for (address, status) in [("192.0.2.60", 401), ("192.0.2.61", 429)] {
        let headers = format!("{BAD}X-Forwarded-For: {address}\r\n");
        let answer: Answer = server.ask_from(stranger, "/", &headers).await;
        assert_eq!(answer.status, status, "{address}");
    }
    server.stop();
}

#[tokio::test]
async fn each_client_behind_a_trusted_proxy_has_its_own_tries() {
    each_client_has_its_own_tries("--plaintext").await;
}

#[tokio::test]
async fn the_proxy_may_encrypt_too() {
    each_client_has_its_own_tries("").await;
}

#[tokio::test]
async fn places_and_the_log_are_the_clients_own() {
    let server = TestServer::start(
        "--plaintext --behind-proxy --server-trusted-proxies 127.0.0.0/8 \
         --limits-connections-per-address 1",
    );
    let token = server.mint(&claims());
    let request = |from: &str| {
        let headers = format!("Authorization: Bearer {token}\r\nX-Forwarded-For: {from}\r\n");
        upgrade_request("/", &headers)
    };
    let (_first, answer) = server.open(request("192.0.2.1").as_bytes()).await;
    assert_eq!(answer.status, 101);
    let answer = server.exchange(request("192.0.2.1").as_bytes()).await;
    assert_eq!(answer.code(), "overloaded");
    let (_second, answer) = server.open(request("192.0.2.2").as_bytes()).await;
    assert_eq!(answer.status, 101);
    server.logged("peer=192.0.2.1 proxy=127.0.0.1:").await;
    server.logged("peer=192.0.2.2 proxy=127.0.0.1:").await;
    server.stop();
}

#[tokio::test]
async fn a_proxy_that_nobody_trusts_is_the_client_and_the_operator_is_told() {
    let server = TestServer::start(&format!("--plaintext {ONE_TRY} --behind-proxy"));
    server.logged("all clients count as one address").await;
    tried(&server, "X-Forwarded-For: 192.0.2.1").await;
    throttled(&server, "X-Forwarded-For: 192.0.2.2").await;
    // A good token gets in all the same.
    server.client().await;
    server.stop();
}
