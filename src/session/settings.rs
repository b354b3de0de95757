use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Departures, Judge, TestSignal};
use crate::auth::Authenticator;
use crate::history::History;
use crate::journal::Epoch;
use crate::source::States;

/// What holds for every session.
#[derive(Debug)]
pub struct Settings {
    /// Longest message a client may send, in bytes.
    pub message_bytes: usize,
    /// Text messages a client may send a second; it may send twice as many at once.
    pub commands_per_second: NonZeroU32,
    /// Time between two pings.
    pub ping: Duration,
    /// A client that sends nothing for this long is let go.
    pub silence: Duration,
    /// A client of `signalcast.v2` that was sent nothing for this long is sent a heartbeat.
    pub heartbeat: Duration,
    /// A client that takes nothing for this long is let go.
    pub write_timeout: Duration,
    /// Who is let in, as it changes: who would be let in no more is let go.
    pub authenticator: watch::Receiver<Arc<Authenticator>>,
    /// Judges the tokens with which clients go on.
    pub judge: Box<dyn Judge>,
    /// What the hot tail does not hold any more.
    pub history: History,
    /// When each client is let go as the server shuts down.
    pub departures: Arc<Departures>,
    /// The answer to `test`.
    pub test: TestSignal,
    /// Which log it is.
    pub epoch: Epoch,
    /// How the sources are doing.
    pub sources: States,
}
