//! The log on standard error. It never blocks the server: lines wait for a thread of their own,
//! and when they are too many, some are dropped rather than signals delayed.

use std::io;

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Lines that wait for a slow standard error. Beyond this they are dropped.
const WAITING_LINES: usize = 10_000;

/// Starts the log. What waits is written when the guard is dropped.
///
/// # Errors
/// `log.level` is not understood, or there is a log already.
pub fn start(settings: &Log) -> Result<WorkerGuard, Box<dyn std::error::Error + Send + Sync>> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.level)?)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_writer(writer);
    let discreet = filter_fn(is_discreet);
    match settings.format {
        LogFormat::Text => log.finish().with(discreet).try_init()?,
        LogFormat::Json => log.json().finish().with(discreet).try_init()?,
    }
    Ok(guard)
}

/// At its lower levels warp tells what it makes of each part of a request's path, and secrets can
/// stand there. No level brings those out.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let by_warp = metadata.target().split("::").next() == Some("warp");
    !by_warp || *metadata.level() <= Level::WARN
}
