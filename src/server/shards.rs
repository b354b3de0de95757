//! The threads that serve clients, and what each of them is given.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;
use tracing::warn;

use super::accept::Errand;
use super::connection::{self, Host};
use super::crowd::Crowd;
use super::fetches::Fetches;
use super::gate::Gate;
use super::intake::Intake;
use super::past::Log;
use super::proxy::Proxies;
use super::readiness::Readiness;
use super::revocation::Revoke;
use super::{Limits, ServerError, routes};
use crate::history::History;
use crate::hook::Hooks;
use crate::hub::Follower;
use crate::journal::Epoch;
use crate::metrics::{Passes, Registry};
use crate::session::{Departures, Settings, TestSignal};
use crate::shard::{self, INBOX_CAPACITY, Stop};

/// What every shard is made with.
#[derive(Clone)]
pub(super) struct ShardParts {
    pub(super) gate: Arc<Gate>,
    pub(super) readiness: Readiness,
    pub(super) fetches: Fetches,
    pub(super) intake: Intake,
    pub(super) revoker: Arc<dyn Revoke>,
    pub(super) hooks: watch::Receiver<Hooks>,
    pub(super) epoch: Epoch,
    pub(super) history: History,
    /// `None`: plaintext.
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) limits: Limits,
    pub(super) proxies: Proxies,
    pub(super) cors: Option<CorsLayer>,
    pub(super) departures: Arc<Departures>,
    pub(super) test: TestSignal,
}

/// Shards that run.
pub(super) struct Shards {
    /// Where each takes connections from.
    pub(super) inboxes: Vec<mpsc::Sender<Errand>>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

/// Starts a shard for each follower. `died` is cancelled when one of them ends.
pub(super) fn start(
    followers: Vec<Follower>,
    parts: &ShardParts,
    metrics: &Registry,
    stop: &Stop,
    died: &CancellationToken,
) -> Result<Shards, ServerError> {
    let ways = followers.iter().map(|_| mpsc::channel(INBOX_CAPACITY));
    let (inboxes, errands): (Vec<_>, Vec<_>) = ways.unzip();
    let (crowd, mut threads) = (Crowd::new(&inboxes), Vec::new());
    for (index, (follower, errands)) in followers.into_iter().zip(errands).enumerate() {
        let watched = parts.gate.authenticator.clone();
        let metrics = Passes::new(metrics, index);
        let (parts, crowd) = (parts.clone(), crowd.clone());
        let died = died.clone().drop_guard();
        // Made on the shard's thread, for what its sessions share stays there.
        let host = move || {
            let host = Rc::new(parts.into_host(crowd));
            move |shard, errand| {
                // Lives as long as the thread.
                let _died = &died;
                connection::attend(Rc::clone(&host), shard, errand)
            }
        };
        let stop = stop.clone();
        threads.push(shard::start(
            index, follower, errands, watched, stop, metrics, host,
        )?);
    }
    Ok(Shards { inboxes, threads })
}

impl ShardParts {
    fn into_host(self, crowd: Crowd) -> Host {
        if let Some(tls) = &self.tls {
            gather_entropy(tls);
        }
        let sources = self.readiness.sources.clone();
        let parts = routes::Parts {
            readiness: self.readiness,
            intake: self.intake,
            fetches: self.fetches,
            crowd,
            revoker: self.revoker,
            hooks: self.hooks,
        };
        let routes = routes::routes(&self.gate, parts);
        let log = Log {
            epoch: self.epoch,
            history: self.history.clone(),
        };
        let sessions = Settings {
            message_bytes: self.limits.message_bytes,
            commands_per_second: self.limits.commands_per_second,
            ping: self.limits.ping,
            silence: self.limits.silence,
            heartbeat: self.limits.heartbeat,
            write_timeout: self.limits.write_timeout,
            authenticator: self.gate.authenticator.clone(),
            judge: Box::new(Arc::clone(&self.gate)),
            history: self.history,
            departures: self.departures,
            test: self.test,
            epoch: self.epoch,
            sources,
        };
        Host {
            gate: self.gate,
            routes,
            cors: self.cors,
            log,
            tls: self.tls,
            handshake_timeout: self.limits.handshake,
            handshakes: Rc::new(Semaphore::new(self.limits.handshakes.get())),
            proxies: self.proxies,
            sessions: Rc::new(sessions),
        }
    }
}

/// The first random number of a process takes a twentieth of a second, since entropy is gathered
/// for it, and the first of a thread a little more: the first client must not wait for that.
fn gather_entropy(tls: &rustls::ServerConfig) {
    let random = tls.crypto_provider().secure_random;
    if random.fill(&mut [0]).is_err() {
        warn!("no random numbers; handshakes will fail as long as there are none");
    }
}
