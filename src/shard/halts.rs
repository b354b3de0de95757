use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::halt::{Change, Position};
use crate::signal::Seq;

/// How the halt switch stands for the clients of one shard, and which signals are void.
#[derive(Debug)]
pub struct Halts {
    newest: RefCell<Option<Rc<Change>>>,
    number: Cell<u64>,
    position: Cell<Position>,
    /// The newest signals that are void, and the place after them. A place from which on to look
    /// further, for whoever wants none of them.
    void: Cell<(Seq, Seq)>,
}

/// Whether the switch was thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thrown {
    No,
    Yes,
}

impl Default for Halts {
    fn default() -> Self {
        Self {
            newest: RefCell::default(),
            number: Cell::new(0),
            position: Cell::new(Position::Lifted),
            void: Cell::new((Seq::FIRST, Seq::FIRST)),
        }
    }
}

impl Halts {
    /// Whether no signal goes out now.
    pub fn is_halted(&self) -> bool {
        self.position.get() == Position::Halted
    }

    /// How it stands.
    pub fn position(&self) -> Position {
        self.position.get()
    }

    /// Counts how often the switch was thrown, so that a session knows what it has taken note of.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// How it was thrown at last, if ever.
    pub fn newest(&self) -> Option<Rc<Change>> {
        self.newest.borrow().clone()
    }

    /// The place to go on from for a client that stands here and wants nothing that is void: what it
    /// is spared from reading may be long. Void signals of earlier halts it reads and leaves out.
    pub fn past_void(&self, place: Seq) -> Seq {
        let (first, after) = self.void.get();
        if first <= place && place < after {
            after
        } else {
            place
        }
    }

    /// The switch stands like this for what came from one place to before another.
    pub(super) fn follow(&self, change: Option<&Change>, from: Seq, next: Seq) -> Thrown {
        let number = change.map_or(0, Change::number);
        let thrown = number != self.number.get();
        if let Some(change) = change
            && thrown
        {
            let before = self.position.replace(change.position());
            if self.is_halted() && before == Position::Lifted {
                self.void.set((from, from));
            }
            self.number.set(number);
            self.newest.replace(Some(Rc::new(change.clone())));
        }
        if self.is_halted() {
            let (first, _) = self.void.get();
            self.void.set((first, next));
        }
        if thrown { Thrown::Yes } else { Thrown::No }
    }
}
