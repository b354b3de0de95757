use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::client::{localhost, upgrade_request};
use super::figures::quantile;
use super::frames::{Frames, PONG, Protocol};
use super::server::Door;

/// What each client of a crowd asks for.
#[derive(Clone)]
pub struct Wish {
    pub path: String,
    pub protocol: Protocol,
    /// The first signal that it must get.
    pub first: Option<u64>,
    /// Having this one, it has caught up.
    pub target: u64,
}

/// When each signal of a paced feed was written, as far as it was.
#[derive(Clone)]
pub struct Sent {
    start: Instant,
    first: u64,
    nanos: Arc<[AtomicU64]>,
}

/// Many clients on one thread. They stay until the server closes, and check each signal.
pub struct Crowd {
    caught_up: Arc<AtomicUsize>,
    connected: Arc<AtomicUsize>,
    running: JoinHandle<Outcome>,
}

/// What the clients of a crowd got.
pub struct Outcome {
    /// Signals, by client.
    pub signals: Vec<u64>,
    /// The number of the last one, by client.
    pub last: Vec<u64>,
    /// Tries that the server refused for want of room.
    pub refused: usize,
    /// Of each signal and client: the number, and the seconds from writing to reading it.
    pub latencies: Vec<(u64, f32)>,
}

/// What the clients on one thread share.
struct Shared {
    door: Door,
    wish: Wish,
    sent: Option<Sent>,
    caught_up: Arc<AtomicUsize>,
    connected: Arc<AtomicUsize>,
}

struct One {
    signals: u64,
    last: u64,
    refused: usize,
    latencies: Vec<(u64, f32)>,
}

impl Sent {
    /// For signals of these numbers.
    pub fn of(numbers: &Range<u64>) -> Self {
        Self {
            start: Instant::now(),
            first: numbers.start,
            nanos: numbers.clone().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// It is being written now.
    pub fn now(&self, number: u64) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap();
        self.nanos[self.index(number)].store(nanos, Ordering::Release);
    }

    /// How long ago it was written.
    pub fn ago(&self, number: u64, now: Instant) -> Duration {
        let nanos = self.nanos[self.index(number)].load(Ordering::Acquire);
        now.duration_since(self.start)
            .saturating_sub(Duration::from_nanos(nanos))
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number - self.first).unwrap()
    }
}

impl Crowd {
    /// So many clients, all at once. With `sent`, latencies are noted.
    pub fn start(door: &Door, count: usize, wish: Wish, sent: Option<Sent>) -> Self {
        let (caught_up, connected) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let shared = Shared {
            door: door.clone(),
            wish,
            sent,
            caught_up: Arc::clone(&caught_up),
            connected: Arc::clone(&connected),
        };
        let running = thread::spawn(move || run(&Arc::new(shared), count));
        Self {
            caught_up,
            connected,
            running,
        }
    }

    /// How many were let in.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Acquire)
    }

    /// How many have their target.
    pub fn caught_up(&self) -> usize {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Whether one of them has failed, so that waiting is in vain.
    pub fn has_ended(&self) -> bool {
        self.running.is_finished()
    }

    /// What they got, when the server has closed all.
    pub fn end(self) -> Outcome {
        self.running.join().unwrap()
    }
}

/// Median, 99th percentile and largest of latencies in milliseconds.
pub fn milliseconds(latencies: impl Iterator<Item = f32>) -> [f64; 3] {
    let mut all: Vec<f64> = latencies.map(|seconds| f64::from(seconds) * 1e3).collect();
    [0.5, 0.99, 1.0].map(|share| quantile(&mut all, share))
}

fn run(shared: &Arc<Shared>, count: usize) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..count {
            clients.spawn(client(Arc::clone(shared)));
        }
        let mut outcome = Outcome {
            signals: Vec::new(),
            last: Vec::new(),
            refused: 0,
            latencies: Vec::new(),
        };
        while let Some(one) = clients.join_next().await {
            let one = one.unwrap();
            outcome.signals.push(one.signals);
            outcome.last.push(one.last);
            outcome.refused += one.refused;
            outcome.latencies.extend(one.latencies);
        }
        outcome
    })
}

async fn client(shared: Arc<Shared>) -> One {
    let mut refused = 0;
    loop {
        let stream = TcpStream::connect(shared.door.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let followed = match &shared.door.tls {
            None => follow(stream, &shared).await,
            Some(config) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(localhost(), stream).await.unwrap();
                Box::pin(follow(stream, &shared)).await
            }
        };
        match followed {
            Some(one) => return One { refused, ..one },
            None => refused += 1,
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Between two tries of a client that was refused.
const RETRY: Duration = Duration::from_millis(100);

/// Bytes for one read of each client.
const ROOM: usize = 32 * 1024;

/// Follows until the server closes; `None` if it had no room.
async fn follow(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Option<One> {
    let wish = &shared.wish;
    let mut frames = Frames::new(wish.protocol, ROOM);
    let request = upgrade_request(&shared.door, &wish.path, wish.protocol);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    loop {
        let count = stream.read(frames.space()).await.unwrap();
        assert!(count > 0, "the connection ended before the answer");
        let Some(head) = frames.head(count) else {
            continue;
        };
        if head.starts_with("HTTP/1.1 503 ") {
            return None;
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        break;
    }
    shared.connected.fetch_add(1, Ordering::AcqRel);
    if let Some(first) = wish.first {
        frames.expect_first(first);
    }
    let (mut count, mut behind, mut latencies) = (0, true, Vec::new());
    while frames.closed().is_none() {
        let now = Instant::now();
        frames.read(count, |number| {
            if let Some(sent) = &shared.sent {
                latencies.push((number, sent.ago(number, now).as_secs_f32()));
            }
        });
        if behind && frames.last() >= Some(wish.target) {
            behind = false;
            shared.caught_up.fetch_add(1, Ordering::AcqRel);
        }
        for _ in 0..frames.take_pings() {
            stream.write_all(&PONG).await.unwrap();
            stream.flush().await.unwrap();
        }
        count = stream.read(frames.space()).await.unwrap();
        if count == 0 {
            break;
        }
    }
    assert_eq!(frames.closed(), Some(1001), "after {:?}", frames.last());
    Some(One {
        signals: frames.signals(),
        last: frames.last().unwrap_or(0),
        refused: 0,
        latencies,
    })
}
