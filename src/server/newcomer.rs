//! Who a connection turns out to be for, on the way from the route that let it in to the session.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clients::Entrance;
use super::ticket_streams::StreamTicket;
use super::wish::Wish;
use crate::auth::Principal;
use crate::hub::{Framing, View};
use crate::session::LogRange;
use crate::signal::Seq;

/// Who a connection has become a WebSocket or an event stream for.
#[derive(Debug)]
pub(super) enum Newcomer {
    /// Somebody who was let in.
    Known(Subscriber),
    /// Somebody who is to say first who it is.
    Stranger(Wish),
}

/// Somebody who was let in, with a place kept.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) principal: Principal,
    pub(super) place: Place,
    /// Where the client is, which may be behind a proxy.
    pub(super) address: IpAddr,
    /// What it gets.
    pub(super) view: View,
    /// The first signal it is sent.
    pub(super) cursor: Seq,
    /// What the log held when it came.
    pub(super) log: LogRange,
}

/// A place among the clients. Dropping it makes room.
#[derive(Debug)]
pub(super) enum Place {
    Own(#[expect(dead_code, reason = "it is only held")] Entrance),
    /// That of the event stream that is open by a ticket, whose next connection may get it.
    OfStream(Box<StreamTicket>),
}

/// Where a route leaves the one whom it has let in, for the connection. All clones are one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted(Arc<Mutex<Option<Newcomer>>>);

impl Admitted {
    /// The connection is this one's from now on.
    pub(super) fn put(&self, newcomer: Newcomer) {
        *self.place() = Some(newcomer);
    }

    /// Whose it is, if it has become anybody's; once.
    pub(super) fn take(&self) -> Option<Newcomer> {
        self.place().take()
    }

    /// Whether it is that of a reader of events.
    pub(super) fn wants_events(&self) -> bool {
        match &*self.place() {
            Some(Newcomer::Known(subscriber)) => subscriber.view.framing == Framing::Events,
            Some(Newcomer::Stranger(_)) | None => false,
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<Newcomer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
