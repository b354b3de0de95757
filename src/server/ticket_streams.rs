//! Event streams that were opened by a ticket, which their readers open again by it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use warp::http::header::HeaderMap;

use super::clients::{Entrance, subscriber};
use super::headers::LAST_EVENT_ID;
use super::tickets::Name;
use crate::auth::{InvalidToken, Principal};

/// The streams, by the tickets that opened them.
///
/// A browser's `EventSource` opens its URL again by itself when the connection breaks. So it may do
/// that from where it came, as long as the stream is open and for [`GRACE_PERIOD`] after; the older
/// connection ends.
#[derive(Debug, Default)]
pub(super) struct TicketStreams {
    state: Mutex<State>,
}

/// Who wants an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// It has nothing yet.
    New,
    /// It names the last event that it has.
    Returning,
}

impl Reader {
    /// What the request says: a browser sends this header when it opens a stream again.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(LAST_EVENT_ID) {
            Some(id) if !id.is_empty() => Self::Returning,
            _ => Self::New,
        }
    }
}

/// A ticket by which somebody may open a stream. Nothing has come of it yet: a request that is refused
/// in the end leaves the stream as it is.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) name: Name,
    /// Who had the ticket made.
    pub(super) principal: Principal,
    /// Where its reader is.
    pub(super) address: IpAddr,
    pub(super) opened: Opened,
}

/// Whether a stream was opened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Never,
    Before,
}

/// A connection by which such a stream is open. Dropped when that ends.
#[derive(Debug)]
pub(super) struct StreamTicket {
    streams: Arc<TicketStreams>,
    name: Name,
    connection: u64,
    /// The stream's place among the clients, which goes from one connection to the next.
    _place: Arc<Entrance>,
    replaced: CancellationToken,
    gone: CancellationToken,
}

/// A stream that was opened.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) ticket: StreamTicket,
    /// Cancelled when the connection is gone that this one stands in for.
    pub(super) before: Option<CancellationToken>,
}

/// How long after its end a stream may be opened again.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

/// Streams that have ended. The oldest are let go of: their readers get another ticket.
const MOST_ENDED: usize = 50_000;

#[derive(Debug, Default)]
struct State {
    streams: HashMap<Name, Stream>,
    /// Until when they may be opened again that have ended.
    ended: BTreeSet<(Instant, Name)>,
    /// So many were opened so far.
    connections: u64,
}

#[derive(Debug)]
struct Stream {
    /// Who had the ticket made.
    principal: Principal,
    /// Where its reader is.
    address: IpAddr,
    /// The one by which it is open.
    connection: u64,
    /// Its place among the clients, as long as it is open.
    place: Weak<Entrance>,
    /// Tells that to end.
    replaced: CancellationToken,
    /// Cancelled when it has.
    gone: CancellationToken,
    /// It has ended, and may be opened again until then.
    until: Option<Instant>,
}

impl TicketStreams {
    /// What somebody at this address may open again by the ticket of this name.
    pub(super) fn find(
        &self,
        name: Name,
        address: IpAddr,
        reader: Reader,
        now: Instant,
    ) -> Result<Claim, InvalidToken> {
        let state = self.swept(now);
        let found = state
            .streams
            .get(&name)
            .filter(|stream| reader == Reader::Returning && stream.address == subscriber(address));
        let stream = found.ok_or(InvalidToken::UnknownTicket)?;
        Ok(Claim {
            name,
            principal: stream.principal.clone(),
            address,
            opened: Opened::Before,
        })
    }

    /// The place among the clients that the stream of this name has, if it is open.
    pub(super) fn place(&self, name: Name, now: Instant) -> Option<Arc<Entrance>> {
        self.swept(now).streams.get(&name)?.place.upgrade()
    }

    /// Opens one at this place. The connection by which it is open, if there is one, ends.
    pub(super) fn open(self: &Arc<Self>, claim: Claim, place: Arc<Entrance>, now: Instant) -> Open {
        let Claim {
            name,
            principal,
            address,
            ..
        } = claim;
        let (replaced, gone) = (CancellationToken::new(), CancellationToken::new());
        let mut state = self.swept(now);
        state.connections += 1;
        let connection = state.connections;
        let stream = Stream {
            principal,
            address: subscriber(address),
            connection,
            place: Arc::downgrade(&place),
            replaced: replaced.clone(),
            gone: gone.clone(),
            until: None,
        };
        let before = state.streams.insert(name, stream).map(|before| {
            before.replaced.cancel();
            if let Some(until) = before.until {
                state.ended.remove(&(until, name));
            }
            before.gone
        });
        let ticket = StreamTicket {
            streams: Arc::clone(self),
            name,
            connection,
            _place: place,
            replaced,
            gone,
        };
        Open { ticket, before }
    }

    /// A connection has ended.
    fn ended(&self, name: Name, connection: u64, now: Instant) {
        let mut state = self.swept(now);
        let State { streams, ended, .. } = &mut *state;
        let Some(stream) = streams
            .get_mut(&name)
            .filter(|stream| stream.connection == connection)
        else {
            return;
        };
        let until = now + GRACE_PERIOD;
        stream.until = Some(until);
        ended.insert((until, name));
        if ended.len() > MOST_ENDED
            && let Some((_, oldest)) = ended.pop_first()
        {
            streams.remove(&oldest);
        }
    }

    /// What is left at this time.
    fn swept(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((until, name)) = state.ended.first().copied()
            && until <= now
        {
            state.streams.remove(&name);
            state.ended.pop_first();
        }
        state
    }
}

impl StreamTicket {
    /// Ends when the reader has come again, so that this connection is no more of use.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for StreamTicket {
    fn drop(&mut self) {
        let now = tokio::time::Instant::now().into_std();
        self.streams.ended(self.name, self.connection, now);
        self.gone.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use futures::FutureExt;

    use super::*;
    use crate::auth::Token;
    use crate::server::clients::Clients;

    const SECOND: Duration = Duration::from_secs(1);
    const UNKNOWN: Option<InvalidToken> = Some(InvalidToken::UnknownTicket);

    fn maker() -> Principal {
        Principal::until(SystemTime::UNIX_EPOCH)
    }

    fn address() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn claim(name: Name) -> Claim {
        Claim {
            name,
            principal: maker(),
            address: address(),
            opened: Opened::Never,
        }
    }

    fn room(most: usize) -> Arc<Clients> {
        Arc::new(Clients::new(most, None))
    }

    fn enter(clients: &Arc<Clients>) -> Option<Arc<Entrance>> {
        clients.enter(address()).map(Arc::new)
    }

    /// Others may want it at any moment.
    #[test]
    fn the_place_of_a_stream_that_is_open_goes_to_its_next_connection() {
        let (streams, now) = (Arc::<TicketStreams>::default(), Instant::now());
        let (clients, name) = (room(1), Name::of(&Token::new("x")));
        assert!(streams.place(name, now).is_none());
        let first = streams.open(claim(name), enter(&clients).unwrap(), now);
        let place = streams.place(name, now).unwrap();
        let second = streams.open(claim(name), place, now);
        drop(first);
        assert!(enter(&clients).is_none());
        drop(second);
        assert!(streams.place(name, now).is_none());
        assert!(enter(&clients).is_some());
    }

    /// As a browser's `EventSource` does it.
    #[tokio::test(start_paused = true)]
    async fn a_stream_may_be_opened_again_from_where_it_was_until_30_seconds_after_its_end() {
        let streams: Arc<TicketStreams> = Arc::default();
        let now = || tokio::time::Instant::now().into_std();
        let name = Name::of(&Token::new("x"));
        let find = |reader, address: &str| {
            let found = streams.find(name, address.parse().unwrap(), reader, now());
            found.map(|claim| assert_eq!(claim.principal, maker()))
        };
        let clients = room(9);
        let open = || {
            let open = streams.open(claim(name), enter(&clients).unwrap(), now());
            let before_is_gone = open.before.is_none_or(|before| before.is_cancelled());
            (open.ticket, before_is_gone)
        };
        assert_eq!(find(Reader::Returning, "192.0.2.1").err(), UNKNOWN);
        let (first, _) = open();
        // While it is open, however long that is.
        tokio::time::advance(1000 * SECOND).await;
        assert_eq!(find(Reader::New, "192.0.2.1").err(), UNKNOWN);
        assert_eq!(find(Reader::Returning, "192.0.2.2").err(), UNKNOWN);
        find(Reader::Returning, "::ffff:192.0.2.1").unwrap();
        // Whoever finds it has not opened it yet.
        assert!(first.replaced().now_or_never().is_none());
        let (second, first_is_gone) = open();
        assert!(!first_is_gone);
        assert!(first.replaced().now_or_never().is_some());
        // The end of one that was replaced is not the end of the stream.
        drop(first);
        tokio::time::advance(GRACE_PERIOD).await;
        assert!(second.replaced().now_or_never().is_none());
        drop(second);
        tokio::time::advance(GRACE_PERIOD - SECOND).await;
        find(Reader::Returning, "192.0.2.1").unwrap();
        let (third, second_is_gone) = open();
        assert!(second_is_gone);
        // Its own time begins when it ends.
        tokio::time::advance(GRACE_PERIOD).await;
        drop(third);
        tokio::time::advance(GRACE_PERIOD).await;
        assert_eq!(find(Reader::Returning, "192.0.2.1").err(), UNKNOWN);
        let state = streams.swept(now());
        assert!(state.streams.is_empty() && state.ended.is_empty());
    }

    #[test]
    fn streams_that_have_ended_are_remembered_up_to_a_bound() {
        let (streams, now) = (Arc::<TicketStreams>::default(), Instant::now());
        let clients = room(1);
        for number in 0..=MOST_ENDED {
            let name = Name::of(&Token::new(number.to_string()));
            drop(streams.open(claim(name), enter(&clients).unwrap(), now));
        }
        let state = streams.swept(now);
        assert_eq!(state.ended.len(), MOST_ENDED);
        assert_eq!(state.streams.len(), MOST_ENDED);
    }
}
