//! Brings raw lines with their place from everything that `--source` names. Does not know what a
//! signal is.
//!
//! Each source runs on a thread of its own, so that one that hangs (a file on a dead mount, a
//! terminal) delays neither the others nor the server. Before each read it asks its [`hold::Hold`]
//! whether it may: that is how a source is paused.

mod bell;
mod file;
mod handover;
mod hold;
mod lines;
mod spec;
mod splitter;
mod state;
mod stdin;

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use file::Unreadable;
pub(crate) use file::matching;
pub use handover::{Bookmark, Bookmarks, Handover, Mark};
pub use lines::{CutOff, Lines, MAX_LINE_BYTES, Origin, Position, SourceName, TooLong, Unfinished};
pub use spec::{FileSpec, From, InvalidSpec, Spec, StdinSpec};
pub(crate) use splitter::Splitter;
pub use state::{Standing, State, States};

/// What a source brings, in order per file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Complete lines.
    Lines(Lines),
    /// A line that is too long to be kept.
    TooLong(TooLong),
    /// The beginning of a line whose end will never come.
    Unfinished(Unfinished),
    /// A finite source has ended: the last of it came before this.
    Ended(SourceName),
    /// A source has failed, which is logged, and brings nothing more.
    Failed(SourceName),
}

/// The sources of a server, ready to run.
#[derive(Debug)]
pub struct Sources {
    stdin: Option<stdin::Input>,
    files: Vec<file::Preparing>,
    states: States,
}

/// The sources can't be opened as asked.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Two of them have the same name.
    #[error("source {0} is there twice; leave one out")]
    Twice(SourceName),
    /// No thread to look at files on.
    #[error("can't start a thread to look for files; raise the limit of processes (ulimit -u)")]
    File(#[source] std::io::Error),
    /// What the log knows of where a source was is not understood.
    #[error(
        "the log knows of {source_name} what this version does not understand; run the version \
         that wrote it, or a newer one"
    )]
    Bookmark {
        /// The source.
        source_name: SourceName,
        /// What it is that is not understood.
        #[source]
        why: Unreadable,
    },
    /// Nothing to wake the reader of standard input with.
    #[error("can't prepare to read standard input")]
    Stdin(#[source] std::io::Error),
}

impl Sources {
    /// Looks at what is there now. Of a source that was never started before, a file that exists
    /// at this moment is followed from its end (`?from=start`: from its start), and held open from
    /// here on. One that is remembered goes on where it was, and what it does not know is new.
    ///
    /// Reads the last bytes of each of these files, so it takes a moment for thousands of them. A
    /// file system that does not answer within seconds is not waited for; what is there is taken
    /// when it answers.
    ///
    /// # Errors
    /// A source that is there twice; no file descriptors or threads left; a bookmark that is not
    /// understood.
    pub fn prepare(specs: &[Spec], mut remembered: Bookmarks) -> Result<Self, SourceError> {
        let mut names = HashSet::new();
        for spec in specs {
            let name = spec.name();
            if !names.insert(name.clone()) {
                return Err(SourceError::Twice(name));
            }
        }
        let states = States::new(specs.iter().map(Spec::name));
        let mut sources = Self {
            stdin: None,
            files: Vec::new(),
            states,
        };
        let files = specs.iter().filter(|spec| matches!(spec, Spec::File(_)));
        let most_open = (MOST_OPEN_FILES / files.count().max(1)).max(LEAST_OPEN_FILES);
        for spec in specs {
            match spec {
                Spec::Stdin(spec) => {
                    sources.stdin = Some(stdin::Input::new(*spec).map_err(SourceError::Stdin)?);
                }
                Spec::File(spec) => {
                    let bookmarks = remembered.remove(&Spec::File(spec.clone()).name());
                    let feed = file::Preparing::begin(spec.clone(), most_open, bookmarks)?;
                    sources.files.push(feed);
                }
            }
        }
        let deadline = std::time::Instant::now() + LONGEST_PREPARATION;
        for feed in &mut sources.files {
            feed.wait(deadline);
        }
        Ok(sources)
    }

    /// Where the sources begin, to be recorded before anybody is told that they run: then a crash
    /// that comes at once neither loses what is written from now on nor makes old lines new. What
    /// nobody has asked for here is handed over first.
    pub fn first_bookmarks(&mut self) -> Vec<Bookmark> {
        let files = self.files.iter_mut();
        files.flat_map(file::Preparing::bookmarks).collect()
    }

    /// How the sources are doing, from now until after they have ended.
    pub fn states(&self) -> States {
        self.states.clone()
    }

    /// Lets the `stdin` source read from here instead of file descriptor 0, as tests do.
    #[must_use]
    pub fn with_stdin(mut self, input: OwnedFd) -> Self {
        self.stdin = self.stdin.map(|stdin| stdin.reading(input));
        self
    }

    /// Runs every source until it ends or `stop` is cancelled. What they hand over is made what goes
    /// through `channel`: a full one makes them wait, a closed one ends them. After `stop` what was read is still sent, nothing more is read; a
    /// source that hangs is left alone after a second, and can't keep the channel open.
    ///
    /// # Cancel safety
    /// Dropped, it stops the sources as `stop` does, without waiting for them.
    pub async fn run<T>(self, channel: mpsc::Sender<T>, stop: CancellationToken)
    where
        T: std::convert::From<Handover> + Send + 'static,
    {
        let handovers = Handovers::through(&channel);
        // Threads of tokio's blocking pool: they live as long as their source.
        let mut running = JoinSet::new();
        // Dropping a source's stopper ends its thread.
        let mut stoppers: Vec<Box<dyn Any + Send>> = Vec::new();
        if let Some(stdin) = self.stdin {
            let (reader, stopper) = stdin.into_reader(&self.states);
            stoppers.push(Box::new(stopper));
            let handovers = handovers.clone();
            running.spawn_blocking(move || reader.run(&handovers));
        }
        for feed in self.files {
            let (follower, stopper) = feed.into_follower(handovers.clone(), &self.states);
            stoppers.push(Box::new(stopper));
            running.spawn_blocking(move || follower.run());
        }
        let mut deadline = None;
        while !running.is_empty() {
            let stopping = deadline.is_some();
            // Cancel-safe: none of these loses anything when dropped.
            tokio::select! {
                () = stop.cancelled(), if !stopping => deadline = Some(Instant::now() + LONGEST_STOP),
                () = channel.closed(), if !stopping => deadline = Some(Instant::now() + LONGEST_STOP),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if stopping => {
                    warn!(sources = running.len(), "a source hangs, its file system does not answer; not waiting for it");
                    return;
                }
                ended = running.join_next() => ended.into_iter().for_each(report),
            }
            if deadline.is_some() {
                stoppers.clear();
            }
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(why) = ended {
        error!(%why, "a source failed; this is a bug in signalcast, please report it");
    }
}

/// Where a source hands on what it has read. A source that hangs does not keep the channel open:
/// [`Sources::run`] does that.
#[derive(Clone)]
struct Handovers(Arc<dyn Fn(Handover) -> bool + Send + Sync>);

impl Handovers {
    /// Through this channel, which may carry other things besides.
    fn through<T>(channel: &mpsc::Sender<T>) -> Self
    where
        T: std::convert::From<Handover> + Send + 'static,
    {
        let channel = channel.downgrade();
        Self(Arc::new(move |ready: Handover| {
            channel.upgrade().is_some_and(|channel| {
                (ready.arrivals.is_empty() && ready.bookmarks.is_empty())
                    || channel.blocking_send(ready.into()).is_ok()
            })
        }))
    }

    /// Waits while the channel is full; false if it is closed.
    fn send(&self, ready: impl Into<Handover>) -> bool {
        (self.0)(ready.into())
    }
}

impl fmt::Debug for Handovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handovers").finish_non_exhaustive()
    }
}

/// Longest wait at the start for file systems to tell what is there.
const LONGEST_PREPARATION: Duration = Duration::from_secs(5);

/// Longest wait for a source to stop.
const LONGEST_STOP: Duration = Duration::from_secs(1);

/// Bytes of one read, and with it about the size of one [`Arrival::Lines`]: large enough to make
/// system calls cheap, small enough that a full channel of them is not much memory.
const READ_BYTES: usize = 64 * 1024;

/// Files of all sources that are held open besides those that were renamed or deleted: the most
/// recently read. The others are opened when they change, so that thousands of files leave the
/// file descriptors to the clients.
const MOST_OPEN_FILES: usize = 96;

/// The same for one source, however many there are.
const LEAST_OPEN_FILES: usize = 2;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_source_that_hangs_holds_up_neither_the_others_nor_the_stop() {
        let spec: Spec = "stdin".parse().unwrap();
        let mut sources = Sources::prepare(std::slice::from_ref(&spec), Bookmarks::new()).unwrap();
        let hung: SourceName = "file:hung".into();
        let (hanging, answer) = file::Preparing::hanging(hung.clone());
        sources.files.push(hanging);
        sources.states = States::new([spec.name(), hung.clone()]);
        let (states, stop) = (sources.states(), CancellationToken::new());
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"one\n").unwrap();
        let (sender, mut handovers) = mpsc::channel::<Handover>(1);
        let run = sources.with_stdin(reader.into()).run(sender, stop.clone());
        let other = async {
            let handover = handovers.recv().await.unwrap();
            assert!(matches!(handover.arrivals[..], [Arrival::Lines(_)]));
            while states.get(&hung) != Some(State::Failed) {
                tokio::task::yield_now().await;
            }
            stop.cancel();
            // Closed, although that thread is still there.
            assert_eq!(handovers.recv().await, None);
        };
        let both = async { tokio::join!(run, other) };
        tokio::time::timeout(Duration::from_secs(10), both)
            .await
            .unwrap();
        drop(answer);
    }
}
