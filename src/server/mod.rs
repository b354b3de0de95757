//! The doors: accept loop, TLS, upgrade, HTTP, and the server's life from start to drain.
//!
//! Decides which shard a connection goes to, not who may do what: that is `auth`.

mod accept;
mod clients;
mod connection;
mod gate;
mod refusal;
mod routes;
mod upgrade;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::auth::{Authenticator, Throttle};
use crate::dead_letters::DeadLetters;
use crate::hub::{Follower, Hub};
use crate::ingest::{ARRIVALS_CAPACITY, Ingest};
use crate::journal::{Epoch, Journal, Memory};
use crate::session::{self, Departures, TestSignal};
use crate::shard::{self, Accepted, INBOX_CAPACITY, Stop};
use crate::source::{SourceName, Sources};

use clients::Clients;
use connection::Host;
use gate::Gate;

/// Everything a server is made of, checked.
#[derive(Debug)]
pub struct Parts {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// How it encrypts; `None`: plaintext.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who gets in.
    pub authenticator: Authenticator,
    /// Refused tokens per address and minute; 0: no limit.
    pub failed_tries_per_minute: u32,
    /// Where signals come from, opened when enough clients are there.
    pub sources: Sources,
    /// Sources that end by themselves; when all have, the server does too. Empty: it goes on.
    pub exit_after: HashSet<SourceName>,
    /// Clients that must be subscribed before the sources are opened.
    pub wait_clients: usize,
    /// Where unreadable lines go.
    pub dead_letters: DeadLetters,
    /// Signals that do not say how long they are valid are stale after this.
    pub max_age: Option<Duration>,
    /// Size of the hot tail.
    pub tail_bytes: usize,
    /// Threads that serve clients.
    pub shards: usize,
    /// Longest time from the stop signal to the end.
    pub drain: Duration,
    /// What clients are allowed.
    pub limits: Limits,
    /// The answer to `test`.
    pub test: TestSignal,
}

/// What clients are allowed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Clients at once.
    pub connections: usize,
    /// Clients at once from one IPv4 address or IPv6 /64.
    pub connections_per_address: Option<NonZeroU32>,
    /// Longest time from accept to the end of the request's headers.
    pub handshake: Duration,
    /// TLS handshakes at once, per shard.
    pub handshakes: usize,
    /// Longest message of a client, in bytes.
    pub message_bytes: usize,
    /// Text messages of a client a second.
    pub commands_per_second: NonZeroU32,
    /// Time between two pings.
    pub ping: Duration,
    /// A client that sends nothing for this long is let go.
    pub silence: Duration,
    /// A client that takes nothing for this long is let go.
    pub write_timeout: Duration,
}

/// The server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        why: io::Error,
    },
    /// No thread, no runtime, no signal handler.
    #[error("the system refuses what the server needs to start")]
    Start(#[from] io::Error),
    /// A thread ended that should not.
    #[error("a part of the server ended by itself; this is a bug in signalcast, please report it")]
    Died,
}

/// Runs a server until it is told to stop (SIGTERM, Ctrl-C) or its feeds have ended. `ready` is
/// told the addresses once connections are accepted.
///
/// # Errors
/// It cannot start, or a part of it failed.
pub fn run(parts: Parts, ready: impl FnOnce(&[SocketAddr])) -> Result<(), ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let listeners = bind(&parts.listen)?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let mut interrupts = Interrupts::new()?;
        let mut server = Server::start(parts, listeners)?;
        ready(&addresses);
        let outcome = server.until_end(&mut interrupts).await;
        server.drain(&mut interrupts).await;
        outcome
    });
    // A source may hang in a read that nobody can end (a dead mount); it must not hold us up.
    runtime.shutdown_background();
    outcome
}

/// A server that runs.
struct Server {
    gate: Arc<Gate>,
    departures: Arc<Departures>,
    drain: Duration,
    exit_after: HashSet<SourceName>,
    ended: watch::Receiver<HashSet<SourceName>>,
    stop_sources: CancellationToken,
    stop_shards: Stop,
    /// Cancelled when a thread ends.
    died: CancellationToken,
    /// The accept loops and the sources.
    workers: JoinSet<()>,
    ingest: Option<thread::JoinHandle<()>>,
    shards: Vec<thread::JoinHandle<()>>,
}

impl Server {
    fn start(parts: Parts, listeners: Vec<TcpListener>) -> Result<Self, ServerError> {
        let journal = Memory::new();
        let (epoch, head) = (journal.epoch(), journal.head());
        let (hub, followers) = Hub::new(head, parts.tail_bytes, parts.shards);
        let ingest = Ingest::new(journal, hub, parts.dead_letters, parts.max_age);
        let clients = Arc::new(Clients::new(
            parts.limits.connections,
            parts.limits.connections_per_address,
        ));
        let mut server = Self {
            gate: Arc::new(Gate {
                authenticator: parts.authenticator,
                throttle: Throttle::new(parts.failed_tries_per_minute),
                clients: Arc::clone(&clients),
                draining: CancellationToken::new(),
            }),
            departures: Arc::new(Departures::over(parts.drain / 2)),
            drain: parts.drain,
            exit_after: parts.exit_after,
            ended: ingest.ended(),
            stop_sources: CancellationToken::new(),
            stop_shards: Stop {
                drain: CancellationToken::new(),
                abort: CancellationToken::new(),
            },
            died: CancellationToken::new(),
            workers: JoinSet::new(),
            ingest: None,
            shards: Vec::new(),
        };
        let shards = ShardParts {
            epoch,
            tls: parts.tls,
            limits: parts.limits,
            test: parts.test,
        };
        let inboxes = server.start_shards(followers, &shards)?;
        for listener in listeners {
            server
                .workers
                .spawn(accept::accept(listener, inboxes.clone()));
        }
        let (arrivals, arriving) = mpsc::channel(ARRIVALS_CAPACITY);
        let died = server.died.clone().drop_guard();
        server.ingest = Some(thread::Builder::new().name("ingest".to_owned()).spawn(
            move || {
                let _died = died;
                ingest.run(arriving);
            },
        )?);
        server.workers.spawn(feed(
            parts.sources,
            parts.wait_clients,
            clients.count(),
            arrivals,
            server.stop_sources.clone(),
        ));
        Ok(server)
    }

    fn start_shards(
        &mut self,
        followers: Vec<Follower>,
        parts: &ShardParts,
    ) -> Result<Vec<mpsc::Sender<Accepted>>, ServerError> {
        let mut inboxes = Vec::new();
        for (index, follower) in followers.into_iter().enumerate() {
            let (inbox, accepted) = mpsc::channel(INBOX_CAPACITY);
            inboxes.push(inbox);
            let routes = routes::routes(Arc::clone(&self.gate), parts.epoch);
            let (tls, limits, test) = (parts.tls.clone(), parts.limits.clone(), parts.test.clone());
            let departures = Arc::clone(&self.departures);
            let died = self.died.clone().drop_guard();
            // Made on the shard's thread, for what its sessions share stays there.
            let host = move || {
                let host = Host {
                    routes,
                    tls,
                    handshake_timeout: limits.handshake,
                    handshakes: Rc::new(Semaphore::new(limits.handshakes)),
                    sessions: Rc::new(session_settings(&limits, test, departures)),
                };
                move |shard, accepted| {
                    // Lives as long as the thread.
                    let _died = &died;
                    connection::serve(host.clone(), shard, accepted)
                }
            };
            let stop = self.stop_shards.clone();
            self.shards
                .push(shard::start(index, follower, accepted, stop, host)?);
        }
        Ok(inboxes)
    }

    /// Until there is a reason to stop.
    async fn until_end(&mut self, interrupts: &mut Interrupts) -> Result<(), ServerError> {
        let finite = &self.exit_after;
        let fed = async |ended: &mut watch::Receiver<HashSet<SourceName>>| {
            // The sender lives in the ingest thread, whose end is seen by itself.
            if ended
                .wait_for(|ended| finite.is_subset(ended))
                .await
                .is_err()
            {
                std::future::pending().await
            }
        };
        tokio::select! {
            name = interrupts.next() => info!(signal = name, "stopping"),
            () = fed(&mut self.ended), if !self.exit_after.is_empty() => info!("all feeds have ended; stopping"),
            () = self.died.cancelled() => return Err(ServerError::Died),
        }
        Ok(())
    }

    /// Stops in the order in which signals travel: sources, ingest, shards. What was read is
    /// delivered to every client that takes it, within the time for it.
    async fn drain(mut self, interrupts: &mut Interrupts) {
        let deadline = Instant::now() + self.drain;
        self.gate.draining.cancel();
        self.stop_sources.cancel();
        let clients = *self.gate.clients.count().borrow();
        info!(clients, "draining");
        let (ingest, shards) = (self.ingest.take(), std::mem::take(&mut self.shards));
        let delivered = async {
            // Ends when the sources have let go of their channel.
            join(ingest).await;
            self.departures.begin(clients);
            self.stop_shards.drain.cancel();
            join(shards).await;
        };
        let in_time = tokio::select! {
            delivered = timeout_at(deadline, delivered) => delivered.is_ok(),
            _ = interrupts.next() => false,
        };
        if in_time {
            info!("drained in time");
        } else {
            let left = *self.gate.clients.count().borrow();
            warn!(
                clients = left,
                "the time to drain is over; clients were cut off"
            );
            self.stop_shards.abort.cancel();
        }
    }
}

/// What every shard is made with.
struct ShardParts {
    epoch: Epoch,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    test: TestSignal,
}

fn session_settings(
    limits: &Limits,
    test: TestSignal,
    departures: Arc<Departures>,
) -> session::Settings {
    session::Settings {
        message_bytes: limits.message_bytes,
        commands_per_second: limits.commands_per_second,
        ping: limits.ping,
        silence: limits.silence,
        write_timeout: limits.write_timeout,
        departures,
        test,
    }
}

/// Opens the sources once enough clients are subscribed, and keeps the ingest thread until it is
/// told to stop: a server whose feeds have all ended goes on serving.
async fn feed(
    sources: Sources,
    wait_clients: usize,
    mut clients: watch::Receiver<usize>,
    arrivals: mpsc::Sender<crate::source::Arrival>,
    stop: CancellationToken,
) {
    if wait_clients > 0 {
        info!(clients = wait_clients, "sources wait for clients");
        tokio::select! {
            _ = clients.wait_for(|count| *count >= wait_clients) => {}
            () = stop.cancelled() => return,
        }
    }
    // Ingest lives as long as this sender, also when every source has ended.
    sources.run(arrivals.clone(), stop.clone()).await;
    stop.cancelled().await;
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServerError> {
    let listen = |&address| listener(address).map_err(|why| ServerError::Bind { address, why });
    addresses.iter().map(listen).collect()
}

/// Connections that the kernel holds until they are accepted; it allows what
/// `net.core.somaxconn` says.
const BACKLOG: i32 = 4096;

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait until the old connections are forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Waits for threads without blocking the runtime. A panic was reported where it happened.
async fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    let waiting: Vec<JoinHandle<_>> = threads
        .into_iter()
        .map(|thread| spawn_blocking(|| thread.join().is_ok()))
        .collect();
    for thread in waiting {
        thread.await.ok();
    }
}

/// What an operator tells the process.
struct Interrupts {
    terminate: UnixSignal,
    interrupt: UnixSignal,
}

impl Interrupts {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
