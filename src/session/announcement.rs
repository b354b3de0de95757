use std::time::Duration;

use serde::ser::{Serialize, Serializer};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Session, Settings};
use crate::clock;
use crate::hub::frame;
use crate::shard::Client;
use crate::signal::Protocol;
use crate::source::{State, States};

/// What clients of `signalcast.v2` are told of the server itself.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Announcement<'a> {
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
    },
}

/// What the log held when a client was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The oldest signal that a client can begin with; the next one if there is none.
    pub first_seq: u64,
    /// The newest one, after which a live client begins; 0 while there is none.
    pub last_seq: u64,
}

/// `{"stdin":{"state":"live","last_signal_age_ms":5312}}`
#[derive(Debug)]
struct Sources<'a>(&'a States);

#[derive(Debug, serde::Serialize)]
struct Source {
    #[serde(serialize_with = "word")]
    state: State,
    last_signal_age_ms: Option<u128>,
}

/// Puts the first frame of a client in front of everything.
pub(super) fn establish(client: &Client, log: LogRange, settings: &Settings) {
    tell(
        client,
        &Announcement::ConnectionEstablished {
            client_id: Uuid::now_v7().to_string(),
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
            };
            tell(&self.client, &announcement);
        }
        is_due
    }
}

fn tell(client: &Client, announcement: &Announcement<'_>) {
    client.spoke_at(Instant::now());
    frame::write_text(client.outlet().borrow_mut().control(), |out| {
        serde_json::to_writer(out, announcement).expect("texts and numbers serialize into memory");
    });
}

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ages = self.0.ages(std::time::Instant::now());
        serializer.collect_map(ages.map(|(name, state, age)| {
            let last_signal_age_ms = age.as_ref().map(Duration::as_millis);
            let source = Source {
                state,
                last_signal_age_ms,
            };
            (name.as_str(), source)
        }))
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn word<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}
