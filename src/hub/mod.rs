//! The hot tail: the newest part of the log as ready WebSocket frames, made once for all clients.
//!
//! One thread publishes; each shard follows with a `Follower` of its own. What they share is
//! immutable: a chain of segments whose next link is set once. Nothing here is kept per client.

mod chain;
/// What is around the JSON of a Server-Sent Event.
pub mod event;
mod filter;
mod follower;
/// The few bytes in front of a WebSocket message.
pub mod frame;
mod segment;
mod tail;
mod view;
mod write;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::halt::Change;
use crate::journal::Recorded;
use crate::signal::Seq;

pub use follower::Follower;
pub use segment::{Detail, FrameView, Segment};
pub use tail::{LeftTail, Tail};
pub use view::{Framing, Stale, Tests, View};
pub use write::Freshness;

use chain::{Link, Published};

/// Where signals are published. There is one, owned by the recorder.
#[derive(Debug)]
pub struct Hub {
    end: Arc<Link>,
    /// Published since the last join, oldest first.
    small: Vec<Arc<Segment>>,
    small_bytes: usize,
    /// Bytes of frames published so far, and taken by each shard.
    published: u64,
    taken: Vec<Weak<AtomicU64>>,
    head: watch::Sender<Option<Seq>>,
}

/// Small segments (one a batch, so one a signal when the feed is slow) are joined when together
/// they hold this many bytes: enough for a full write of a client that is behind, and the
/// overhead of a segment becomes nothing.
const JOINED_BYTES: usize = 64 * 1024;

/// A segment of so many bytes is good as it is, and not copied once more.
const LARGE_BYTES: usize = JOINED_BYTES / 4;

impl Hub {
    /// A hub whose log goes on after `head`, and a follower for each of `shards`.
    ///
    /// The followers are made here and nowhere else: whoever holds an old link of the chain keeps
    /// everything behind it in memory, so nobody may keep one to make followers from later.
    pub fn new(head: Option<Seq>, tail_bytes: usize, shards: usize) -> (Self, Vec<Follower>) {
        let start = Link::start();
        let (sender, receiver) = watch::channel(head);
        let next = head.map_or(Seq::FIRST, Seq::next);
        let taken: Vec<_> = (0..shards).map(|_| Arc::<AtomicU64>::default()).collect();
        let weak = taken.iter().map(Arc::downgrade).collect();
        let followers = taken
            .into_iter()
            .map(|taken| {
                Follower::new(
                    Arc::clone(&start),
                    receiver.clone(),
                    Tail::new(next, tail_bytes),
                    taken,
                )
            })
            .collect();
        (
            Self {
                end: start,
                small: Vec::new(),
                small_bytes: 0,
                published: 0,
                taken: weak,
                head: sender,
            },
            followers,
        )
    }

    /// Makes the frames of what was recorded and tells the shards that the head moved. `read_at`:
    /// when the oldest of its lines was read.
    ///
    /// Costs one encoding a signal and one wake-up a shard, however many clients there are.
    pub fn publish(&mut self, recorded: &[Recorded], read_at: Instant) {
        let Some(newest) = recorded.last() else {
            return;
        };
        for batch in recorded.chunks(MOST_FRAMES) {
            let segment = Arc::new(Segment::of(batch, read_at));
            let bytes = segment.bytes().len();
            self.published += bytes as u64;
            if bytes >= LARGE_BYTES {
                // What is joined are the newest ones, so those before it are now or never.
                self.join();
                self.append(Published::New(segment));
                continue;
            }
            self.append(Published::New(Arc::clone(&segment)));
            self.small_bytes += bytes;
            self.small.push(segment);
            if self.small_bytes >= JOINED_BYTES {
                self.join();
            }
        }
        self.head.send_replace(Some(newest.seq()));
    }

    /// Lets the halt switch stand otherwise, behind all that was published; `next` is the place of
    /// what comes after that.
    pub fn change(&mut self, change: Change, next: Seq) {
        // A shard that has ended sends nothing either.
        let shards = self.taken.iter().filter(|taken| taken.strong_count() > 0);
        change.begins(next, shards.count());
        self.append(Published::Changed(change));
        // It is where it was, but whoever follows looks.
        self.head.send_modify(|_| ());
    }

    /// News of the head.
    pub fn head(&self) -> watch::Receiver<Option<Seq>> {
        self.head.subscribe()
    }

    /// Waits until no shard is far behind what was published, for it is in memory until the last
    /// shard has taken it. A shard never waits for its clients, so neither do we.
    pub fn wait_for_shards(&self) {
        while self.backlog() > MOST_BACKLOG {
            thread::sleep(BACKLOG_PAUSE);
        }
    }

    /// Bytes of frames that the slowest shard has not taken yet. One that has ended has no say.
    fn backlog(&self) -> u64 {
        let taken = self.taken.iter().filter_map(Weak::upgrade);
        let slowest = taken.map(|taken| taken.load(Ordering::Relaxed)).min();
        slowest.map_or(0, |slowest| self.published - slowest)
    }

    fn join(&mut self) {
        if self.small.len() > 1 {
            let joined = Segment::joined(self.small.iter().map(AsRef::as_ref));
            self.append(Published::Joined(Arc::new(joined)));
        }
        self.small.clear();
        self.small_bytes = 0;
    }

    fn append(&mut self, published: Published) {
        self.end = self.end.append(published);
    }
}

/// Most signals in one segment, so that none grows with the batch it came in.
const MOST_FRAMES: usize = 512;

/// Bytes of frames that wait for a shard at most, apart from one batch. A shard takes 64 KiB in
/// one pass, so it has enough to do while we look away.
const MOST_BACKLOG: u64 = 4 * 1024 * 1024;

/// Between two looks at how far the shards have come.
const BACKLOG_PAUSE: Duration = Duration::from_millis(1);
