//! What is written on one connection, when the socket takes it in odd pieces.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use signalcast::hub::{Segment, View, frame};
use signalcast::journal::{Batch, Journal, Memory};
use signalcast::shard::{Offered, Outlet, Run, Socket};
use signalcast::signal::{Seq, Signal, SymbolFilter, TimeUnit, Timestamp};
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Takes as many bytes at each write as its script says; 0 stands for a full socket.
struct Trickle {
    script: RefCell<std::vec::IntoIter<usize>>,
    /// When the script is over.
    open: Cell<bool>,
    written: RefCell<Vec<u8>>,
}

impl Socket for Trickle {
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let room = match self.script.borrow_mut().next() {
            Some(room) => room,
            None if self.open.get() => usize::MAX,
            None => 0,
        };
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = room.min(bytes.len());
        self.written.borrow_mut().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
}

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Event {
    /// So many signals are published, the longest of them with this many bytes of extras.
    Signals { count: usize, extra: usize },
    /// The peer pings.
    Ping(Vec<u8>),
    /// The socket is tried again.
    Writable,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..8_usize, 0..300_usize).prop_map(|(count, extra)| Event::Signals { count, extra }),
        1 => (1..3_usize, 20_000..40_000_usize).prop_map(|(count, extra)| Event::Signals { count, extra }),
        3 => prop::collection::vec(any::<u8>(), 0..126).prop_map(Event::Ping),
        3 => Just(Event::Writable),
    ]
}

/// Mostly a few bytes at a time, so that nearly every write ends inside a frame.
fn script() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(
        prop_oneof![2 => Just(0), 4 => 1..40_usize, 1 => 1_000..30_000_usize],
        0..300,
    )
}

/// Plays the events; returns what the peer is to get and what was written.
fn play(outlet: &mut Outlet, socket: &Trickle, events: &[Event]) -> (Vec<String>, Vec<Vec<u8>>) {
    let now = Timestamp::new(1_720_000_000).unwrap();
    let (mut journal, mut segments) = (Memory::new(), Vec::<Segment>::new());
    let (mut signals, mut pongs) = (Vec::new(), Vec::new());
    let mut cursor = Seq::FIRST;
    let mut run = Run::default();
    let mut write = |outlet: &mut Outlet, segments: &[Segment], cursor: &mut Seq| {
        if !outlet.flush(socket).unwrap() {
            return false;
        }
        while let Some(segment) = segments.iter().find(|segment| segment.last() >= *cursor) {
            run.begin(*cursor);
            run.take(segment, &View::default(), now);
            match outlet.offer(socket, &run).unwrap() {
                Offered::Taken => *cursor = run.next(),
                Offered::Blocked(next) => {
                    *cursor = next;
                    return false;
                }
            }
        }
        true
    };
    for event in events {
        match event {
            Event::Signals { count, extra } => {
                let note = "x".repeat(*extra);
                let batch: Vec<Signal> = (0..*count)
                    .map(|index| {
                        let line = format!(
                            r#"{{"side":"buy","symbol":"S{index}","price":1.50,"note":"{note}"}}"#
                        );
                        Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now)
                            .unwrap()
                            .unwrap()
                    })
                    .collect();
                for signal in &batch {
                    let mut text = Vec::new();
                    signal.write_v1(&mut text);
                    signals.push(String::from_utf8(text).unwrap());
                }
                segments.push(Segment::of(
                    &journal.append(&mut Batch::of(batch)).unwrap().recorded,
                    Instant::now(),
                ));
            }
            Event::Ping(payload) => {
                let mut pong = vec![0x8a, u8::try_from(payload.len()).unwrap()];
                pong.extend_from_slice(payload);
                outlet.control().extend_from_slice(&pong);
                pongs.push(payload.clone());
            }
            Event::Writable => {}
        }
        write(outlet, &segments, &mut cursor);
    }
    socket.open.set(true);
    let tries = socket.script.borrow().len() + 2;
    for _ in 0..tries {
        if write(outlet, &segments, &mut cursor) {
            return (signals, pongs);
        }
    }
    panic!("a socket that takes everything is sent everything");
}

/// Reads the frames as a client does: texts and pongs, each in order.
fn read(bytes: Vec<u8>) -> (Vec<String>, Vec<Vec<u8>>) {
    let end = bytes.len() as u64;
    let mut frames = FrameSocket::new(Cursor::new(bytes));
    let (mut texts, mut pongs) = (Vec::new(), Vec::new());
    while let Some(frame) = frames.read(None).unwrap() {
        match frame.header().opcode {
            OpCode::Data(Data::Text) => {
                assert!(frame.header().is_final);
                texts.push(String::from_utf8(frame.into_payload().to_vec()).unwrap());
            }
            OpCode::Control(Control::Pong) => pongs.push(frame.into_payload().to_vec()),
            other => panic!("{other:?} was never sent"),
        }
    }
    assert_eq!(frames.get_ref().position(), end);
    (texts, pongs)
}

fn socket(script: Vec<usize>) -> Trickle {
    Trickle {
        script: RefCell::new(script.into_iter()),
        open: Cell::new(false),
        written: RefCell::default(),
    }
}

proptest! {
    #[test]
    fn a_pong_lands_between_frames_and_nothing_is_lost_or_repeated(
        script in script(),
        events in prop::collection::vec(event(), 1..25),
    ) {
        let socket = socket(script);
        let expected = play(&mut Outlet::new(None), &socket, &events);
        prop_assert_eq!(read(socket.written.take()), expected);
    }

    #[test]
    fn the_same_holds_under_tls(
        script in script(),
        events in prop::collection::vec(event(), 1..15),
    ) {
        let (server, mut client) = handshaken();
        let socket = socket(script);
        let expected = play(&mut Outlet::new(Some(server)), &socket, &events);
        prop_assert_eq!(read(decrypt(&mut client, &socket.written.take())), expected);
    }
}

#[test]
fn a_stalled_client_keeps_at_most_one_frame() {
    let socket = socket(vec![50]);
    let mut outlet = Outlet::new(None);
    let mut frames = Vec::new();
    let batch: Vec<Signal> = (0..1000)
        .map(|_| {
            let now = Timestamp::new(1).unwrap();
            let signal = Signal::parse_line(b"buy X 1", TimeUnit::Seconds, now)
                .unwrap()
                .unwrap();
            frame::write_text(&mut frames, |out| signal.write_v1(out));
            signal
        })
        .collect();
    let segment = Segment::of(
        &Memory::new()
            .append(&mut Batch::of(batch))
            .unwrap()
            .recorded,
        Instant::now(),
    );
    assert_eq!(segment.bytes(), frames);
    let mut run = Run::default();
    run.begin(Seq::FIRST);
    run.take(&segment, &View::default(), Timestamp::new(1).unwrap());
    assert_eq!(
        outlet.offer(&socket, &run).unwrap(),
        Offered::Blocked(Seq::FIRST.next())
    );

    // One frame is finished, the place is behind it: the segment is not needed for that.
    drop((run, segment));
    socket.open.set(true);
    assert!(outlet.flush(&socket).unwrap());
    assert_eq!(socket.written.take(), frames[..frames.len() / 1000]);
}

#[test]
fn a_run_may_be_cut_anywhere_and_goes_on_from_there() {
    let now = Timestamp::new(1).unwrap();
    let lines: [&[u8]; 4] = [b"buy A 1", b"buy B 2", b"buy C 3", b"buy A 4"];
    let batch: Vec<Signal> = lines
        .iter()
        .map(|line| {
            let signal = Signal::parse_line(line, TimeUnit::Seconds, now);
            signal.unwrap().unwrap()
        })
        .collect();
    let segment = Segment::of(
        &Memory::new()
            .append(&mut Batch::of(batch))
            .unwrap()
            .recorded,
        Instant::now(),
    );
    for patterns in [&["*"][..], &["A", "C"], &["B"]] {
        let filter = SymbolFilter::matching(patterns.iter().copied()).unwrap();
        let run = |from| {
            let mut run = Run::default();
            run.begin(from);
            if from <= segment.last() {
                run.take(&segment, &View::of(&filter), now);
            }
            run
        };
        let whole = run(Seq::FIRST);
        for written in 0..=whole.bytes().len() {
            let cut = whole.cut(written);
            let rest = [cut.rest, run(cut.next).bytes()].concat();
            assert_eq!(rest, whole.bytes()[written..], "cut at {written}");
        }
    }
}

/// The two ends of a TLS connection, after their handshake.
fn handshaken() -> (ServerConnection, ClientConnection) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| server.read_tls(bytes));
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| client.read_tls(bytes));
        client.process_new_packets().unwrap();
    }
    (server, client)
}

fn feed(mut wire: &[u8], mut take: impl FnMut(&mut &[u8]) -> io::Result<usize>) {
    while !wire.is_empty() {
        take(&mut wire).unwrap();
    }
}

fn decrypt(client: &mut ClientConnection, mut wire: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).unwrap();
        client.process_new_packets().unwrap();
        match client.reader().read_to_end(&mut plain) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    plain
}
