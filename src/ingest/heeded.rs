use crate::halt::{Change, Position, Switch};

/// The halt switch, as far as somebody has come to it.
#[derive(Debug)]
pub(super) struct Heeded {
    switch: Switch,
    /// The newest change that holds here.
    number: u64,
    position: Position,
}

impl Heeded {
    /// This one, of which nothing is known yet.
    pub(super) fn of(switch: Switch) -> Self {
        Self {
            switch,
            number: 0,
            position: Position::Lifted,
        }
    }

    /// How it stands.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The change that holds from now on, if there is one.
    pub(super) fn news(&mut self) -> Option<Change> {
        let change = self.switch.news(self.number)?;
        self.number = change.number();
        self.position = change.position();
        Some(change)
    }
}
