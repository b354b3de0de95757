//! A client that speaks in frames, well formed or not (RFC 6455 section 5.2).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

use super::schema::{Spoken, check_message};
use super::{TestServer, patiently, upgrade_request};

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = FIN | 0x1;
pub const BINARY: u8 = FIN | 0x2;
pub const CLOSE: u8 = FIN | 0x8;
pub const PING: u8 = FIN | 0x9;
pub const PONG: u8 = FIN | 0xa;

/// The first byte of a text message's first fragment.
pub const FIRST: u8 = 0x1;
/// The first byte of its last.
pub const LAST: u8 = FIN | CONTINUATION;

/// One frame as a client sends it, masked. `first` is its first byte: FIN, RSV bits and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const MASKED: u8 = 0x80;
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(MASKED | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// A close frame of a client.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A client that was let in, for tests that count bytes.
pub struct RawClient {
    pub stream: MaybeTlsStream<TcpStream>,
    received: Vec<u8>,
    /// How much of what was received has been looked at.
    seen: usize,
    spoken: Spoken,
}

impl TestServer {
    /// A raw client on a connection of the test's own making.
    pub async fn raw_client_on(&self, stream: MaybeTlsStream<TcpStream>, token: &str) -> RawClient {
        let mut client = RawClient {
            stream,
            received: Vec::new(),
            seen: 0,
            spoken: Spoken::V1,
        };
        let request = upgrade_request("/", &format!("Authorization: Bearer {token}\r\n"));
        client.send(request.as_bytes()).await;
        let end = loop {
            let head = client
                .received
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(head) = head {
                break head + 4;
            }
            assert!(
                client.receive(1024).await.unwrap() > 0,
                "the connection ended"
            );
        };
        assert!(client.received.starts_with(b"HTTP/1.1 101 "), "refused");
        client.seen = end;
        client
    }

    /// A raw client.
    pub async fn raw_client(&self, token: &str) -> RawClient {
        self.raw_client_on(self.connect().await, token).await
    }
}

impl RawClient {
    pub async fn send(&mut self, bytes: &[u8]) {
        patiently("send", self.stream.write_all(bytes))
            .await
            .unwrap();
    }

    /// Receives up to so many bytes, once; 0 at the end.
    pub async fn receive(&mut self, most: usize) -> io::Result<usize> {
        self.received.drain(..self.seen);
        self.seen = 0;
        let start = self.received.len();
        self.received.resize(start + most, 0);
        let count = patiently("bytes", self.stream.read(&mut self.received[start..])).await;
        self.received
            .truncate(start + count.as_ref().copied().unwrap_or(0));
        count
    }

    /// The first byte and the payload of the next frame, if all of it has been received.
    pub fn received(&mut self) -> Option<(u8, &[u8])> {
        let rest = &self.received[self.seen..];
        let (&first, &short) = (rest.first()?, rest.get(1)?);
        let (header, length) = match short {
            0..=125 => (2, usize::from(short)),
            126 => (
                4,
                usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().unwrap())),
            ),
            other => panic!("a length of {other} is masked or longer than any frame of ours"),
        };
        let payload = rest.get(header..header + length)?;
        self.seen += header + length;
        Some((first, payload))
    }

    /// The next frame, whatever it is.
    pub async fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((first, payload)) = self.received() {
                return (first, payload.to_vec());
            }
            assert!(
                self.receive(16 * 1024).await.unwrap() > 0,
                "the connection ended"
            );
        }
    }

    /// The text of the next frame, which must be one.
    pub async fn text(&mut self) -> String {
        let (first, payload) = self.next().await;
        assert_eq!(first, TEXT, "{payload:?}");
        let text = String::from_utf8(payload).unwrap();
        check_message(self.spoken, &text);
        text
    }

    /// The next frame closes. Its code and reason; no code: 1005 (RFC 6455 section 7.1.5).
    pub async fn close(&mut self) -> (u16, String) {
        let (first, payload) = self.next().await;
        assert_eq!(first, CLOSE, "{payload:?}");
        assert!(payload.len() <= 125 && payload.len() != 1);
        match payload.split_first_chunk() {
            Some((code, reason)) => (
                u16::from_be_bytes(*code),
                String::from_utf8(reason.to_vec()).unwrap(),
            ),
            None => (1005, String::new()),
        }
    }

    /// The server ends the connection, and says nothing before.
    pub async fn end(&mut self) {
        assert_eq!(self.received(), None);
        assert_eq!(
            self.receive(1024).await.unwrap(),
            0,
            "more instead of the end"
        );
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
