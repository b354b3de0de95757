//! One thread, one runtime, and the clients it was given for their whole life.
//!
//! When the head moves, the shard passes through its caught-up clients and writes the new frames
//! straight to each socket. It takes no lock and wakes no task per client and signal. What it
//! does with a new connection it is told when it starts.

mod behind;
mod client;
mod group;
mod halts;
mod outlet;
mod pass;
mod roster;
mod run;
mod socket;

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::error;

use crate::clock;
use crate::hub::{Follower, LeftTail, Segment, View};
use crate::metrics::Passes;
use crate::signal::Seq;

pub use behind::Behind;
pub use client::{Client, Sent};
pub use group::{Group, Groups};
pub use halts::Halts;
pub use outlet::{Offered, Outlet, Received};
pub use roster::{Card, Listed, Roster};
pub use run::{Cut, Run};
pub use socket::Socket;

use halts::Thrown;
use pass::{Pass, Progress};

/// What a shard shares with the sessions on its thread.
#[derive(Debug)]
pub struct Shard {
    follower: RefCell<Follower>,
    groups: Groups,
    behind: Behind,
    roster: Roster,
    metrics: Passes,
    scratch: RefCell<Scratch>,
    connections: TaskTracker,
    sessions: TaskTracker,
    draining: CancellationToken,
    last_call: Cell<bool>,
    /// How often something has changed that every session looks at.
    changes: Cell<u16>,
    changed: Notify,
    halts: Halts,
    passing: Cell<bool>,
    passed: Notify,
}

/// Memory that every session of a shard needs for a moment and none keeps.
#[derive(Debug)]
pub struct Scratch {
    /// For what was read from a socket.
    pub received: Vec<u8>,
    /// For what a client that is behind is sent next.
    pub run: Run,
}

/// How a shard is told to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Nothing more will be published: bring the rest to the clients, then let them go.
    pub drain: CancellationToken,
    /// The time for that is nearly up: let clients go, whatever they still lack.
    pub last_call: CancellationToken,
    /// The time is up.
    pub abort: CancellationToken,
    /// Shards that have clients, or will: one without stays as long as another has some, for
    /// connections come to each of them, and who comes is to be answered.
    serving: TaskTracker,
}

/// Accepted connections that wait for their shard. When they are more, the accept loop waits, and
/// the kernel's backlog holds the rest.
pub const INBOX_CAPACITY: usize = 256;

/// Bytes read from a socket at once.
const RECEIVE_BYTES: usize = 16 * 1024;

/// Frames written at once to a client that is behind.
const CATCH_UP_BYTES: usize = 64 * 1024;

/// Signals looked at for one write, about: a client whose filter lets little pass must not hold up
/// the others until all of the hot tail was looked through for it.
const CATCH_UP_SIGNALS: u64 = 512;

/// Tasks a shard runs before it looks whether there are new signals. Each may be a handshake of
/// 0.2 ms: with tokio's 61 a crowd at the doors would hold up every signal by 10 ms and more.
const TASKS_BETWEEN_LOOKS: u32 = 4;

/// Between two looks at how far behind clients are.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Starts a shard's thread. `host` is called on it and makes what is given each connection that
/// comes through the inbox, to look after it to its end. When `watched` changes, every session looks
/// up from what it does.
///
/// # Errors
/// The thread cannot be made.
pub fn start<A, N, H, S, F>(
    index: usize,
    follower: Follower,
    inbox: mpsc::Receiver<A>,
    watched: watch::Receiver<N>,
    stop: Stop,
    metrics: Passes,
    host: H,
) -> io::Result<JoinHandle<()>>
where
    N: Send + Sync + 'static,
    A: Send + 'static,
    H: FnOnce() -> S + Send + 'static,
    S: Fn(Rc<Shard>, A) -> F,
    F: Future<Output = ()> + 'static,
{
    let serving = stop.serving.token();
    thread::Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(TASKS_BETWEEN_LOOKS)
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let shard = Shard::new(follower, metrics);
                    runtime.block_on(run(shard, inbox, watched, stop, serving, host()))
                }
                Err(error) => error!(%error, "a shard cannot start; its clients are not served"),
            }
        })
}

async fn run<A, N, S, F>(
    shard: Shard,
    mut inbox: mpsc::Receiver<A>,
    mut watched: watch::Receiver<N>,
    stop: Stop,
    serving: TaskTrackerToken,
    serve: S,
) where
    S: Fn(Rc<Shard>, A) -> F,
    F: Future<Output = ()> + 'static,
{
    let mut serving = Some(serving);
    let mut head = shard.follower.borrow().head();
    let shard = Rc::new(shard);
    let mut look = interval(BETWEEN_LOOKS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pass = Pass::new();
    // A halt may be older than the process, and then holds for the first client already.
    while pass.go(&shard).await == Progress::More {}
    let mut progress = Progress::Done;
    loop {
        // Whichever is ready, in random order: a feed that never pauses shuts out no connection,
        // and many connections hold up no signal.
        tokio::select! {
            () = stop.abort.cancelled() => return,
            () = stop.drain.cancelled(), if !shard.draining.is_cancelled() => {
                // Sessions are told only now that the tail holds the last signal there will be.
                while pass.go(&shard).await == Progress::More {}
                shard.let_sessions_go();
            }
            () = stop.last_call.cancelled(), if !shard.last_call.get() => {
                shard.last_call.set(true);
                shard.let_sessions_go();
            }
            // When it can't change any more, this branch is out.
            Ok(()) = watched.changed() => shard.tell_sessions(),
            // Connections that are no session yet are turned away and not waited for.
            () = shard.sessions.wait(), if shard.draining.is_cancelled() && serving.is_some() => {
                serving = None;
                stop.serving.close();
            }
            // An answer of its own may still be on its way: to a halt that has let the others' last
            // client go, say.
            () = all_served(&stop, &shard), if serving.is_none() => return,
            Ok(()) = head.changed(), if progress == Progress::Done => progress = Progress::More,
            () = ready(()), if progress == Progress::More => progress = pass.go(&shard).await,
            _ = look.tick() => shard.look(),
            Some(accepted) = inbox.recv() => {
                shard.connections.spawn_local(serve(Rc::clone(&shard), accepted));
            }
        }
    }
}

/// # Cancel safety
/// Cancel safe.
async fn all_served(stop: &Stop, shard: &Shard) {
    stop.serving.wait().await;
    shard.sessions.wait().await;
}

impl Shard {
    fn new(follower: Follower, metrics: Passes) -> Self {
        Self {
            follower: RefCell::new(follower),
            groups: Groups::default(),
            behind: Behind::default(),
            roster: Roster::default(),
            metrics,
            scratch: RefCell::new(Scratch {
                received: vec![0; RECEIVE_BYTES],
                run: Run::default(),
            }),
            connections: TaskTracker::new(),
            sessions: TaskTracker::new(),
            draining: CancellationToken::new(),
            last_call: Cell::new(false),
            changes: Cell::new(0),
            changed: Notify::new(),
            halts: Halts::default(),
            passing: Cell::new(false),
            passed: Notify::new(),
        }
    }

    /// Where a live client stands: the place of the signal that comes next.
    pub fn next(&self) -> Seq {
        self.follower.borrow().tail().next()
    }

    /// Waits until it has all that was published before: what a client of another shard was sent,
    /// a client of this one may ask for.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn draws_level(&self) {
        let published = self.follower.borrow().published_next();
        while self.next() < published {
            // Passes are what takes it, on this thread: none goes unnoticed.
            self.passed.notified().await;
        }
    }

    /// The oldest place that the hot tail holds; the next one while it is empty.
    pub fn oldest(&self) -> Seq {
        let follower = self.follower.borrow();
        let mut segments = follower.tail().segments();
        segments
            .next()
            .map_or(follower.tail().next(), |segment| segment.first())
    }

    /// The hot tail as it is now, oldest segment first.
    pub fn recent(&self) -> Vec<Arc<Segment>> {
        let follower = self.follower.borrow();
        follower.tail().segments().map(Arc::clone).collect()
    }

    /// How the halt switch stands for its clients.
    pub fn halts(&self) -> &Halts {
        &self.halts
    }

    /// The groups its clients belong to.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Its clients that are behind.
    pub fn behind(&self) -> &Behind {
        &self.behind
    }

    /// All its clients, for whoever asks who is there.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What it counts.
    pub fn metrics(&self) -> &Passes {
        &self.metrics
    }

    /// Memory to use and give back before the next await.
    pub fn scratch(&self) -> &RefCell<Scratch> {
        &self.scratch
    }

    /// Its sessions: a drain waits for those that are tracked here.
    pub fn sessions(&self) -> &TaskTracker {
        &self.sessions
    }

    /// Waits for the end of the pass that goes on, if one does: what takes long and is not urgent,
    /// a handshake, gives way to signals that are on their way. To one pass only, or a feed that
    /// never pauses would shut it out.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn give_way(&self) {
        if self.passing.get() {
            self.passed.notified().await;
        }
    }

    /// Cancelled when clients are to be let go, once they have everything.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Whether clients are to be let go now, whatever they still lack.
    pub fn is_last_call(&self) -> bool {
        self.last_call.get()
    }

    /// How often something has changed that every session looks at: whether clients are let go,
    /// and who is still admitted. It may overflow: nobody sleeps through that many.
    pub fn changes(&self) -> u16 {
        self.changes.get()
    }

    /// Waits for the next such change. Whoever looks at the state first and then comes here
    /// without an await in between misses none: it all happens on this thread.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    fn let_sessions_go(&self) {
        self.sessions.close();
        self.draining.cancel();
        self.tell_sessions();
    }

    fn tell_sessions(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        self.changed.notify_waiters();
    }

    /// What a client that stands at `from` is sent next, as far as one write goes. `stretch`: what
    /// was read back from the log for it, for when the hot tail has moved past this place.
    ///
    /// # Errors
    /// Neither of them holds this place.
    pub fn catch_up(
        &self,
        run: &mut Run,
        from: Seq,
        view: &View,
        stretch: Option<&Segment>,
    ) -> Result<(), LeftTail> {
        run.begin(from);
        let now = clock::now();
        let follower = self.follower.borrow();
        let tail = follower.tail();
        // The log may be ahead of this shard, and what is ahead comes with the next pass.
        let end = tail.next();
        match (tail.from(from), stretch) {
            (Ok(segments), _) => {
                for segment in segments {
                    let looked_at = run.next().get() - from.get();
                    if run.bytes().len() >= CATCH_UP_BYTES || looked_at >= CATCH_UP_SIGNALS {
                        break;
                    }
                    run.take_until(end, segment, view, now, CATCH_UP_BYTES);
                }
            }
            (Err(LeftTail), Some(stretch)) if stretch.first() <= from && from <= stretch.last() => {
                run.take_until(end, stretch, view, now, CATCH_UP_BYTES);
            }
            (Err(LeftTail), _) => return Err(LeftTail),
        }
        Ok(())
    }

    /// Measures how things stand.
    fn look(&self) {
        let follower = self.follower.borrow();
        let (behind, lag) = self.behind.count_and_lag(follower.tail().next());
        self.metrics.stand(behind, lag, follower.tail().footprint());
    }

    /// Takes what is new into the tail, and says where it begins and whether the halt switch stands
    /// otherwise from there on.
    fn take_new(&self, most_bytes: usize, new: &mut Vec<Arc<Segment>>) -> (Seq, Thrown) {
        let mut follower = self.follower.borrow_mut();
        let from = follower.tail().next();
        follower.advance(most_bytes, new);
        let next = follower.tail().next();
        (from, self.halts.follow(follower.change(), from, next))
    }

    /// The halt switch stands otherwise: each client is its own session's affair until that has
    /// taken note of it.
    fn tell_of_change(&self) {
        for group in self.groups.all() {
            group.disband();
        }
        self.tell_sessions();
    }
}

#[cfg(test)]
mod tests;
