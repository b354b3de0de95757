//! `signalcast feed`: standard input to a running server, each line once.
//!
//! What was read is kept until the server has it in its log. A line has its id before it is sent
//! for the first time, so sending it again, because nobody knows what became of it, makes no second
//! signal of it.

use std::io;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod answer;
mod feeder;
mod hangup;
mod input;
mod leftover;
mod line;
mod options;
mod post;
mod unacknowledged;

pub use options::Options;

use feeder::Feeder;

/// How a feed ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Signals that the server has.
    pub acknowledged: u64,
    /// Lines that are no signals, by our word or by the server's.
    pub refused: u64,
}

/// Why a feed ended before all of it was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The server refused, and would again.
    #[error("refused: {0}")]
    Refused(String),
    /// Who answers can't show to be who we meant.
    #[error("{0}")]
    Untrusted(String),
    /// What answers is no signalcast server.
    #[error("{0} is no answer of a signalcast server; is the address right?")]
    Stranger(String),
    /// Somebody has stopped it.
    #[error("stopped before the end of standard input")]
    Stopped,
    /// Standard input can't be read.
    #[error("can't read standard input")]
    Input(#[source] io::Error),
    /// The system gives no event loop.
    #[error("can't start")]
    Start(#[source] io::Error),
    /// It ended for this reason with signals that the server may not have.
    #[error(
        "{why}; {count} signals that were read are not acknowledged, they are in {} with their ids: \
         feed them again, and none becomes two", file.display()
    )]
    Unacknowledged {
        /// The reason.
        why: Box<Self>,
        /// How many.
        count: usize,
        /// Where they are.
        file: PathBuf,
    },
    /// The same, and they could not be kept.
    #[error(
        "{why}; {count} signals from line {first} of standard input on are not acknowledged, and \
         can't be kept in a file"
    )]
    Lost {
        /// The reason.
        why: Box<Self>,
        /// How many.
        count: usize,
        /// The line of the first of them.
        first: u64,
        /// Why there is no file.
        #[source]
        file: io::Error,
    },
}

/// Sends the lines of standard input, and ends when the server has all of them.
///
/// # Errors
/// The server won't have us, and would not the next time either; standard input fails; SIGTERM,
/// Ctrl-C or the end of the terminal (SIGHUP, unless that is ignored when we start).
pub fn run(options: &Options) -> Result<Done, FeedError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(FeedError::Start)?;
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut ends = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup::is_ignored() {
            ends.push(SignalKind::hangup());
        }
        for kind in ends {
            let mut signals = signal(kind).map_err(FeedError::Start)?;
            let stop = stop.clone();
            tasks.spawn(async move {
                signals.recv().await;
                stop.cancel();
            });
        }
        let (sender, chunks) = mpsc::channel(CHUNKS);
        tasks.spawn_blocking(move || input::read(io::stdin().lock(), &sender));
        Feeder::new(options, chunks, stop).feed(io::stderr()).await
    });
    // Whoever still waits for standard input must not hold us up.
    runtime.shutdown_background();
    outcome
}

/// What was read waits in so many pieces of 64 KiB. When they are full, nothing more is read, and
/// whoever writes to us waits.
const CHUNKS: usize = 16;
