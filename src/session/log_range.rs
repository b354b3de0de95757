use serde::Serialize;

use crate::journal::Epoch;

/// What the log holds, for somebody who is let in or wants to go on from another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The oldest signal that a client can begin with; the next one if there is none.
    pub first_seq: u64,
    /// The newest one, after which a live client begins; 0 while there is none.
    pub last_seq: u64,
}

/// The log there is instead of the one that was meant, as somebody is told who can't go on.
#[derive(Debug, Serialize)]
pub struct Held {
    epoch: String,
    first_seq: u64,
    last_seq: u64,
}

impl Held {
    /// The log of this epoch, which holds these.
    pub fn new(epoch: Epoch, log: LogRange) -> Self {
        Self {
            epoch: epoch.to_string(),
            first_seq: log.first_seq,
            last_seq: log.last_seq,
        }
    }
}
