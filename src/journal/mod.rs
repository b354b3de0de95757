//! The log: gives each signal its place, makes it durable, and says which ones are new.
//!
//! Knows nothing of sockets or frames. Order everywhere: durable first, broadcast second.

mod appended;
mod batch;
mod epoch;
mod error;
mod keeping;
mod made_ids;
mod memory;
mod read;
mod recorded;
mod sqlite;

use crate::signal::{ReceivedAt, Seq};
use crate::source::{Bookmark, SourceName};

pub use appended::{Appended, Duplicate, Receipt};
pub use batch::{Batch, Entry, Part};
pub use epoch::Epoch;
pub use error::JournalError;
pub use keeping::{Durability, Keeping, Retention};
pub use memory::Memory;
pub use read::{Archive, MOST_READ_BYTES, Oldest, ReadError, Reader};
pub use recorded::Recorded;
pub use sqlite::{OpenError, ReadOnly, Sqlite};

/// The log that all sources append to and all clients read from.
///
/// One thread owns it, so appending needs no lock.
pub trait Journal: Send {
    /// Which log this is. It changes only if the log is lost and begins anew.
    fn epoch(&self) -> Epoch;

    /// The place of the newest signal; `None` while the log is empty.
    fn head(&self) -> Option<Seq>;

    /// When the newest signal was received.
    fn newest_received_at(&self) -> Option<ReceivedAt>;

    /// How far each part of this source was read when it was last heard of; `None` if the log has
    /// never heard of it.
    ///
    /// # Errors
    /// The log can't be read.
    fn bookmarks(&self, source: &SourceName) -> Result<Option<Vec<Bookmark>>, JournalError>;

    /// Makes a batch durable in one commit and gives each signal its place, in order. A signal
    /// whose id the log already holds is left out, and told with the place of the first one. The
    /// batch is empty afterwards.
    ///
    /// # Errors
    /// The batch is as it was and may be tried again.
    fn append(&mut self, batch: &mut Batch) -> Result<Appended, JournalError>;

    /// Does a little of what is not urgent: lets go of signals that need not be kept any more. To
    /// be called between batches, and now and then when there are none. What fails of that is told
    /// and tried again another time; signals are recorded all the same.
    ///
    /// # Errors
    /// The log can't be used, so signals can't be recorded either.
    fn tend(&mut self) -> Result<Tended, JournalError>;

    /// How it can be read; `None` if it keeps nothing.
    ///
    /// # Errors
    /// It can't be read.
    fn archive(&self) -> Result<Option<Archive>, JournalError>;
}

/// Whether there is more to tend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tended {
    /// Call again soon.
    More,
    /// Nothing more for now.
    Done,
}
