//! Brings raw lines with their place from everything that `--source` names. Does not know what a
//! signal is.
//!
//! Each source runs on a thread of its own, so that one that hangs (a file on a dead mount, a
//! terminal) delays neither the others nor the server. Before each read it asks its `Hold`
//! whether it may: that is how a source is paused.

mod bell;
mod exec;
mod file;
mod handover;
mod hold;
mod lines;
mod parameters;
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
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use exec::Children;
pub use file::Unreadable;
pub(crate) use file::matching;
pub use handover::{Bookmark, Bookmarks, Handover, Mark};
pub use lines::{CutOff, Lines, MAX_LINE_BYTES, Origin, Position, SourceName, TooLong, Unfinished};
pub use parameters::{From, Restart};
pub use spec::{ExecSpec, FileSpec, InvalidSpec, Spec, StdinSpec};
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
    programs: Vec<exec::Program>,
    states: States,
    children: Children,
    grace: Duration,
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
    /// Nothing to wake the reader of a command's output with.
    #[error("can't prepare to run a command; raise the limit of open files (ulimit -n)")]
    Exec(#[source] std::io::Error),
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
            programs: Vec::new(),
            states,
            children: Children::default(),
            grace: LONGEST_GRACE,
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
                Spec::Exec(spec) => {
                    let program = exec::Program::new(spec.clone(), &mut sources.children);
                    sources.programs.push(program.map_err(SourceError::Exec)?);
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

    /// Gives commands so much time to end when the sources stop, at most five seconds, before they
    /// are killed.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        let grace = grace.min(LONGEST_GRACE);
        Self { grace, ..self }
    }

    /// The commands that they will have started, from now until after they have ended.
    pub fn children(&self) -> Children {
        self.children.clone()
    }

    /// Lets the `stdin` source read from here instead of file descriptor 0, as tests do.
    #[must_use]
    pub fn with_stdin(mut self, input: OwnedFd) -> Self {
        self.stdin = self.stdin.map(|stdin| stdin.reading(input));
        self
    }

    /// Runs every source until it ends or `stop` is cancelled. What they hand over is made what goes
    /// through `channel`: a full one makes them wait, a closed one ends them. After `stop` what was
    /// read is still sent, nothing more is read, but for what commands print before they end. A source that hangs is left alone after a second, a
    /// command a second after its grace, and can't keep the channel open.
    ///
    /// # Cancel safety
    /// Dropped, it stops the sources as `stop` does, without waiting for them.
    pub async fn run<T>(self, channel: mpsc::Sender<T>, stop: CancellationToken)
    where
        T: std::convert::From<Handover> + Send + 'static,
    {
        let longest_end = LONGEST_STOP + self.grace;
        let mut running = self.start(&Handovers::through(&channel));
        // Cancel-safe: none of these loses anything when dropped.
        tokio::select! {
            () = stop.cancelled() => {}
            () = channel.closed() => {}
            () = running.end() => return,
        }
        running.stoppers.clear();
        let now = Instant::now();
        if timeout_at(now + LONGEST_STOP, all(&mut running.readers))
            .await
            .is_err()
        {
            let sources = running.readers.len();
            warn!(
                sources,
                "a source hangs, its file system does not answer; not waiting for it"
            );
        }
        if timeout_at(now + longest_end, all(&mut running.runners))
            .await
            .is_err()
        {
            let sources = running.runners.len();
            warn!(
                sources,
                "a command does not end, or what it has printed is not taken; not waiting for it"
            );
        }
    }

    fn start(self, handovers: &Handovers) -> Running {
        let mut running = Running::default();
        if let Some(stdin) = self.stdin {
            let (reader, stopper) = stdin.into_reader(&self.states);
            running.stoppers.push(Box::new(stopper));
            let handovers = handovers.clone();
            running
                .readers
                .spawn_blocking(move || reader.run(&handovers));
        }
        for feed in self.files {
            let (follower, stopper) = feed.into_follower(handovers.clone(), &self.states);
            running.stoppers.push(Box::new(stopper));
            running.readers.spawn_blocking(move || follower.run());
        }
        for program in self.programs {
            let (runner, stopper) =
                program.into_runner(handovers.clone(), &self.states, self.grace);
            running.stoppers.push(Box::new(stopper));
            running.runners.spawn_blocking(move || runner.run());
        }
        running
    }
}

/// Sources that run, on threads of tokio's blocking pool: they live as long as their source.
#[derive(Default)]
struct Running {
    readers: JoinSet<()>,
    /// Of commands, which have more time to end.
    runners: JoinSet<()>,
    /// Dropping a source's stopper ends its thread.
    stoppers: Vec<Box<dyn Any + Send>>,
}

impl Running {
    /// Waits until all have ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                Some(ended) = self.readers.join_next() => report(ended),
                Some(ended) = self.runners.join_next() => report(ended),
                else => return,
            }
        }
    }
}

/// Waits until all of these have ended.
///
/// # Cancel safety
/// Cancel safe.
async fn all(running: &mut JoinSet<()>) {
    while let Some(ended) = running.join_next().await {
        report(ended);
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

/// Longest time for a command to end when it was asked to.
const LONGEST_GRACE: Duration = Duration::from_secs(5);

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
