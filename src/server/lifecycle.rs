use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::accept::{self, Errand};
use super::fetches::Fetches;
use super::gate::Gate;
use super::intake::Intake;
use super::interrupts::Interrupts;
use super::pending::{Pending, Room};
use super::proxy::Proxies;
use super::readiness::Readiness;
use super::shards::{self, ShardParts};
use super::{Parts, ServerError, cors, gauges, monitoring, routes};
use crate::disk::Disk;
use crate::halt::Switch;
use crate::history::History;
use crate::hub::{Follower, Hub};
use crate::ingest::{
    DELIVERIES_CAPACITY, Delivery, Finished, Ingest, LogState, Publisher, Recorder, Unrecorded,
};
use crate::journal::{Batch, Journal, JournalError};
use crate::jwks;
use crate::metrics::{Commits, Feeds, Reads, Registry};
use crate::session::Departures;
use crate::shard::Stop;
use crate::source::{SourceName, Sources, State, States};

/// A server that runs.
pub(super) struct Server {
    pub(super) gate: Arc<Gate>,
    pub(super) departures: Arc<Departures>,
    pub(super) drain: Duration,
    exit_after: HashSet<SourceName>,
    ended: watch::Receiver<HashSet<SourceName>>,
    sources: States,
    pub(super) log: watch::Receiver<LogState>,
    pub(super) unrecorded: Unrecorded,
    pub(super) stop_sources: CancellationToken,
    pub(super) stop_shards: Stop,
    /// Cancelled when a thread ends.
    died: CancellationToken,
    /// The accept loops, the sources, and who follows the key set.
    workers: JoinSet<()>,
    /// Ingest and the recorder.
    pub(super) recording: Vec<thread::JoinHandle<()>>,
    /// What the recorder leaves.
    pub(super) finished: Option<oneshot::Receiver<Finished>>,
    pub(super) shards: Vec<thread::JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        parts: Parts,
        listeners: Vec<TcpListener>,
        monitoring: Vec<TcpListener>,
    ) -> Result<Self, ServerError> {
        let (metrics, states) = (parts.metrics, parts.sources.states());
        let (mut journal, mut sources) = (parts.journal, parts.sources);
        record_beginning(&mut sources, &mut *journal)?;
        let (epoch, head) = (journal.epoch(), journal.head());
        let history = History::counting(journal.archive()?, Reads::new(&metrics));
        let (hub, followers) = Hub::new(head, parts.tail_bytes, parts.shards);
        gauges::head(&metrics, hub.head());
        gauges::sources(&metrics, states.clone());
        let (recorder, to_recorder) = Recorder::new(journal, hub);
        let recorder = recorder
            .counting(Commits::new(&metrics))
            .heeding(parts.halts.clone(), &to_recorder);
        let ingest = Ingest::new(to_recorder, parts.dead_letters, parts.max_age)
            .counting(Feeds::new(&metrics, &states))
            .telling(states.clone());
        let (keeper, key_refresh) = parts.issuer.unzip();
        let gate = Arc::new(Gate::new(
            parts.authenticator,
            key_refresh,
            parts.failed_tries_per_minute,
            parts.other_ways,
            &parts.limits,
            &metrics,
        ));
        gauges::clients(&metrics, &gate, parts.limits.connections);
        let mut server = Self::of(gate, &recorder, states, parts.drain, parts.exit_after);
        gauges::halted(&metrics, parts.halts.clone());
        let readiness = server.readiness(parts.disk, parts.halts);
        let room = Room::new(parts.limits.open_files);
        let (deliveries, arriving) = mpsc::channel(DELIVERIES_CAPACITY);
        let shard_parts = ShardParts {
            gate: Arc::clone(&server.gate),
            readiness: readiness.clone(),
            fetches: Fetches::new(parts.limits.handshake),
            intake: Intake::new(Publisher::new(&deliveries), parts.limits.handshake),
            revoker: parts.revoker,
            hooks: parts.hooks,
            epoch,
            history,
            tls: parts.tls,
            limits: parts.limits,
            proxies: Proxies::new(&parts.trusted_proxies),
            cors: cors::layer(&parts.cors_origins),
            departures: Arc::clone(&server.departures),
            test: parts.test,
        };
        let inboxes = server.start_shards(followers, &shard_parts, &metrics)?;
        server.accept(listeners, &inboxes, room);
        if let Some(keeper) = keeper {
            server.keep_keys(keeper);
        }
        server.show_metrics(monitoring, &metrics, readiness)?;
        server.record(ingest, recorder, arriving)?;
        server.open_sources(sources, parts.wait_clients, deliveries);
        Ok(server)
    }

    /// A server of which nothing runs yet.
    fn of(
        gate: Arc<Gate>,
        recorder: &Recorder,
        sources: States,
        drain: Duration,
        exit_after: HashSet<SourceName>,
    ) -> Self {
        Self {
            gate,
            departures: Arc::default(),
            drain,
            exit_after,
            ended: recorder.ended(),
            sources,
            log: recorder.log(),
            unrecorded: recorder.unrecorded(),
            stop_sources: CancellationToken::new(),
            stop_shards: Stop::default(),
            died: CancellationToken::new(),
            workers: JoinSet::new(),
            recording: Vec::new(),
            finished: None,
            shards: Vec::new(),
        }
    }

    fn readiness(&self, disk: Disk, halts: Switch) -> Readiness {
        Readiness {
            log: self.log.clone(),
            draining: self.gate.draining.clone(),
            halts,
            sources: self.sources.clone(),
            disk,
        }
    }

    fn start_shards(
        &mut self,
        followers: Vec<Follower>,
        parts: &ShardParts,
        metrics: &Registry,
    ) -> Result<Vec<mpsc::Sender<Errand>>, ServerError> {
        let shards = shards::start(followers, parts, metrics, &self.stop_shards, &self.died)?;
        self.shards = shards.threads;
        Ok(shards.inboxes)
    }

    fn accept(
        &mut self,
        listeners: Vec<TcpListener>,
        inboxes: &[mpsc::Sender<Errand>],
        room: Room,
    ) {
        let pending = Arc::new(Pending::new(room, self.gate.clients.count()));
        for listener in listeners {
            self.workers.spawn(accept::accept(
                listener,
                Arc::clone(&pending),
                inboxes.to_vec(),
                Arc::clone(&self.gate),
            ));
        }
    }

    fn keep_keys(&mut self, keeper: jwks::Keeper) {
        let stop = self.gate.draining.clone();
        let died = self.died.clone().drop_guard();
        self.workers.spawn(async move {
            keeper.run(stop).await;
            died.disarm();
        });
    }

    fn show_metrics(
        &mut self,
        listeners: Vec<TcpListener>,
        metrics: &Registry,
        readiness: Readiness,
    ) -> io::Result<()> {
        let routes = routes::monitoring(metrics.clone(), readiness);
        for listener in listeners {
            info!(address = %listener.local_addr()?, "metrics are served");
            self.workers
                .spawn(monitoring::serve(listener, routes.clone()));
            self.workers.spawn(monitoring::tidy(metrics.clone()));
        }
        Ok(())
    }

    fn record(
        &mut self,
        ingest: Ingest,
        recorder: Recorder,
        arriving: mpsc::Receiver<Delivery>,
    ) -> io::Result<()> {
        self.start_thread("ingest", move || ingest.run(arriving))?;
        let (finished, finishes) = oneshot::channel();
        self.finished = Some(finishes);
        // Nobody wants it when the server ends at once.
        self.start_thread("journal", move || drop(finished.send(recorder.run())))
    }

    fn open_sources(
        &mut self,
        sources: Sources,
        wait_clients: usize,
        deliveries: mpsc::Sender<Delivery>,
    ) {
        self.workers.spawn(open_sources(
            sources,
            wait_clients,
            self.gate.clients.count(),
            deliveries,
            self.stop_sources.clone(),
        ));
    }

    fn start_thread(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let died = self.died.clone().drop_guard();
        let run = move || {
            let _died = died;
            run();
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.recording.push(thread);
        Ok(())
    }

    /// Until there is a reason to stop.
    pub(super) async fn until_end(
        &mut self,
        interrupts: &mut Interrupts,
    ) -> Result<(), ServerError> {
        let mut authenticator = self.gate.authenticator.clone();
        // Whoever keeps it up to date does so for as long as the server runs.
        let neglected = async { while authenticator.changed().await.is_ok() {} };
        tokio::select! {
            name = interrupts.next() => info!(signal = name, "stopping"),
            () = all_ended(&mut self.ended, &self.exit_after), if !self.exit_after.is_empty() => {
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

    pub(super) fn clients(&self) -> usize {
        *self.gate.clients.count().borrow()
    }
}

/// Waits until these sources have ended.
async fn all_ended(ended: &mut watch::Receiver<HashSet<SourceName>>, finite: &HashSet<SourceName>) {
    let all = ended.wait_for(|ended| finite.is_subset(ended)).await;
    if all.is_err() {
        // The recorder has ended, which is seen by itself.
        std::future::pending().await
    }
}

/// Nobody is told that the server runs before the log knows where its sources begin.
fn record_beginning(sources: &mut Sources, journal: &mut dyn Journal) -> Result<(), JournalError> {
    let mut beginning = Batch::marking(sources.first_bookmarks());
    if !beginning.is_empty() {
        journal.append(&mut beginning)?;
    }
    Ok(())
}

/// Opens the sources once enough clients are subscribed, and keeps the ingest thread until it is
/// told to stop: a server whose feeds have all ended goes on serving.
async fn open_sources(
    sources: Sources,
    wait_clients: usize,
    mut clients: watch::Receiver<usize>,
    deliveries: mpsc::Sender<Delivery>,
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
    sources.run(deliveries.clone(), stop.clone()).await;
    stop.cancelled().await;
}
