//! A shard in this process, with real sessions on real sockets, a hub, and a log behind them.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

pub mod kept;

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use signalcast::auth::{Authenticator, JwtRules, Keys, Principal, Token, TokenBook};
use signalcast::history::History;
use signalcast::hub::{Framing, Hub, View};
use signalcast::journal::{Batch, Epoch, Journal, Recorded};
use signalcast::metrics::{Passes, Registry};
use signalcast::session::{LogRange, Session, Settings, TestSignal, Who};
use signalcast::shard::{self, Client, Outlet, Shard, Stop};
use signalcast::signal::Seq;
use signalcast::source::States;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::sync::{mpsc, watch};

use crate::common::events::Event;
use crate::common::frames::{CLOSE, TEXT, frame};
use crate::common::judge::Desk;
use crate::common::jwt::{claims, token};
use crate::common::{Folder, PATIENCE};

/// What a shard is run with.
pub struct Options {
    pub tail_bytes: usize,
    pub heartbeat: Duration,
    pub write_timeout: Duration,
}

impl Default for Options {
    /// A tail that holds next to nothing, and nobody speaks by itself.
    fn default() -> Self {
        Self {
            tail_bytes: 0,
            heartbeat: PATIENCE * 2,
            write_timeout: PATIENCE * 2,
        }
    }
}

/// The shard, and what brings it signals and clients.
pub struct Rig {
    pub journal: Box<dyn Journal>,
    pub epoch: Epoch,
    /// All that was recorded.
    pub log: Vec<Recorded>,
    pub stop: Stop,
    hub: Hub,
    listener: TcpListener,
    guests: mpsc::Sender<Guest>,
    thread: Option<JoinHandle<()>>,
    keys: Keys,
    principal: Principal,
    authenticator: watch::Sender<Arc<Authenticator>>,
    folder: Folder,
}

struct Guest {
    socket: TcpStream,
    view: View,
    next: Seq,
}

/// Bytes that a socket holds for a client that does not read; the kernel doubles it.
const SMALL_BUFFER: usize = 4 * 1024;

impl Rig {
    pub fn start(journal: Box<dyn Journal>, options: Options) -> Self {
        let folder = Folder::new();
        let key = folder.path("jwt.key");
        fs::write(&key, "k".repeat(32)).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let keys = Keys::load(&[key]).unwrap();
        let admits = authenticator(keys.clone());
        let token = Token::new(token(&claims(), "k".repeat(32)));
        let principal = admits.authenticate(&token, SystemTime::now()).unwrap();
        let (authenticator, news) = watch::channel(Arc::new(admits));

        let (hub, mut followers) = Hub::new(journal.head(), options.tail_bytes, 1);
        let made = Made {
            history: History::of(journal.archive().unwrap()),
            epoch: journal.epoch(),
            authenticator: news.clone(),
            sources: States::new(["stdin".into()]),
            options,
        };
        let stop = Stop::default();
        let (guests, arriving) = mpsc::channel(1);
        let who = principal.clone();
        let host = move || {
            let settings = Rc::new(made.settings());
            move |shard: Rc<Shard>, guest| serve(shard, guest, who.clone(), Rc::clone(&settings))
        };
        let (follower, metrics) = (followers.remove(0), Passes::new(&Registry::default(), 0));
        let end = stop.clone();
        let thread = shard::start(0, follower, arriving, news, end, metrics, host).unwrap();
        Self {
            epoch: journal.epoch(),
            journal,
            log: Vec::new(),
            stop,
            hub,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            guests,
            thread: Some(thread),
            keys,
            principal,
            authenticator,
            folder,
        }
    }

    /// Records and publishes.
    pub fn publish(&mut self, batch: Batch) {
        let recorded = self.record(batch);
        self.announce(&recorded);
    }

    /// Only records: readers of the log see it, nobody else does yet.
    pub fn record(&mut self, mut batch: Batch) -> Vec<Recorded> {
        let recorded = self.journal.append(&mut batch).unwrap().recorded;
        self.log.extend_from_slice(&recorded);
        recorded
    }

    /// Publishes what was recorded.
    pub fn announce(&mut self, recorded: &[Recorded]) {
        self.hub.publish(recorded, Instant::now());
    }

    /// A client that is to be sent what this view shows, from a place on.
    pub fn connect(&self, view: &View, next: Seq) -> Peer {
        let address = self.listener.local_addr().unwrap();
        let stream = connect(address);
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let buffer = SockRef::from(&socket).set_send_buffer_size(SMALL_BUFFER);
        buffer.unwrap();
        let (view, framing) = (view.clone(), view.framing);
        let guest = Guest { socket, view, next };
        assert!(self.guests.blocking_send(guest).is_ok(), "the shard lives");
        Peer {
            stream,
            received: Vec::new(),
            ended: false,
            framing,
        }
    }

    /// Nobody is admitted any more.
    pub fn revoke_everybody(&self) {
        let secret = "another key, which signed nothing".to_owned();
        let path = self.folder.path("other.key");
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let other = authenticator(Keys::load(&[path]).unwrap());
        self.authenticator.send_replace(Arc::new(other));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.abort.cancel();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// What settings are made of, on their way to the shard's thread.
struct Made {
    history: History,
    epoch: Epoch,
    authenticator: watch::Receiver<Arc<Authenticator>>,
    sources: States,
    options: Options,
}

impl Made {
    fn settings(self) -> Settings {
        Settings {
            message_bytes: 1024,
            commands_per_second: NonZeroU32::MAX,
            ping: PATIENCE * 2,
            silence: PATIENCE * 2,
            heartbeat: self.options.heartbeat,
            write_timeout: self.options.write_timeout,
            judge: Box::new(Desk(self.authenticator.clone())),
            authenticator: self.authenticator,
            history: self.history,
            departures: Arc::default(),
            test: TestSignal {
                symbol: "X".parse().unwrap(),
                price: "1.50".parse().unwrap(),
            },
            epoch: self.epoch,
            sources: self.sources,
        }
    }
}

fn authenticator(keys: Keys) -> Authenticator {
    let rules = JwtRules {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
    };
    Authenticator::new(keys, TokenBook::default(), rules)
}

async fn serve(shard: Rc<Shard>, guest: Guest, principal: Principal, settings: Rc<Settings>) {
    // As the server does: what was published before it came may be asked for.
    shard.draws_level().await;
    let socket = tokio::net::TcpStream::from_std(guest.socket).unwrap();
    let address = socket.peer_addr().unwrap().ip();
    let client = Client::new(socket, Outlet::new(None), guest.next);
    let log = LogRange {
        first_seq: settings.history.oldest().map_or(1, Seq::get),
        last_seq: shard.next().get() - 1,
    };
    let tracker = shard.sessions().clone();
    let who = Who { principal, address };
    let mut session = Session::new(shard, client, who, &guest.view, log, settings, b"");
    tracker.track_future(session.run()).await;
}

/// A connection whose buffer is small from the beginning, so that who does not read is soon behind.
fn connect(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client that looks at each frame.
pub struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
    framing: Framing,
}

impl Peer {
    /// Receives so many bytes, or what is there.
    pub fn read_some(&mut self, bytes: usize) {
        self.stream.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; bytes];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = bytes > 0,
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        self.stream.set_nonblocking(false).unwrap();
    }

    /// The next frame: its first byte and what it holds; none at the end of the connection. Events
    /// are told as the frames that they stand for.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let found = match self.framing {
                Framing::WebSocket => header(&self.received).map(|(first, start, end)| {
                    let payload = self.received[start..end].to_vec();
                    (first, payload, end)
                }),
                Framing::Events => Event::first(&self.received).map(|(event, end)| {
                    let (first, payload) = as_frame(&event);
                    (first, payload, end)
                }),
            };
            if let Some((first, payload, end)) = found {
                self.received.drain(..end);
                return Some((first, payload));
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The next text.
    pub fn text(&mut self) -> String {
        let (first, payload) = self.next().expect("the connection goes on");
        assert_eq!(first, TEXT, "{}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).unwrap()
    }

    /// The code of the close frame that comes next.
    pub fn close_code(&mut self) -> u16 {
        let (first, payload) = self.next().expect("a close frame");
        assert_eq!(first, CLOSE, "{}", String::from_utf8_lossy(&payload));
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// Waits until the server resets the connection, reading nothing.
    pub fn expect_reset(&self) {
        let begin = Instant::now();
        loop {
            match self.stream.take_error().unwrap() {
                Some(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                None => assert!(begin.elapsed() < PATIENCE, "never reset"),
            }
            std::thread::yield_now();
        }
    }

    pub fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&frame(first, payload)).unwrap();
    }
}

fn as_frame(event: &Event) -> (u8, Vec<u8>) {
    if event.name != "closed" {
        return (TEXT, event.data.clone().into_bytes());
    }
    let code = event.json()["code"].as_u64().unwrap();
    let code = u16::try_from(code).unwrap().to_be_bytes();
    (CLOSE, code.to_vec())
}

/// Of a whole frame at the beginning: its first byte, and where its payload begins and ends.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, short) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match short {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            (10, usize::try_from(length).unwrap())
        }
        short => (2, usize::from(short)),
    };
    (bytes.len() >= start + length).then_some((first, start, start + length))
}
