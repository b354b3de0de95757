//! Who comes back: from which signal on a client is served, which it gets, and in which form.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::jwt::claims;
use common::{TestClient, TestServer, upgrade_request, wire};
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A client that asks for these subprotocols.
async fn client(server: &TestServer, path: &str, subprotocols: &str) -> TestClient {
    let mut request = server.url(path).into_client_request().unwrap();
    let headers = request.headers_mut();
    let bearer = format!("Bearer {}", server.mint(&claims()));
    headers.insert("authorization", bearer.parse().unwrap());
    headers.insert("sec-websocket-protocol", subprotocols.parse().unwrap());
    server.client_with(request).await.unwrap()
}

fn signals(of: std::ops::RangeInclusive<u64>) -> Vec<String> {
    of.map(|price| wire("buy", "BTCUSDT", &price.to_string(), 1_720_000_000))
        .collect()
}

fn feed(of: std::ops::RangeInclusive<u64>) -> Vec<String> {
    of.map(|price| format!("buy BTCUSDT {price} 1720000000\n"))
        .collect()
}

#[tokio::test]
async fn a_client_goes_on_after_the_seq_it_names() {
    let mut server = TestServer::start("--server-shards 2");
    let mut live = server.client().await;
    server.feed(&feed(1..=5).concat());
    live.texts(5).await;
    for (path, first) in [
        ("/?after_seq=0", 1),
        ("/ws?after_seq=3", 4),
        ("/?after_seq=5", 6),
        ("/", 6),
    ] {
        let token = server.mint(&claims());
        let mut back = server.client_at(path, &token).await.unwrap();
        assert_eq!(
            back.response.headers()["signalcast-last-seq"],
            "5",
            "{path}"
        );
        assert_eq!(
            back.response.headers()["signalcast-epoch"],
            live.response.headers()["signalcast-epoch"]
        );
        let missed = signals(first..=5);
        assert_eq!(back.texts(missed.len()).await, missed, "{path}");
        back.send("test").await;
        assert_eq!(back.json().await["is_test"], true, "{path}: nothing more");
    }
}

#[tokio::test]
async fn of_the_subprotocols_that_are_known_the_clients_first_is_spoken() {
    let mut server = TestServer::start("");
    let v1 = |prices: u64| signals(prices..=prices).remove(0);
    let mut expected = 0;
    for (asked, answered) in [
        ("signalcast.v2", Some("signalcast.v2")),
        ("signalcast.v2, signalcast.v1", Some("signalcast.v2")),
        ("signalcast.v1, signalcast.v2", Some("signalcast.v1")),
        ("chat, signalcast.v2", Some("signalcast.v2")),
        ("signalcast.v3", None),
    ] {
        let request = upgrade_request(
            "/",
            &format!(
                "Authorization: Bearer {}\r\nSec-WebSocket-Protocol: {asked}\r\n",
                server.mint(&claims())
            ),
        );
        let (_stream, answer) = server.open(request.as_bytes()).await;
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-protocol"), answered, "{asked}");
        if answered.is_none() {
            continue;
        }
        let mut client = client(&server, "/", asked).await;
        expected += 1;
        server.feed(&feed(expected..=expected).concat());
        if answered == Some("signalcast.v1") {
            assert_eq!(client.text().await, v1(expected));
            continue;
        }
        let signal = next_signal(&mut client).await;
        assert_eq!(signal["seq"], expected);
        assert_eq!(signal["source"], "stdin");
    }
}

/// The next signal of a `signalcast.v2` connection.
async fn next_signal(client: &mut TestClient) -> Value {
    loop {
        let frame = client.json().await;
        if frame["content"].is_object() {
            return frame;
        }
    }
}
