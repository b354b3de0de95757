//! The halt switch: while it is on, nothing is broadcast, and whatever is recorded is void.
//!
//! Whoever throws it says so to the recorder, which is where signals get their place in the log:
//! there it takes effect, between two batches. From there the change travels behind the signals
//! that were recorded before it, through the hub to the shards. So everybody sees it at the same
//! place of the log.

mod change;
mod file;
mod reason;
mod switch;

use crate::signal::ReceivedAt;

pub use change::{Change, Position};
pub use file::{HaltFile, Kept};
pub use reason::{InvalidReason, Reason};
pub use switch::{Stand, Switch, Unfinished};

/// Somebody has said that nothing is to be broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Why.
    pub reason: Reason,
    /// When.
    pub since: ReceivedAt,
}
