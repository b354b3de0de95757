use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::ServerConnection;
use serde_json::Value;

use super::cpu;
use super::handshake::shake;
use super::options::Options;
use super::sockets::{Sockets, write_all};
use super::tls::Configs;

/// What writing has cost.
#[derive(Default)]
pub(crate) struct Writes {
    /// Frames, over all connections.
    pub(crate) deliveries: u64,
    pub(crate) cpu: Duration,
    pub(crate) taken: Duration,
    /// How often a socket was full.
    pub(crate) blocked: u64,
}

pub(crate) fn plain(options: &Options) -> Value {
    let sockets = connect(options);
    let frames = frames(options);
    let writes = repeat(options, || {
        let blocked = sockets.ours.iter().map(|socket| write_all(socket, &frames));
        blocked.sum()
    });
    writes.report("plain", options)
}

pub(crate) fn rustls(options: &Options) -> Value {
    let sockets = connect(options);
    let frames = frames(options);
    let configs = Configs::new(2);
    // The handshakes are done in memory: what is written afterwards is all that is measured.
    let mut connections: Vec<ServerConnection> =
        sockets.ours.iter().map(|_| shake(&configs).0).collect();
    for connection in &mut connections {
        connection.set_buffer_limit(None);
    }
    let writes = repeat(options, || {
        let mut blocked = 0;
        for (socket, connection) in sockets.ours.iter().zip(&mut connections) {
            connection.writer().write_all(&frames).unwrap();
            let mut out = Out { socket, blocked: 0 };
            while connection.wants_write() {
                connection.write_tls(&mut out).unwrap();
            }
            blocked += out.blocked;
        }
        blocked
    });
    writes.report("rustls", options)
}

/// Where the records of a connection go.
struct Out<'a> {
    socket: &'a TcpStream,
    blocked: u64,
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blocked += write_all(self.socket, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect(options: &Options) -> Sockets {
    Sockets::connect(options.clients, options.pin.map(|(_, reader)| reader))
}

/// What one write holds: unmasked text frames (RFC 6455 section 5.2).
fn frames(options: &Options) -> Vec<u8> {
    let mut frame = match options.bytes {
        0..3 => panic!("a frame has 3 bytes at least"),
        bytes @ 3..128 => vec![0x81, u8::try_from(bytes - 2).unwrap()],
        bytes => {
            let length = u16::try_from(bytes - 4).expect("a frame has 65539 bytes at most");
            let [high, low] = length.to_be_bytes();
            vec![0x81, 126, high, low]
        }
    };
    frame.resize(options.bytes, b'x');
    frame.repeat(options.frames)
}

/// Goes round all connections until the time is over; the first part of it does not count.
fn repeat(options: &Options, mut round: impl FnMut() -> u64) -> Writes {
    let warm = Instant::now();
    while warm.elapsed() < WARM_UP {
        round();
    }
    let mut writes = Writes::default();
    let (cpu, start) = (cpu::used(), Instant::now());
    while start.elapsed() < options.time {
        writes.blocked += round();
        writes.deliveries += (options.clients * options.frames) as u64;
    }
    writes.taken = start.elapsed();
    writes.cpu = cpu::used() - cpu;
    writes
}

const WARM_UP: Duration = Duration::from_millis(300);
