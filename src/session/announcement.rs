use serde::ser::{Serialize, Serializer};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Close, LogRange, Session, Settings};
use crate::clock;
use crate::hub::{Framing, event, frame};
use crate::shard::Client;
use crate::signal::{Protocol, Seq};
use crate::source::States;

/// What clients of `signalcast.v2` and readers of event streams are told of the server itself.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Announcement<'a> {
    ConnectionEstablished {
        client_id: String,
        timestamp: String,
        /// In milliseconds.
        heartbeat_interval: u128,
        epoch: String,
        first_seq: u64,
        last_seq: u64,
        sources: Sources<'a>,
    },
    Heartbeat {
        timestamp: String,
        last_seq: u64,
        sources: Sources<'a>,
        /// Only said if it is so.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        halted: bool,
    },
    /// The end, to somebody who knows no close frame.
    Closed { code: u16, reason: &'static str },
    /// No signal comes from now on.
    Halted { reason: &'a str },
    /// Signals come again.
    ResumedLive,
}

/// `{"stdin":{"state":"live","last_signal_age_ms":5312}}`
#[derive(Debug)]
pub(super) struct Sources<'a>(&'a States);

#[derive(Debug, serde::Serialize)]
struct Source {
    state: &'static str,
    last_signal_age_ms: Option<u128>,
}

/// Puts the first frame of a client in front of everything.
pub(super) fn establish(
    client: &Client,
    framing: Framing,
    id: Uuid,
    log: LogRange,
    settings: &Settings,
) {
    if framing == Framing::Events {
        let mut outlet = client.outlet().borrow_mut();
        outlet.control().extend_from_slice(event::RETRY);
    }
    tell(
        client,
        framing,
        &Announcement::ConnectionEstablished {
            client_id: id.to_string(),
            timestamp: clock::received_now().to_string(),
            heartbeat_interval: settings.heartbeat.as_millis(),
            epoch: settings.epoch.to_string(),
            first_seq: log.first_seq,
            last_seq: log.last_seq,
            sources: Sources(&settings.sources),
        },
    );
}

impl Session {
    /// When the next heartbeat is due if nothing is sent until then.
    pub(super) fn next_beat(&self) -> Option<Instant> {
        let is_told = self.group.view().protocol == Protocol::V2;
        is_told.then(|| self.client.last_spoke() + self.settings.heartbeat)
    }

    /// Writes a heartbeat if one is due; true if it was. The client must have everything there is,
    /// for that is what it says.
    pub(super) fn beat(&self) -> bool {
        let is_due = self.next_beat().is_some_and(|due| due <= Instant::now());
        if is_due {
            let announcement = Announcement::Heartbeat {
                timestamp: clock::received_now().to_string(),
                last_seq: self.client.cursor().get() - 1,
                sources: Sources(&self.settings.sources),
                halted: self.shard.halts().is_halted(),
            };
            self.tell(&announcement);
        }
        is_due
    }

    /// Says why it ends to a client that understands no close frame.
    pub(super) fn say_why(&self, why: Close) {
        if self.group.view().framing == Framing::Events {
            self.tell(&Announcement::Closed {
                code: why.code(),
                reason: why.reason(),
            });
        }
    }

    fn tell(&self, announcement: &Announcement<'_>) {
        tell(&self.client, self.group.view().framing, announcement);
    }
}

/// Puts it where the client gets it next, between two signals.
pub(super) fn tell(client: &Client, framing: Framing, announcement: &Announcement<'_>) {
    client.spoke_at(Instant::now());
    let mut outlet = client.outlet().borrow_mut();
    let write = |out: &mut Vec<u8>| {
        serde_json::to_writer(out, announcement).expect("texts and numbers serialize into memory");
    };
    match framing {
        Framing::WebSocket => frame::write_text(outlet.control(), write),
        Framing::Events => {
            let mut message = Vec::new();
            write(&mut message);
            // What was written before this is all that comes before its cursor.
            let last = Seq::new(client.cursor().get() - 1);
            event::write_message(outlet.control(), last, &message);
        }
    }
}

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let standings = self.0.standings(std::time::Instant::now());
        serializer.collect_map(standings.map(|standing| {
            let source = Source {
                state: standing.state.as_str(),
                last_signal_age_ms: standing.last_signal_age.map(|age| age.as_millis()),
            };
            (standing.name.as_str(), source)
        }))
    }
}
