//! The doors: accept loop, TLS, upgrade, HTTP, and the server's life from start to drain.
//!
//! Decides which shard a connection goes to, not who may do what: that is `auth`.

mod accept;
mod answer;
mod body;
mod call;
mod clients;
mod connection;
mod cors;
mod credential;
mod crowd;
mod drain;
mod fetches;
mod first_message;
mod gate;
mod gauges;
mod headers;
mod http;
mod intake;
mod interrupts;
mod json_body;
mod lifecycle;
mod lines;
mod listener;
mod monitoring;
mod newcomer;
mod pace;
mod page;
mod past;
mod pending;
mod process;
mod proxy;
mod public_names;
mod query;
mod readiness;
mod refusal;
mod renewal;
mod revocation;
mod routes;
mod shards;
mod share;
mod takeover;
mod ticket_streams;
mod tickets;
mod upgrade;
mod wish;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::watch;
use warp::http::HeaderValue;

use crate::auth::Authenticator;
use crate::dead_letters::DeadLetters;
use crate::disk::Disk;
use crate::halt::Switch;
use crate::hook::Hooks;
use crate::journal::{Journal, JournalError};
use crate::jwks;
use crate::metrics::Registry;
use crate::session::TestSignal;
use crate::source::{SourceName, Sources};

pub use process::Process;
pub use revocation::{NotHeld, Revoke};

use lifecycle::Server;
use listener::bind;

/// Everything a server is made of, checked.
pub struct Parts {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Where `/metrics` is answered; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// What is counted.
    pub metrics: Registry,
    /// How it encrypts; `None`: plaintext.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who gets in, as it changes.
    pub authenticator: watch::Receiver<Arc<Authenticator>>,
    /// How to let somebody in no more.
    pub revoker: Arc<dyn Revoke>,
    /// Who keeps its keys up to date, if they come from a URL.
    pub issuer: Option<(jwks::Keeper, jwks::Refresh)>,
    /// Refused tokens per address and minute; `None`: no limit.
    pub failed_tries_per_minute: Option<NonZeroU32>,
    /// Doors for senders that can't set headers, as they change.
    pub hooks: watch::Receiver<Hooks>,
    /// How those may be let in who can't set headers.
    pub other_ways: OtherWays,
    /// Where signals come from, opened when enough clients are there.
    pub sources: Sources,
    /// Sources that end by themselves; when all have, the server does too. Empty: it goes on.
    pub exit_after: HashSet<SourceName>,
    /// Clients that must be subscribed before the sources are opened.
    pub wait_clients: usize,
    /// Where signals are kept.
    pub journal: Box<dyn Journal>,
    /// Whether anything is broadcast.
    pub halts: Switch,
    /// The disk that is on.
    pub disk: Disk,
    /// Where unreadable lines go.
    pub dead_letters: DeadLetters,
    /// Signals that do not say how long they are valid are stale after this.
    pub max_age: Option<Duration>,
    /// Size of the hot tail.
    pub tail_bytes: usize,
    /// Threads that serve clients.
    pub shards: usize,
    /// Proxies whose word for a client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may call the HTTP API; `*`: all.
    pub cors_origins: Vec<HeaderValue>,
    /// Longest time from the stop signal to the end.
    pub drain: Duration,
    /// What clients are allowed.
    pub limits: Limits,
    /// The answer to `test`.
    pub test: TestSignal,
}

/// How those who can't set headers may be let in, besides by subprotocols and tickets, as settings
/// of `auth.*` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherWays {
    /// By a token in the URL.
    pub query_token: bool,
    /// By a token in the first message of a WebSocket that is open by then.
    pub first_message: bool,
}

/// What clients are allowed, as the settings of `limits.*` say.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Clients at once, at least one.
    pub connections: usize,
    /// Clients at once from one IPv4 address or IPv6 /64.
    pub connections_per_address: Option<NonZeroU32>,
    /// Files this process may have open, of which connections that are no client yet have a share;
    /// `None`: no limit.
    pub open_files: Option<u64>,
    /// Longest time from accept to the end of the request's headers.
    pub handshake: Duration,
    /// TLS handshakes at once, per shard.
    pub handshakes: NonZeroUsize,
    /// Longest message of a client, in bytes.
    pub message_bytes: usize,
    /// Text messages of a client a second.
    pub commands_per_second: NonZeroU32,
    /// Time between two pings.
    pub ping: Duration,
    /// A client that sends nothing for this long is let go.
    pub silence: Duration,
    /// A client of `signalcast.v2` that was sent nothing for this long is sent a heartbeat.
    pub heartbeat: Duration,
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
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] JournalError),
    /// A feed that the server was to end with could not be read to its end.
    #[error("{0} could not be read to its end, so what follows in it is missing; the log says why")]
    Feed(SourceName),
    /// The end came before they were in the log.
    #[error(
        "at least {0} signals that were read from standard input or commands could not be recorded and are lost; bring them again"
    )]
    Unrecorded(u64),
    /// A thread ended that should not.
    #[error("a part of the server ended by itself; this is a bug in signalcast, please report it")]
    Died,
}

/// Runs a server until it is told to stop (SIGTERM, Ctrl-C) or its feeds have ended. `ready` is
/// told the addresses once connections are accepted.
///
/// # Errors
/// It cannot start, or a part of it failed.
pub fn run(
    process: Process,
    parts: Parts,
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), ServerError> {
    let Process {
        runtime,
        mut interrupts,
    } = process;
    let outcome = runtime.block_on(async {
        let listeners = bind(&parts.listen)?;
        let monitoring = bind(parts.metrics_listen.as_slice())?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let children = parts.sources.children();
        let mut server = Server::start(parts, listeners, monitoring)?;
        ready(&addresses);
        let outcome = server.until_end(&mut interrupts).await;
        let drained = server.drain(&mut interrupts).await;
        // Those that are left when there was no time to wait for them would outlive us.
        children.kill();
        outcome.and(drained)
    });
    // A source may hang in a read that nobody can end (a dead mount); it must not hold us up.
    runtime.shutdown_background();
    outcome
}
