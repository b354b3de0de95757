//! A reader of Server-Sent Events who takes nothing but what the server is to write: each event with
//! its lines in one order, ended by one empty line.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

use super::schema::{Door, check_answer, check_event};
use super::{Answer, TestServer, patiently};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: u64,
    pub data: String,
    /// What it says of coming back, in milliseconds.
    pub retry: Option<u64>,
}

impl Event {
    /// The first event of what was received, if all of it is there, and how long it is.
    pub fn first(received: &[u8]) -> Option<(Self, usize)> {
        let end = received.windows(2).position(|two| two == b"\n\n")? + 2;
        let text = std::str::from_utf8(&received[..end]).unwrap();
        assert!(!text.contains('\r'), "{text:?}");
        let mut lines = text.trim_end_matches('\n').split('\n').peekable();
        let retry = lines.next_if(|line| line.starts_with("retry: "));
        let mut field = |name: &str| {
            let line = lines.next().unwrap_or_default();
            let value = line.strip_prefix(&format!("{name}: "));
            value.unwrap_or_else(|| panic!("no {name} in {text:?}"))
        };
        let event = Self {
            name: field("event").to_owned(),
            id: number(field("id")),
            data: field("data").to_owned(),
            retry: retry.map(|line| number(&line["retry: ".len()..])),
        };
        assert_eq!(lines.next(), None, "{text:?}");
        let said = event.json();
        if event.name == "signal" {
            assert_eq!(said["seq"], event.id, "{text:?}");
        } else {
            assert_eq!(said["type"], event.name.as_str(), "{text:?}");
        }
        check_event(&event.name, &event.data);
        Some((event, end))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

fn number(text: &str) -> u64 {
    assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
    text.parse().unwrap()
}

/// Somebody who reads a stream of events.
pub struct EventReader {
    pub stream: MaybeTlsStream<TcpStream>,
    /// Status and headers, the body being empty.
    pub answer: Answer,
    received: Vec<u8>,
}

impl TestServer {
    /// A reader who was let in, and the first event. `headers`: further lines, each ended by CRLF.
    pub async fn events(&self, target: &str, headers: &str) -> (EventReader, Event) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut reader = EventReader::begin(stream, Vec::new()).await;
        let first = reader.next().await;
        assert_eq!(first.name, "connection_established");
        assert_eq!(first.retry, Some(2000));
        (reader, first)
    }

    /// A new ticket of whoever has this token.
    pub async fn ticket(&self, token: &str) -> String {
        let request = format!(
            "POST /ticket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        let (_, answer) = self.open(request.as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        body["ticket"].as_str().unwrap().to_owned()
    }

    /// A header line with a token that may read.
    pub fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token())
    }
}

impl EventReader {
    /// On a connection that is to say so next; `received` was read from it already.
    pub async fn begin(mut stream: MaybeTlsStream<TcpStream>, mut received: Vec<u8>) -> Self {
        let head = loop {
            let end = received.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            let count = patiently("answer", stream.read_buf(&mut received)).await;
            assert!(count.unwrap() > 0, "the connection ended");
        };
        let rest = received.split_off(head);
        let answer = Answer::parse(&received);
        assert_eq!(answer.status, 200, "{answer:?} {}", super::text(&rest));
        check_answer(Door::Main, b"GET /signals/stream HTTP/1.1\r\n", &answer);
        Self {
            stream,
            answer,
            received: rest,
        }
    }

    /// The next event; none at the end.
    pub async fn try_next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, length)) = Event::first(&self.received) {
                self.received.drain(..length);
                return Some(event);
            }
            let count = patiently("event", self.stream.read_buf(&mut self.received)).await;
            if count.unwrap() == 0 {
                assert!(self.received.is_empty(), "cut short");
                return None;
            }
        }
    }

    pub async fn next(&mut self) -> Event {
        self.try_next().await.expect("the stream ended")
    }

    /// The next event, which must be a signal.
    pub async fn signal(&mut self) -> Event {
        let event = self.next().await;
        assert_eq!(event.name, "signal", "{event:?}");
        assert_eq!(event.retry, None);
        event
    }

    /// The seqs of so many signals that come next.
    pub async fn seqs(&mut self, count: usize) -> Vec<u64> {
        let mut seqs = Vec::with_capacity(count);
        while seqs.len() < count {
            seqs.push(self.signal().await.id);
        }
        seqs
    }

    /// The code and the reason with which the server ends the stream, which then is over.
    pub async fn closed(&mut self) -> (u64, String) {
        let event = self.next().await;
        assert_eq!(event.name, "closed", "{event:?}");
        let said = event.json();
        assert_eq!(said.as_object().unwrap().len(), 3);
        assert_eq!(self.try_next().await, None);
        let reason = said["reason"].as_str().unwrap().to_owned();
        (said["code"].as_u64().unwrap(), reason)
    }

    /// The TCP connection below.
    pub fn tcp(&self) -> &TcpStream {
        match &self.stream {
            MaybeTlsStream::Plain(stream) => stream,
            MaybeTlsStream::Rustls(stream) => stream.get_ref().0,
            _ => unreachable!("there is no other TLS here"),
        }
    }
}
