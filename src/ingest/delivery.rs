use crate::source::{Handover, Position, SourceName};

use super::publication::Publication;

/// What comes to ingest, in the order in which it comes.
#[derive(Debug)]
pub enum Delivery {
    /// What a source has read.
    Handover(Handover),
    /// Signals that somebody publishes, who waits for receipts.
    Publication(Publication),
    /// A line that was refused to somebody who can't be asked for a better one.
    Refused(Refused),
}

/// A line that goes to the dead letters, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who brought it.
    pub source: SourceName,
    /// Where it stood in what was brought.
    pub position: Position,
    /// All of it, without its end.
    pub line: Vec<u8>,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

impl From<Handover> for Delivery {
    fn from(handover: Handover) -> Self {
        Self::Handover(handover)
    }
}
