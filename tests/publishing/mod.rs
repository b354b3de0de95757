//! The words of those who publish over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses the words it needs")]
#![allow(unreachable_pub, reason = "pub is what the test files see")]

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

use crate::common::jwt::with;
use crate::common::{Answer, TestClient, TestServer, patiently};

pub const JSON: &str = "application/json";
pub const NDJSON: &str = "application/x-ndjson";
pub const TEXT: &str = "text/plain";

/// The header of somebody who may publish.
pub fn bearer(server: &TestServer) -> String {
    bearer_of(server, "strategy-1")
}

/// The same for somebody of this name.
pub fn bearer_of(server: &TestServer, subject: &str) -> String {
    let mut claims = with("scope", "signals:publish");
    claims["sub"] = subject.into();
    format!("Authorization: Bearer {}\r\n", server.mint(&claims))
}

/// A request with this body.
pub fn request(headers: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /signals HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A signal with an id, as a line.
pub fn line(id: &str, symbol: &str) -> String {
    format!(r#"{{"id":"{id}","side":"buy","symbol":"{symbol}","price":1,"timestamp":1720000000}}"#)
        + "\n"
}

/// A connection on which somebody publishes.
pub struct Publisher {
    pub stream: MaybeTlsStream<TcpStream>,
    headers: String,
}

impl Publisher {
    pub async fn of(server: &TestServer) -> Self {
        Self::named(server, "strategy-1").await
    }

    pub async fn named(server: &TestServer, subject: &str) -> Self {
        Self {
            stream: server.connect().await,
            headers: bearer_of(server, subject),
        }
    }

    /// Sends signals without waiting for the answer.
    pub async fn send(&mut self, content_type: &str, body: &str) -> io::Result<()> {
        let request = request(&self.headers, content_type, body);
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await
    }

    /// The next answer, or that the connection ended before it was whole.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let whole = async {
            while !is_whole(&bytes) {
                if self.stream.read_buf(&mut bytes).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(Answer::parse(&bytes))
        };
        patiently("answer", whole).await
    }

    /// Publishes; returns the answer.
    pub async fn post(&mut self, content_type: &str, body: &str) -> Answer {
        self.send(content_type, body).await.unwrap();
        self.answer().await.unwrap()
    }

    /// Publishes what is taken. Returns of each signal its line, its seq, and whether it was there.
    pub async fn publish(&mut self, content_type: &str, body: &str) -> Vec<(u64, u64, bool)> {
        accepted(&self.post(content_type, body).await)
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let answer = Answer::parse(&bytes[..head + 4]);
    let length = answer.header("content-length").unwrap();
    bytes.len() >= head + 4 + length.parse::<usize>().unwrap()
}

/// Of each signal that was taken its line, its seq, and whether it was there before.
pub fn accepted(answer: &Answer) -> Vec<(u64, u64, bool)> {
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some(JSON));
    assert_eq!(answer.header("connection"), None);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let accepted = body["accepted"].as_array().unwrap().iter();
    let told = accepted.map(|one| {
        assert_eq!(one.as_object().unwrap().len(), 4, "{one}");
        assert!(!one["id"].as_str().unwrap().is_empty());
        let number = |key: &str| one[key].as_u64().unwrap();
        (
            number("line"),
            number("seq"),
            one["duplicate"].as_bool().unwrap(),
        )
    });
    told.collect()
}

/// The lines that were refused, each with its reason.
pub fn refused(answer: &Answer) -> Vec<(u64, String)> {
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&body["type"], &body["code"]),
        (&"error".into(), &"invalid_signal".into())
    );
    assert!(body["message"].is_string());
    assert_eq!(body.as_object().unwrap().len(), 4);
    let refused = body["refused"].as_array().unwrap().iter();
    let told = refused.map(|one| {
        let reason = one["reason"].as_str().unwrap();
        (one["line"].as_u64().unwrap(), reason.to_owned())
    });
    told.collect()
}

/// A client of `signalcast.v2` that was let in, behind its first message.
pub async fn client(server: &TestServer, path: &str) -> TestClient {
    let token = server.token();
    let client = server.client_speaking("signalcast.v2", path, &token).await;
    let mut client = client.unwrap();
    assert_eq!(client.json().await["type"], "connection_established");
    client
}

/// The seqs and the symbols of the next so many signals.
pub async fn next(client: &mut TestClient, count: usize) -> Vec<(u64, String)> {
    let mut signals = Vec::with_capacity(count);
    while signals.len() < count {
        let signal = client.json().await;
        let symbol = signal["content"]["symbol"].as_str().unwrap();
        signals.push((signal["seq"].as_u64().unwrap(), symbol.to_owned()));
    }
    signals
}
