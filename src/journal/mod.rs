//! The log: gives each signal its place, makes it durable, and says which ones are new.
//!
//! Knows nothing of sockets or frames. Order everywhere: durable first, broadcast second.

mod epoch;
mod memory;

use crate::signal::{Seq, Signal};

pub use epoch::Epoch;
pub use memory::Memory;

/// The log that all sources append to and all clients read from.
///
/// One thread owns it, so appending needs no lock.
pub trait Journal: Send {
    /// Which log this is. It changes only if the log is lost and begins anew.
    fn epoch(&self) -> Epoch;

    /// The place of the newest signal; `None` while the log is empty.
    fn head(&self) -> Option<Seq>;

    /// Makes a batch durable in one commit and gives each signal its place, in order. A signal
    /// whose id the log already holds is left out and counted. The batch is empty afterwards.
    ///
    /// # Errors
    /// The batch is as it was and may be tried again.
    fn append(&mut self, batch: &mut Vec<Signal>) -> Result<Appended, JournalError>;
}

/// A signal the journal holds. Only a journal makes one and [`crate::hub::Hub::publish`] takes
/// nothing else, so what a client has seen is never lost.
#[derive(Clone, Debug)]
pub struct Recorded {
    seq: Seq,
    signal: Signal,
}

impl Recorded {
    /// Its place in the log.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// What was recorded.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }
}

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Appended {
    /// The new signals, their seqs without gaps.
    pub recorded: Vec<Recorded>,
    /// How many were dropped because the log holds their id already.
    pub duplicates: usize,
}

/// The log could not take a batch.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be written")]
pub struct JournalError(#[from] std::io::Error);
