use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::frames::{Frames, PONG, Protocol};
use super::server::{Door, PATIENCE};

/// One client on a thread that waits for it.
pub struct Client {
    stream: Stream,
    pub frames: Frames,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// A client that was let in.
    pub fn connect(door: &Door, path: &str, protocol: Protocol) -> Self {
        let mut stream = connect(door);
        let request = upgrade_request(door, path, protocol);
        stream.write_all(request.as_bytes()).unwrap();
        let mut frames = Frames::new(protocol, ROOM);
        loop {
            let count = stream.read(frames.space()).unwrap();
            assert!(count > 0, "the connection ended before the answer");
            if let Some(head) = frames.head(count) {
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                break;
            }
        }
        Self { stream, frames }
    }

    /// Reads until this signal is there.
    pub fn until(&mut self, number: u64) {
        self.each_until(number, |_, _| {});
    }

    /// The same; `each` gets the number and the time of receipt of each signal.
    pub fn each_until(&mut self, number: u64, mut each: impl FnMut(u64, Instant)) {
        // What came with the answer to the upgrade has been read already.
        let mut count = 0;
        loop {
            let now = Instant::now();
            self.frames.read(count, |number| each(number, now));
            if self.frames.last().is_some_and(|last| last >= number) {
                return;
            }
            assert_eq!(
                self.frames.closed(),
                None,
                "closed after {:?}",
                self.frames.last()
            );
            for _ in 0..self.frames.take_pings() {
                self.stream.write_all(&PONG).unwrap();
            }
            count = self.stream.read(self.frames.space()).unwrap();
            assert!(
                count > 0,
                "the connection ended after {:?}",
                self.frames.last()
            );
        }
    }

    /// Reads until the next signal is there.
    pub fn next(&mut self) {
        self.until(self.frames.last().map_or(0, |last| last + 1));
    }
}

/// The body of an answer to `GET path`.
pub fn get(door: &Door, path: &str, accept: &str) -> Vec<u8> {
    let mut stream = connect(door);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\
         Authorization: Bearer {}\r\n\r\n",
        door.token
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let head = memchr::memmem::find(&answer, b"\r\n\r\n").unwrap() + 4;
    answer.split_off(head)
}

/// The request with which a client becomes one.
pub fn upgrade_request(door: &Door, path: &str, protocol: Protocol) -> String {
    let protocol = match protocol {
        Protocol::V1 => "signalcast.v1",
        Protocol::V2 => "signalcast.v2",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\nAuthorization: Bearer {}\r\n\r\n",
        door.token
    )
}

/// Who the server says it is.
pub fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Bytes for one read.
const ROOM: usize = 256 * 1024;

fn connect(door: &Door) -> Stream {
    let stream = TcpStream::connect(door.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match &door.tls {
        None => Stream::Plain(stream),
        Some(config) => {
            let tls = ClientConnection::new(config.clone(), localhost()).unwrap();
            Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
