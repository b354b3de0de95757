use super::Entry;
use crate::signal::{Id, ReceivedAt, Seq, Signal};
use crate::source::SourceName;

/// A signal the journal holds. Only a journal makes one and [`crate::hub::Hub::publish`] takes
/// nothing else, so what a client has seen is never lost.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(super) seq: Seq,
    pub(super) id: Id,
    pub(super) source: SourceName,
    pub(super) received_at: ReceivedAt,
    pub(super) signal: Signal,
}

impl Recorded {
    /// An entry at its place, with the id that its source gave or that was made for it.
    pub(super) fn of(entry: Entry, seq: Seq, id: Id) -> Self {
        let Entry {
            signal,
            source,
            received_at,
        } = entry;
        Self {
            seq,
            id,
            source,
            received_at,
            signal,
        }
    }

    /// Its place in the log.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The id that its source gave, or the one that was made for it.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Where it came from.
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// When it was received: never before a signal with a smaller seq.
    pub fn received_at(&self) -> ReceivedAt {
        self.received_at
    }

    /// What was recorded.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }
}
