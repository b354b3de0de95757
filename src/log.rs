//! The log on standard error. It never blocks the server: lines wait for a thread of their own,
//! and when they are too many, some are dropped rather than signals delayed. That is told as soon
//! as lines are written again.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Keeps the log going. What waits when it is dropped is still written, if that goes quickly.
#[derive(Debug)]
pub struct Running {
    writer: NonBlocking,
    worker: Option<WorkerGuard>,
}

/// Lines that wait for a slow standard error. Beyond this they are dropped.
const WAITING_LINES: usize = 10_000;

/// How long the end of the process waits for room among the waiting lines.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Starts the log.
///
/// # Errors
/// `log.level` is not understood, or there is a log already.
pub fn start(settings: &Log) -> Result<Running, Box<dyn std::error::Error + Send + Sync>> {
    let dropped = Arc::new(OnceLock::new());
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(Lines::to(io::stderr(), Arc::clone(&dropped)));
    // Nothing has been logged yet, so the thread has not looked for it.
    dropped.get_or_init(|| writer.error_counter());
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.level)?)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_writer(writer.clone());
    let discreet = filter_fn(is_discreet);
    match settings.format {
        LogFormat::Text => log.finish().with(discreet).try_init()?,
        LogFormat::Json => log.json().finish().with(discreet).try_init()?,
    }
    Ok(Running {
        writer,
        worker: Some(worker),
    })
}

impl Running {
    /// How many lines were dropped so far.
    pub fn dropped(&self) -> Dropped {
        Dropped(self.writer.error_counter())
    }

    /// Whether one more line can wait.
    fn has_room(&mut self) -> bool {
        let before = self.writer.error_counter().dropped_lines();
        let _ = self.writer.write(b"");
        self.writer.error_counter().dropped_lines() == before
    }
}

/// Counts the lines of the log that were dropped. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dropped(ErrorCounter);

impl Dropped {
    /// How many they are.
    pub fn lines(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let start = Instant::now();
        while !self.has_room() {
            if start.elapsed() > LAST_WAIT {
                // Nobody reads it. The worker would say so on standard output, which is not for
                // that and may be closed, and then it would panic.
                std::mem::forget(self.worker.take());
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Writes lines, and says how many could not wait for it.
struct Lines<W> {
    to: W,
    dropped: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl<W> Lines<W> {
    fn to(to: W, dropped: Arc<OnceLock<ErrorCounter>>) -> Self {
        let told = 0;
        Self { to, dropped, told }
    }

    fn tell(&mut self) {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.told {
            let lines = dropped - self.told;
            self.told = dropped;
            // It goes to the end of the queue. If there is no room, it counts as one more.
            warn!(
                lines,
                "lines of the log were dropped, since standard error took them too slowly"
            );
        }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.to.write(line)?;
        self.tell();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// At its lower levels warp tells what it makes of each part of a request's path, and secrets can
/// stand there. No level brings those out.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let by_warp = metadata.target().split("::").next() == Some("warp");
    !by_warp || *metadata.level() <= Level::WARN
}
