use super::Session;
use super::announcement::{self, Announcement};
use crate::halt::{Change, Position};
use crate::hub::{Framing, Stale};
use crate::shard::{Client, Halts};
use crate::signal::Protocol;

/// How the halt switch stood when a session took note of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    number: u64,
    position: Position,
}

impl Noted {
    pub(super) fn now(halts: &Halts) -> Self {
        Self {
            number: halts.number(),
            position: halts.position(),
        }
    }
}

/// Tells a new client that nothing will come for now.
pub(super) fn greet(client: &Client, framing: Framing, halts: &Halts) {
    if let Some(change) = halts.newest()
        && change.position() == Position::Halted
    {
        tell_halted(client, framing, &change);
    }
}

impl Session {
    /// Tells the client that the halt switch was thrown, before it is sent anything else.
    pub(super) fn meet_halts(&mut self) {
        let halts = self.shard.halts();
        let before = self.halts_noted;
        if halts.number() == before.number {
            return;
        }
        self.halts_noted = Noted::now(halts);
        let Some(change) = halts.newest() else {
            return;
        };
        if self.group.view().protocol != Protocol::V2 {
            return;
        }
        let (now, client) = (change.position(), &self.client);
        let framing = self.group.view().framing;
        // One that was over before anybody looked is told, too: what came in it is void.
        if now == Position::Halted || before.position == Position::Lifted {
            tell_halted(client, framing, &change);
        }
        if now == Position::Lifted {
            announcement::tell(client, framing, &Announcement::ResumedLive);
        }
    }

    /// What is void is passed over at once by who does not want it, without being looked at.
    pub(super) fn skip_void(&self) {
        if self.group.view().stale == Stale::LeftOut {
            let cursor = self.client.cursor();
            self.client.skip_to(self.shard.halts().past_void(cursor));
        }
    }
}

fn tell_halted(client: &Client, framing: Framing, change: &Change) {
    let reason = change.halt().reason.as_str();
    announcement::tell(client, framing, &Announcement::Halted { reason });
}
