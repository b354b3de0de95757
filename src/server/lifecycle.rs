use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::accept::{self, Accepted};
use super::clients::Clients;
use super::connection::{self, Host};
use super::gate::Gate;
use super::interrupts::Interrupts;
use super::pending::{Pending, Room};
use super::proxy::Proxies;
use super::readiness::Readiness;
use super::refusal::{self, Refusal};
use super::{Limits, Parts, ServerError, monitoring, routes};
use crate::auth::{Authenticator, InvalidToken, Throttle};
use crate::hub::{Follower, Hub};
use crate::ingest::{ARRIVALS_CAPACITY, Ingest};
use crate::journal::{Epoch, Journal, Memory};
use crate::metrics::table::{CLIENTS, CLIENTS_LIMIT, DRAINING, HEAD_SEQ, SOURCE_UP};
use crate::metrics::{Doors, Feeds, Passes, Registry};
use crate::session::{self, Departures, TestSignal};
use crate::shard::{self, INBOX_CAPACITY, Stop};
use crate::signal::Seq;
use crate::source::{Arrival, SourceName, Sources, State, States};
use crate::supervisor;

/// A server that runs.
pub(super) struct Server {
    gate: Arc<Gate>,
    departures: Arc<Departures>,
    drain: Duration,
    exit_after: HashSet<SourceName>,
    ended: watch::Receiver<HashSet<SourceName>>,
    sources: States,
    stop_sources: CancellationToken,
    stop_shards: Stop,
    /// Cancelled when a thread ends.
    died: CancellationToken,
    /// The accept loops, the sources, and who follows the key set.
    workers: JoinSet<()>,
    ingest: Option<thread::JoinHandle<()>>,
    shards: Vec<thread::JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        parts: Parts,
        listeners: Vec<TcpListener>,
        monitoring: Vec<TcpListener>,
    ) -> Result<Self, ServerError> {
        let journal = Memory::new();
        let (epoch, head) = (journal.epoch(), journal.head());
        let (hub, followers) = Hub::new(head, parts.tail_bytes, parts.shards);
        let (head, states) = (hub.head(), parts.sources.states());
        let ingest = Ingest::new(journal, hub, parts.dead_letters, parts.max_age)
            .counting(Feeds::new(&parts.metrics, &states));
        let clients = Arc::new(Clients::new(
            parts.limits.connections,
            parts.limits.connections_per_address,
        ));
        let (follower, key_refresh) = parts.jwks.unzip();
        let mut server = Self {
            gate: Arc::new(Gate {
                authenticator: parts.authenticator,
                key_refresh,
                patience: parts.limits.handshake,
                throttle: Throttle::new(parts.failed_tries_per_minute),
                clients: Arc::clone(&clients),
                draining: CancellationToken::new(),
                metrics: doors(&parts.metrics),
            }),
            departures: Arc::new(Departures::over(parts.drain / 2)),
            drain: parts.drain,
            exit_after: parts.exit_after,
            ended: ingest.ended(),
            sources: parts.sources.states(),
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
        let readiness = Readiness {
            log: ingest.log(),
            draining: server.gate.draining.clone(),
            sources: states.clone(),
        };
        measure(&parts.metrics, &server.gate, &parts.limits, head);
        measure_sources(&parts.metrics, states);
        let shards = ShardParts {
            metrics: parts.metrics.clone(),
            readiness: readiness.clone(),
            epoch,
            tls: parts.tls,
            limits: parts.limits,
            proxies: Proxies::new(&parts.trusted_proxies),
            test: parts.test,
        };
        let inboxes = server.start_shards(followers, &shards)?;
        let room = Room::new(shards.limits.open_files);
        let pending = Arc::new(Pending::new(room, clients.count()));
        for listener in listeners {
            server.workers.spawn(accept::accept(
                listener,
                Arc::clone(&pending),
                inboxes.clone(),
                Arc::clone(&server.gate),
            ));
        }
        if let Some(follower) = follower {
            let stop = server.gate.draining.clone();
            let died = server.died.clone().drop_guard();
            server.workers.spawn(async move {
                follower.run(stop).await;
                died.disarm();
            });
        }
        let (metrics, routes) = (
            &parts.metrics,
            routes::monitoring(parts.metrics.clone(), readiness),
        );
        for listener in monitoring {
            info!(address = %listener.local_addr()?, "metrics are served");
            server
                .workers
                .spawn(monitoring::serve(listener, routes.clone()));
            server.workers.spawn(monitoring::tidy(metrics.clone()));
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
            let gate = Arc::clone(&self.gate);
            let routes = routes::routes(Arc::clone(&gate), parts.epoch, parts.readiness.clone());
            let metrics = Passes::new(&parts.metrics, index);
            let (tls, limits, test) = (parts.tls.clone(), parts.limits.clone(), parts.test.clone());
            let (proxies, departures) = (parts.proxies.clone(), Arc::clone(&self.departures));
            let authenticator = self.gate.authenticator.clone();
            let news = authenticator.clone();
            let died = self.died.clone().drop_guard();
            // Made on the shard's thread, for what its sessions share stays there.
            let host = move || {
                let host = Rc::new(Host {
                    gate,
                    routes,
                    tls,
                    handshake_timeout: limits.handshake,
                    handshakes: Rc::new(Semaphore::new(limits.handshakes.get())),
                    proxies,
                    sessions: Rc::new(session_settings(&limits, test, authenticator, departures)),
                });
                move |shard, accepted| {
                    // Lives as long as the thread.
                    let _died = &died;
                    connection::serve(Rc::clone(&host), shard, accepted)
                }
            };
            let stop = self.stop_shards.clone();
            self.shards.push(shard::start(
                index, follower, accepted, news, stop, metrics, host,
            )?);
        }
        Ok(inboxes)
    }

    /// Until there is a reason to stop.
    pub(super) async fn until_end(
        &mut self,
        interrupts: &mut Interrupts,
    ) -> Result<(), ServerError> {
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
        let mut authenticator = self.gate.authenticator.clone();
        // Whoever keeps it up to date does so for as long as the server runs.
        let neglected = async { while authenticator.changed().await.is_ok() {} };
        tokio::select! {
            name = interrupts.next() => info!(signal = name, "stopping"),
            () = fed(&mut self.ended), if !self.exit_after.is_empty() => {
                let failed = |name: &&SourceName| self.sources.get(name) == Some(State::Failed);
                if let Some(name) = self.exit_after.iter().find(failed) {
                    return Err(ServerError::Feed(name.clone()));
                }
                info!("all feeds have ended; stopping");
            }
            () = self.died.cancelled() => return Err(ServerError::Died),
            () = neglected => return Err(ServerError::Died),
        }
        Ok(())
    }

    /// Stops in the order in which signals travel: sources, ingest, shards. What was read is
    /// delivered to every client that takes it, within the time for it.
    pub(super) async fn drain(mut self, interrupts: &mut Interrupts) {
        let deadline = Instant::now() + self.drain;
        self.gate.draining.cancel();
        supervisor::stopping();
        self.stop_sources.cancel();
        let clients = *self.gate.clients.count().borrow();
        info!(clients, "draining");
        self.departures.begin(clients);
        let (ingest, shards) = (self.ingest.take(), std::mem::take(&mut self.shards));
        let delivered = async {
            // Ends when the sources have let go of their channel.
            join(ingest).await;
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
    metrics: Registry,
    readiness: Readiness,
    epoch: Epoch,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    proxies: Proxies,
    test: TestSignal,
}

fn doors(metrics: &Registry) -> Doors {
    let mut failures: Vec<_> = [Refusal::TwoCredentials, Refusal::MissingToken]
        .iter()
        .chain([&Refusal::InsufficientScope])
        .map(Refusal::code)
        .collect();
    failures.extend(InvalidToken::REASONS);
    Doors::new(metrics, refusal::CODES, &failures)
}

/// Has looked at, before each scrape, what changes by itself.
fn measure(
    metrics: &Registry,
    gate: &Arc<Gate>,
    limits: &Limits,
    head: watch::Receiver<Option<Seq>>,
) {
    let most = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    metrics.gauge(&CLIENTS_LIMIT, &[]).set(most);
    let (clients, count) = (metrics.gauge(&CLIENTS, &[]), gate.clients.count());
    let (draining, gate) = (metrics.gauge(&DRAINING, &[]), Arc::clone(gate));
    let newest = metrics.gauge(&HEAD_SEQ, &[]);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    metrics.at_scrape(move || {
        clients.set(*count.borrow() as f64);
        draining.set(f64::from(u8::from(gate.draining.is_cancelled())));
        newest.set(head.borrow().map_or(0, Seq::get) as f64);
    });
}

/// A file that is not there yet is no fault; a pipe that has ended brings nothing more.
fn measure_sources(metrics: &Registry, states: States) {
    let ups: Vec<_> = states
        .iter()
        .map(|(name, _)| metrics.gauge(&SOURCE_UP, &[("source", name.as_str())]))
        .collect();
    metrics.at_scrape(move || {
        for (up, (_, state)) in ups.iter().zip(states.iter()) {
            up.set(match state {
                State::Live | State::Waiting => 1.0,
                State::Ended | State::Failed => 0.0,
            });
        }
    });
}

fn session_settings(
    limits: &Limits,
    test: TestSignal,
    authenticator: watch::Receiver<Arc<Authenticator>>,
    departures: Arc<Departures>,
) -> session::Settings {
    session::Settings {
        message_bytes: limits.message_bytes,
        commands_per_second: limits.commands_per_second,
        ping: limits.ping,
        silence: limits.silence,
        write_timeout: limits.write_timeout,
        authenticator,
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
    arrivals: mpsc::Sender<Arrival>,
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
