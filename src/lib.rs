//! signalcast broadcasts trading signals: what a strategy prints goes in at one end, and every
//! bot and dashboard that holds a WebSocket connection gets it, in order and exact to the digit.
//!
//! The modules stand in the order in which a signal travels:
//! source → signal (parse) → ingest → journal → hub → shard → session → socket. `history` reads the
//! journal back for clients that are behind the hub. `server` opens the doors and `auth` guards them.
//! docs/ARCHITECTURE.md tells the whole.

/// Raw lines with their place, from everything that `--source` names.
pub mod source;

/// What a signal is: the domain types, the accepted shapes of a line, the text on the wire.
pub mod signal;

/// The halt switch: while it is on, nothing is broadcast.
pub mod halt;

/// Doors for senders that can't set headers: what their bodies mean.
pub mod hook;

/// One bounded channel from all sources; what is refused goes to the dead letters, the rest is
/// recorded and published.
pub mod ingest;

/// What could not be read, with the reason and the place where it stood.
pub mod dead_letters;

/// Gives each signal its seq and makes it durable.
pub mod journal;

/// The hot tail as ready frames, and the head that moves; nothing per client.
pub mod hub;

/// The part of the log that has left the hot tail, read back for clients that are further behind.
pub mod history;

/// One thread and the clients it owns: writes what is new straight to those that are caught up.
pub mod shard;

/// One client: filter, commands, deadlines, catching up.
pub mod session;

/// Opens the doors: accept loop, TLS, upgrade, HTTP, start and drain.
pub mod server;

/// Who may come in: credential → [`auth::Principal`]; keys, tokens, failed tries.
pub mod auth;

/// The issuer's keys behind the URL of `auth.jwks`: fetched, kept, fetched again.
pub mod jwks;

/// The TLS certificate and its key: made for development, loaded, checked.
pub mod certs;

/// Whose certificates are believed when this program is the client.
mod trust;

/// Files that hold keys and certificates: who may read them, how a new one is put in place.
pub mod key_file;

/// What the operator set: merged, resolved, checked, final.
pub mod config;

/// What the user typed.
pub mod cli;

/// The command `serve`: from the settings to a server that runs.
pub mod serve;

/// Certificate, keys and tokens as the settings name them, loaded.
mod credentials;

/// What a first start makes, and what it tells the operator to do next.
pub mod first_start;

/// Certificates, keys and tokens that are replaced while the server runs.
pub mod reload;

/// The folder for what the server keeps, which one process has to itself.
pub mod data_dir;

/// How full the disk is that this folder is on.
pub mod disk;

/// The commands `token issue`, `inspect`, `list` and `revoke`.
pub mod token;

/// The command `cert`.
pub mod cert;

/// The command `check`: what is wrong with feeds and settings.
pub mod check;

/// The command `listen`: a client that prints what it receives.
pub mod listen;

/// The command `feed`: standard input to a running server, each line once.
pub mod feed;

/// The command `replay`: past signals once more, at the pace at which they came.
pub mod replay;

/// The command `bench`: a load tester for WebSocket servers, this one or another.
pub mod bench;

/// What is counted and timed, for `/metrics`.
pub mod metrics;

/// The log on standard error, which never blocks the server.
pub mod log;

/// What the service manager is told.
mod supervisor;

/// Standard output, for commands whose reader may be slow or gone.
mod output;

/// Waits between tries, longer each time.
mod backoff;

/// Which of the words that are known is nearest to one that is not.
mod nearest;

/// Text of others, fit to be shown.
mod printable;

/// Wall time.
mod clock;

/// Points at which tests let the process die.
mod crash;
