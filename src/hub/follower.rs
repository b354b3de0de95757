use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::Tail;
use super::chain::{Link, Published};
use super::segment::Segment;
use crate::halt::Change;
use crate::signal::Seq;

/// One shard's eye on the hub: walks the chain and keeps the hot tail.
#[derive(Debug)]
pub struct Follower {
    at: Arc<Link>,
    head: watch::Receiver<Option<Seq>>,
    tail: Tail,
    /// How the halt switch stands where it has come to, if it was ever thrown.
    change: Option<Change>,
    /// Bytes of frames it has taken so far, for the hub to see.
    taken: Arc<AtomicU64>,
}

impl Follower {
    pub(super) fn new(
        at: Arc<Link>,
        head: watch::Receiver<Option<Seq>>,
        tail: Tail,
        taken: Arc<AtomicU64>,
    ) -> Self {
        Self {
            at,
            head,
            tail,
            change: None,
            taken,
        }
    }

    /// The hot tail, up to where [`Self::advance`] has come.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The newest change of the halt switch up to where [`Self::advance`] has come. It holds for
    /// all that this has brought at last.
    pub fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// The place of the signal that comes after all that was published so far, also what the tail
    /// has not taken yet. Costs a step for each segment of that.
    pub fn published_next(&self) -> Seq {
        let (mut at, mut next) = (&self.at, self.tail.next());
        while let Some(link) = at.next() {
            if let Some(Published::New(segment)) = link.published() {
                next = segment.last().next();
            }
            at = link;
        }
        next
    }

    /// News of the head, for whoever waits for signals.
    pub fn head(&self) -> watch::Receiver<Option<Seq>> {
        self.head.clone()
    }

    /// Takes what was published since the last time into the tail and puts the new segments into
    /// `new`, oldest first: about `most_bytes` of frames, and at least one segment if there is one;
    /// less if the halt switch stands otherwise from there on.
    pub fn advance(&mut self, most_bytes: usize, new: &mut Vec<Arc<Segment>>) {
        let mut bytes = 0;
        while bytes < most_bytes
            && let Some(next) = self.at.next().cloned()
        {
            match next.published() {
                Some(Published::New(segment)) => {
                    bytes += segment.bytes().len();
                    new.push(Arc::clone(segment));
                    self.tail.push(Arc::clone(segment));
                }
                Some(Published::Joined(segment)) => self.tail.replace_newest(Arc::clone(segment)),
                // What comes before it goes out first.
                Some(Published::Changed(_)) if bytes > 0 => break,
                Some(Published::Changed(change)) => {
                    change.taken_up();
                    self.change = Some(change.clone());
                }
                None => {}
            }
            self.at = next;
        }
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
