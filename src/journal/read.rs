use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{JournalError, Recorded};
use crate::signal::{ReceivedAt, Seq};

/// Reads the log while it is being written, on any thread.
pub trait Reader: Send {
    /// The signals from this place on, at most so many, without gaps; none if it is beyond the head.
    /// When they are large, they are fewer: one more is read only while they hold less than
    /// [`MOST_READ_BYTES`].
    ///
    /// # Errors
    /// The place is older than what is kept, or the log can't be read.
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError>;

    /// The place of the first signal that was received at this time or later; none if all were
    /// received before. A binary search: received times never decrease.
    ///
    /// # Errors
    /// What is older than this time is not all kept, so it can't be told; or the log can't be read.
    fn received_since(&mut self, at: ReceivedAt) -> Result<Option<Seq>, ReadError>;
}

/// Bytes of content after which a read ends, so that neither its memory nor its time grows with what
/// strategies put into their signals.
pub const MOST_READ_BYTES: usize = 1024 * 1024;

/// What a journal that keeps its signals can be read through.
pub struct Archive {
    /// So many reads go on at once.
    pub readers: Vec<Box<dyn Reader>>,
    /// What is kept.
    pub oldest: Oldest,
}

/// The place of the oldest signal that is kept, as it moves on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Oldest(Arc<AtomicU64>);

/// A part of the log can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not kept any more.
    #[error("signals before {oldest} are not kept any more")]
    Gone {
        /// The oldest that is.
        oldest: Seq,
    },
    /// It can't be read.
    #[error(transparent)]
    Failed(#[from] JournalError),
}

impl Oldest {
    /// Nothing before this place is kept.
    pub fn at(seq: Seq) -> Self {
        Self(Arc::new(AtomicU64::new(seq.get())))
    }

    /// The place now; the next one of an empty log.
    pub fn get(&self) -> Seq {
        Seq::new(self.0.load(Ordering::Acquire)).unwrap_or(Seq::FIRST)
    }

    /// What was before this place is gone.
    pub fn move_to(&self, seq: Seq) {
        self.0.store(seq.get(), Ordering::Release);
    }
}
