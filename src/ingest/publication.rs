use std::ops::Range;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::journal::{Appended, Receipt};
use crate::signal::Signal;
use crate::source::SourceName;

/// Signals that are published together: the log takes all of them in one commit.
#[derive(Debug)]
pub struct Publication {
    pub(super) source: SourceName,
    pub(super) signals: Signals,
    /// When they had come.
    pub(super) read_at: Instant,
    pub(super) receipts: oneshot::Sender<Vec<Receipt>>,
}

/// Signals, and the room that they take until they are in the log.
#[derive(Debug, Default)]
pub struct Signals {
    pub(super) signals: Vec<Signal>,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Entries of a batch for which somebody waits.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) entries: Range<usize>,
    pub(super) receipts: oneshot::Sender<Vec<Receipt>>,
    /// Given back when they are recorded.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

impl Signals {
    /// Gives back this room when they are in the log, so that what waits for it is bounded.
    #[must_use]
    pub fn keeping(self, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { room, ..self }
    }
}

impl From<Vec<Signal>> for Signals {
    fn from(signals: Vec<Signal>) -> Self {
        let room = None;
        Self { signals, room }
    }
}

impl Awaited {
    /// The same entries behind so many others.
    pub(super) fn behind(self, others: usize) -> Self {
        let Range { start, end } = self.entries;
        Self {
            entries: start + others..end + others,
            ..self
        }
    }

    /// They are recorded.
    pub(super) fn answer(self, appended: &Appended) {
        // Whoever has gone away will ask again, and be told that the log holds them.
        self.receipts.send(appended.receipts(self.entries)).ok();
    }
}
