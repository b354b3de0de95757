//! A shard that runs as in the server, and clients that take whatever it writes.

use std::cell::{Cell, RefCell};
use std::iter;
use std::net;
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::ServerConnection;
use signalcast::hub::{Hub, View};
use signalcast::journal::{Batch, Journal, Memory, Recorded};
use signalcast::metrics::{Passes, Registry};
use signalcast::shard::{self, Client, INBOX_CAPACITY, Outlet, Shard, Stop};
use signalcast::signal::{Signal, SymbolFilter};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;

use super::clients::{self, Ends};
use super::signals::{LINE, parse};
use super::tls::{Handshakes, RECORD_OVERHEAD};

/// Who is there, and what comes.
#[derive(Clone, Copy)]
pub struct Scene {
    pub clients: usize,
    /// New signals in each pass.
    pub signals: usize,
    pub layer: Layer,
    pub interest: Interest,
}

/// What is between frames and socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    Plain,
    Tls,
}

/// Which signals clients want.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Everything,
    /// Half of them have asked for one symbol of fifty, each for another than the next.
    HalfOneSymbol,
}

/// A shard on its thread, with clients that are caught up.
pub struct Crowd {
    inbox: mpsc::Sender<Visit>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// What comes to the shard as a connection does.
enum Visit {
    Client(Box<Arrival>),
    /// Passes are to be timed: so many, and where to say what they took together.
    Passes(u64, SyncSender<Duration>),
}

/// A client after its upgrade.
struct Arrival {
    socket: net::TcpStream,
    tls: Option<ServerConnection>,
    view: View,
}

/// What is on the shard's thread beside the shard.
struct Stage {
    scene: Scene,
    feed: RefCell<Feed>,
    hub: RefCell<Hub>,
    ends: RefCell<Ends>,
    /// Clients that have joined.
    joined: Cell<usize>,
}

/// Signals of fifty symbols in turn, all of the same size.
struct Feed {
    signals: Box<dyn Iterator<Item = Signal> + Send>,
    journal: Memory,
}

const SYMBOLS: usize = 50;

const TAIL_BYTES: usize = 64 << 20;

const RUNS: &str = "the shard runs for as long as its crowd is there";

/// Longer than it takes the slowest machine to let all clients in.
const PATIENCE: Duration = Duration::from_secs(120);

impl Scene {
    /// How many signals one pass brings to clients. Each symbol is that of equally many clients.
    pub fn deliveries(&self) -> usize {
        self.signals * (self.clients - self.filtered() + self.filtered() / SYMBOLS)
    }

    fn filtered(&self) -> usize {
        match self.interest {
            Interest::Everything => 0,
            Interest::HalfOneSymbol => self.clients / 2,
        }
    }

    fn view(&self, client: usize) -> View {
        if client >= self.filtered() {
            return View::default();
        }
        View {
            symbols: SymbolFilter::matching([symbol(client)]).unwrap(),
            ..View::default()
        }
    }

    /// How many bytes one pass writes when each frame is this long.
    fn bytes(&self, frame: usize) -> usize {
        let frames = self.deliveries() * frame;
        let served = self.filtered() * self.signals.min(SYMBOLS) / SYMBOLS;
        match self.layer {
            Layer::Plain => frames,
            // One record for each client that gets anything.
            Layer::Tls => frames + (self.clients - self.filtered() + served) * RECORD_OVERHEAD,
        }
    }
}

impl Crowd {
    /// The shard, started, and its clients, let in one after the other.
    pub fn of(scene: Scene) -> Self {
        let (hub, mut followers) = Hub::new(None, TAIL_BYTES, 1);
        let (sockets, ends) = clients::connected(scene.clients);
        let stage = Stage {
            scene,
            feed: RefCell::new(Feed::new()),
            hub: RefCell::new(hub),
            ends: RefCell::new(ends),
            joined: Cell::new(0),
        };
        let host = move || {
            let stage = Rc::new(stage);
            move |shard, visit| Rc::clone(&stage).receive(shard, visit)
        };
        let (inbox, visits) = mpsc::channel(INBOX_CAPACITY);
        let (_, watched) = watch::channel(());
        let (stop, metrics) = (Stop::default(), Passes::new(&Registry::on(), 0));
        let (follower, told) = (followers.remove(0), stop.clone());
        let thread = shard::start(0, follower, visits, watched, told, metrics, host).unwrap();
        let handshakes = (scene.layer == Layer::Tls).then(Handshakes::new);
        for (number, socket) in sockets.into_iter().enumerate() {
            let arrival = Arrival {
                socket,
                tls: handshakes.as_ref().map(Handshakes::connection),
                view: scene.view(number),
            };
            let visit = Visit::Client(Box::new(arrival));
            inbox.blocking_send(visit).expect(RUNS);
        }
        Self {
            inbox,
            stop,
            thread: Some(thread),
        }
    }

    /// How long it takes altogether from publishing to the end of the pass, so many times.
    pub fn passes(&self, passes: u64) -> Duration {
        let (done, took) = sync_channel(1);
        let visit = Visit::Passes(passes, done);
        self.inbox.blocking_send(visit).expect(RUNS);
        took.recv().expect("each client has got what it should")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.abort.cancel();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Stage {
    async fn receive(self: Rc<Self>, shard: Rc<Shard>, visit: Visit) {
        match visit {
            Visit::Client(arrival) => self.seat(&shard, *arrival).await,
            Visit::Passes(passes, done) => done.send(self.passes(&shard, passes).await).unwrap(),
        }
    }

    /// What a session does for its client until the first time it has to look after it.
    async fn seat(&self, shard: &Shard, arrival: Arrival) {
        let socket = TcpStream::from_std(arrival.socket).unwrap();
        socket.writable().await.unwrap();
        let client = Rc::new(Client::new(socket, Outlet::new(arrival.tls), shard.next()));
        // Held for as long as the client is there, as its session does.
        let group = shard.groups().of(&arrival.view);
        group.join(&client);
        self.joined.set(self.joined.get() + 1);
        client.handed_over().await;
        panic!("a client did not take all: {:?}", client.take_fault());
    }

    async fn passes(&self, shard: &Shard, passes: u64) -> Duration {
        let began = Instant::now();
        while self.joined.get() < self.scene.clients {
            assert!(began.elapsed() < PATIENCE, "clients were not let in");
            yield_now().await;
        }
        let mut took = Duration::ZERO;
        for _ in 0..passes {
            self.tidy().await;
            let recorded = self.feed.borrow_mut().next(self.scene.signals);
            let start = Instant::now();
            self.hub.borrow_mut().publish(&recorded, start);
            shard.draws_level().await;
            took += start.elapsed();
            let written = self.ends.borrow_mut().drain();
            assert_eq!(written, self.scene.bytes(frame_bytes()), "bytes of a pass");
        }
        took
    }

    /// Lets the runtime see what the draining of sockets has told it, which is not a pass's
    /// business: it takes in a thousand events at once.
    async fn tidy(&self) {
        for _ in 0..=self.scene.clients / 256 {
            yield_now().await;
        }
    }
}

impl Feed {
    fn new() -> Self {
        let signals: Vec<Signal> = (0..SYMBOLS).map(signal).collect();
        Self {
            signals: Box::new(iter::repeat(signals).flatten()),
            journal: Memory::new(),
        }
    }

    fn next(&mut self, signals: usize) -> Vec<Recorded> {
        let mut batch = Batch::of(self.signals.by_ref().take(signals));
        self.journal.append(&mut batch).unwrap().recorded
    }
}

fn symbol(number: usize) -> String {
    format!("COIN-{:02}", number % SYMBOLS)
}

fn signal(number: usize) -> Signal {
    parse(&LINE.replace("BTCUSDT", &symbol(number)))
}

/// Behind two bytes of header, the line as it is.
fn frame_bytes() -> usize {
    2 + LINE.len()
}
