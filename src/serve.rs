//! The command `serve`: from the settings to a server that runs.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{info, warn};

use crate::config::{Config, JournalKind, Problem, Refusals};
use crate::data_dir::DataDir;
use crate::dead_letters::DeadLetters;
use crate::disk::Disk;
use crate::first_start::{self, Announcement, Reader};
use crate::halt::{Halt, Switch};
use crate::journal::{Journal, Memory, Sqlite};
use crate::jwks::{Keeper, Refresh};
use crate::log::{self, Dropped};
use crate::metrics::Registry;
use crate::metrics::table::{BUILD_INFO, LOG_LINES_DROPPED};
use crate::reload::{Reload, Revoker};
use crate::server::{self, Parts, Process, ServerError};
use crate::source::{Bookmarks, Sources, Spec};
use crate::supervisor;

/// Why a server did not come to be, or how it failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings, or what they name, can't be used.
    #[error(transparent)]
    Refused(#[from] Refusals),
    /// The log can't be written.
    #[error("can't start the log")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It could not start, or failed while running.
    #[error(transparent)]
    Failed(#[from] ServerError),
}

/// Runs a server in this process until it is told to stop. `program` is how this program was
/// called, for what a first start tells its user to type.
///
/// # Errors
/// What keeps it from starting; nothing is listened on then. What made it fail.
pub fn run(config: &Config, program: &str, process: Process) -> Result<(), ServeError> {
    let log = log::start(&config.log).map_err(ServeError::Log)?;
    let prepared = first_start::prepare(config, SystemTime::now())?;
    let _data_dir =
        DataDir::hold(&config.data_dir).map_err(|error| refusal(config, "data_dir", &error))?;
    for warning in config
        .warnings
        .iter()
        .map(String::as_str)
        .chain(prepared.warnings())
    {
        warn!("{warning}");
    }
    let reader = if io::stdout().is_terminal() {
        Reader::Person
    } else {
        Reader::Program
    };
    let metrics = metrics(config, log.dropped());
    let (reload, revoker, issuer) = Reload::new(config, &prepared, &metrics);
    let parts = parts(config, &reload, revoker, issuer, metrics)?;
    let _reloader = reload.start().map_err(ServerError::Start)?;
    server::run(process, parts, |bound| {
        let mut stdout = io::stdout().lock();
        let now = SystemTime::now();
        let announcement = Announcement {
            config,
            prepared: &prepared,
            bound,
            reader,
            program,
            now,
        };
        if let Err(error) = announcement.write(&mut stdout) {
            info!(%error, "nobody reads where the server listens");
        }
        supervisor::ready();
    })?;
    Ok(())
}

/// What is counted, if anybody may ask for it.
fn metrics(config: &Config, dropped: Dropped) -> Registry {
    if config.server.metrics_listen.is_none() {
        return Registry::default();
    }
    let metrics = Registry::on();
    let version = ("version", env!("CARGO_PKG_VERSION"));
    metrics.gauge(&BUILD_INFO, &[version]).set(1.0);
    let lines = metrics.counter(&LOG_LINES_DROPPED, &[]);
    metrics.at_scrape(move || lines.absolute(dropped.lines()));
    metrics
}

fn parts(
    config: &Config,
    reload: &Reload,
    revoker: Revoker,
    issuer: Option<(Keeper, Refresh)>,
    metrics: Registry,
) -> Result<Parts, Refusals> {
    let journal = journal(config)?;
    let halts = halts(config)?;
    let finite = config.sources.iter().filter(|spec| spec.is_finite());
    let exit_after = if config.server.exit_on_eof {
        finite.map(Spec::name).collect()
    } else {
        HashSet::new()
    };
    let remembered = remembered(config, &*journal)?;
    let sources = Sources::prepare(&config.sources, remembered)
        .map_err(|error| refusal(config, "sources", &error))?
        .with_grace(config.server.drain / 2);
    let dead_letters = DeadLetters::open(&config.dead_letters.path, config.dead_letters.max_bytes)
        .map_err(|error| refusal(config, "dead_letters.path", &error))?;
    Ok(Parts {
        listen: config.server.listen.clone(),
        metrics_listen: config.server.metrics_listen,
        metrics,
        tls: reload.shown().map(|shown| Arc::new(shown.server_config())),
        authenticator: reload.authenticator(),
        revoker: Arc::new(revoker),
        issuer,
        failed_tries_per_minute: config.auth.failed_tries_per_minute,
        hooks: reload.hooks(),
        other_ways: config.auth.other_ways,
        sources,
        exit_after,
        wait_clients: config.server.wait_clients,
        journal,
        halts,
        disk: Disk::of(&config.data_dir),
        dead_letters,
        max_age: config.signals.max_age,
        tail_bytes: config.hub.tail_bytes,
        shards: config.server.shards.get(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        cors_origins: config.server.cors_origins.clone(),
        drain: config.server.drain,
        limits: config.limits.clone(),
        test: config.test.clone(),
    })
}

/// Opened before anything else is, for the rest goes on from where it is.
fn journal(config: &Config) -> Result<Box<dyn Journal>, Refusals> {
    match config.journal.kind {
        JournalKind::None => Ok(Box::new(Memory::new())),
        JournalKind::Sqlite => match Sqlite::open(&config.data_dir, config.journal.keeping) {
            Ok(log) => Ok(Box::new(log)),
            Err(error) => Err(refusal(config, "data_dir", &error)),
        },
    }
}

/// Whether the server is halted, as it was when it stopped.
fn halts(config: &Config) -> Result<Switch, Refusals> {
    let switch = Switch::open(&config.data_dir);
    let switch = switch.map_err(|error| refusal(config, "data_dir", &error))?;
    if let Some(Halt { reason, since }) = switch.halt().as_deref() {
        warn!(%reason, %since, "still halted: nothing is broadcast until that is lifted");
    }
    Ok(switch)
}

/// Where the sources were when the server stopped.
fn remembered(config: &Config, journal: &dyn Journal) -> Result<Bookmarks, Refusals> {
    let mut remembered = Bookmarks::new();
    for source in config.sources.iter().map(Spec::name) {
        let bookmarks = journal
            .bookmarks(&source)
            .map_err(|error| refusal(config, "data_dir", &error))?;
        if let Some(bookmarks) = bookmarks {
            remembered.insert(source, bookmarks);
        }
    }
    Ok(remembered)
}

fn refusal(config: &Config, key: &str, error: &dyn std::error::Error) -> Refusals {
    let Problem { mut reason, remedy } = Problem::said(error);
    if let Some(cause) = error.source() {
        reason = format!("{reason}: {cause}");
    }
    config.refusal(key, reason, remedy).into()
}
