use std::fmt;
use std::sync::Arc;

use super::Halt;
use super::switch::Shared;
use crate::signal::Seq;

/// The switch was thrown: on its way from the recorder to the shards, behind what was recorded
/// before.
#[derive(Clone)]
pub struct Change {
    /// Counts them from 1.
    pub(super) number: u64,
    pub(super) position: Position,
    /// The halt that begins or goes on; the one that was lifted.
    pub(super) halt: Arc<Halt>,
    pub(super) shared: Arc<Shared>,
}

/// How the switch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Nothing is broadcast.
    Halted,
    /// Everything is as usual.
    Lifted,
}

impl Change {
    /// Which one it is: 1, 2, 3 … as long as the process lives.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How the switch stands from now on.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The halt that begins or goes on; the one that was lifted.
    pub fn halt(&self) -> &Halt {
        &self.halt
    }

    /// It holds from this place of the log on, as soon as so many shards have come to it.
    pub fn begins(&self, next: Seq, shards: usize) {
        self.shared.begins(self, next, shards);
    }

    /// One of these shards has come to it.
    pub fn taken_up(&self) {
        self.shared.taken_up(self.number);
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("number", &self.number)
            .field("position", &self.position)
            .field("halt", &self.halt)
            .finish_non_exhaustive()
    }
}
