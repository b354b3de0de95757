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
pub struct Setup {
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
    HalfFiltered,
}

/// A shard on its thread, with clients that are caught up.
pub struct Crowd {
    inbox: mpsc::Sender<Request>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// What the shard is handed, as it is handed connections.
enum Request {
    Join(Box<Connection>),
    /// Passes are to be timed: so many, and where to say what they took together.
    Passes(u64, SyncSender<Duration>),
}

/// A client after its upgrade.
struct Connection {
    socket: net::TcpStream,
    tls: Option<ServerConnection>,
    view: View,
}

/// What is on the shard's thread beside the shard.
struct Host {
    setup: Setup,
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

impl Setup {
    /// How many signals one pass brings to clients. Each symbol is that of equally many clients.
    pub fn deliveries(&self) -> usize {
        self.signals * (self.clients - self.filtered() + self.filtered() / SYMBOLS)
    }

    /// How many clients one pass brings anything to.
    fn served(&self) -> usize {
        let filtered = self.filtered();
        self.clients - filtered + filtered * self.signals.min(SYMBOLS) / SYMBOLS
    }

    fn filtered(&self) -> usize {
        match self.interest {
            Interest::Everything => 0,
            Interest::HalfFiltered => self.clients / 2,
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
        match self.layer {
            Layer::Plain => frames,
            // One record for each client.
            Layer::Tls => frames + self.served() * RECORD_OVERHEAD,
        }
    }
}

impl Crowd {
    /// The shard, started, and its clients, let in one after the other.
    pub fn of(setup: Setup) -> Self {
        let (hub, mut followers) = Hub::new(None, TAIL_BYTES, 1);
        let (sockets, ends) = clients::connected(setup.clients);
        let host = Host {
            setup,
            feed: RefCell::new(Feed::new()),
            hub: RefCell::new(hub),
            ends: RefCell::new(ends),
            joined: Cell::new(0),
        };
        let hosted = move || {
            let host = Rc::new(host);
            move |shard, request| Rc::clone(&host).receive(shard, request)
        };
        let (inbox, requests) = mpsc::channel(INBOX_CAPACITY);
        let (_, watched) = watch::channel(());
        let (stop, metrics) = (Stop::default(), Passes::new(&Registry::on(), 0));
        let (follower, told) = (followers.remove(0), stop.clone());
        let thread = shard::start(0, follower, requests, watched, told, metrics, hosted).unwrap();
        let handshakes = (setup.layer == Layer::Tls).then(Handshakes::new);
        for (number, socket) in sockets.into_iter().enumerate() {
            let connection = Connection {
                socket,
                tls: handshakes.as_ref().map(Handshakes::connection),
                view: setup.view(number),
            };
            let request = Request::Join(Box::new(connection));
            inbox.blocking_send(request).expect(RUNS);
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
        let request = Request::Passes(passes, done);
        self.inbox.blocking_send(request).expect(RUNS);
        took.recv().expect("each client has got what it should")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.abort.cancel();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Host {
    async fn receive(self: Rc<Self>, shard: Rc<Shard>, request: Request) {
        match request {
            Request::Join(connection) => self.join(&shard, *connection).await,
            Request::Passes(passes, done) => done.send(self.passes(&shard, passes).await).unwrap(),
        }
    }

    /// What a session does for its client until the first time it has to look after it.
    async fn join(&self, shard: &Shard, connection: Connection) {
        let socket = TcpStream::from_std(connection.socket).unwrap();
        socket.writable().await.unwrap();
        let outlet = Outlet::new(connection.tls);
        let client = Rc::new(Client::new(socket, outlet, shard.next()));
        // Held for as long as the client is there, as its session does.
        let group = shard.groups().of(&connection.view);
        group.join(&client);
        self.joined.set(self.joined.get() + 1);
        client.woken().await;
        panic!("a client did not take all: {:?}", client.take_fault());
    }

    async fn passes(&self, shard: &Shard, passes: u64) -> Duration {
        let began = Instant::now();
        while self.joined.get() < self.setup.clients {
            assert!(began.elapsed() < PATIENCE, "clients were not let in");
            yield_now().await;
        }
        let mut took = Duration::ZERO;
        for _ in 0..passes {
            self.settle_runtime().await;
            let recorded = self.feed.borrow_mut().next(self.setup.signals);
            let start = Instant::now();
            self.hub.borrow_mut().publish(&recorded, start);
            shard.draws_level().await;
            took += start.elapsed();
            let written = self.ends.borrow_mut().drain();
            assert_eq!(written, self.setup.bytes(frame_bytes()), "bytes of a pass");
        }
        took
    }

    /// Lets the runtime see what the draining of sockets has told it, which is not a pass's
    /// business: it takes in a thousand events at once.
    async fn settle_runtime(&self) {
        for _ in 0..=self.setup.clients / 256 {
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
