//! Tickets: what a page that can't set headers is let in by, once.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_util::sync::CancellationToken;
use warp::http::header::HeaderMap;

use super::clients::subscriber;
use super::headers::LAST_EVENT_ID;
use crate::auth::{InvalidToken, NoRandom, Principal, Token};

/// All that were made and are good for something still. Only their SHA-256 is kept.
///
/// A ticket is good once, until [`LIFETIME`] after it was made. One that has opened an event stream
/// is good for that stream still: a browser's `EventSource` opens its URL again by itself when the
/// connection breaks. So it may do that from where it came, as long as the stream is open and for
/// [`LIFETIME`] after; the older connection ends.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    state: Mutex<State>,
}

/// No ticket can be made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTicket {
    #[error("as many tickets as allowed wait to be used")]
    TooMany,
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
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

/// A ticket by which an event stream is open. Dropped when that ends.
#[derive(Debug)]
pub(super) struct StreamTicket {
    tickets: Arc<Tickets>,
    name: Name,
    connection: u64,
    replaced: CancellationToken,
    gone: CancellationToken,
}

/// A stream that was opened.
#[derive(Debug)]
pub(super) struct Open {
    /// Who had the ticket made.
    pub(super) principal: Principal,
    pub(super) ticket: StreamTicket,
    /// Cancelled when the connection is gone that this one takes the place of.
    pub(super) before: Option<CancellationToken>,
}

/// How long a ticket waits to be used, or to be used again.
pub(super) const LIFETIME: Duration = Duration::from_secs(30);

/// Tickets that wait to be used, some 4 MB. Whoever wants more comes back in a moment.
const MOST_UNUSED: usize = 10_000;

/// Tickets of streams that have ended. The oldest are let go of: their readers get another one.
const MOST_ENDED: usize = 50_000;

/// SHA-256 of a ticket.
type Name = [u8; 32];

#[derive(Debug, Default)]
struct State {
    tickets: HashMap<Name, Ticket>,
    /// Until when nobody has to have used them.
    unused: BTreeSet<(Instant, Name)>,
    /// Until when they may open their stream again.
    ended: BTreeSet<(Instant, Name)>,
}

#[derive(Debug)]
struct Ticket {
    /// Who had it made.
    principal: Principal,
    used: Use,
}

#[derive(Debug)]
enum Use {
    /// None yet.
    Not { until: Instant },
    /// It has opened a stream.
    Stream(Opened),
}

#[derive(Debug)]
struct Opened {
    /// From here.
    address: IpAddr,
    /// By its so manieth connection.
    connection: u64,
    /// Tells that to end.
    replaced: CancellationToken,
    /// Cancelled when it has.
    gone: CancellationToken,
    /// It has ended; the ticket is good until then.
    until: Option<Instant>,
}

impl Tickets {
    /// Another one for whoever this is.
    pub(super) fn issue(&self, principal: Principal, now: Instant) -> Result<Token, NoTicket> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| NoRandom)?;
        let ticket = Token::new(URL_SAFE_NO_PAD.encode(secret));
        let (name, until) = (name(&ticket), now + LIFETIME);
        let mut state = self.swept(now);
        if state.unused.len() >= MOST_UNUSED {
            return Err(NoTicket::TooMany);
        }
        let used = Use::Not { until };
        state.tickets.insert(name, Ticket { principal, used });
        state.unused.insert((until, name));
        Ok(ticket)
    }

    /// Uses one up: who had it made, as it was then.
    pub(super) fn redeem(&self, ticket: &Token, now: Instant) -> Result<Principal, InvalidToken> {
        let name = name(ticket);
        let mut state = self.swept(now);
        let until = match state.tickets.get(&name).map(|ticket| &ticket.used) {
            Some(Use::Not { until }) => *until,
            Some(Use::Stream(_)) | None => return Err(InvalidToken::UnknownTicket),
        };
        state.unused.remove(&(until, name));
        let ticket = state.tickets.remove(&name);
        ticket
            .map(|ticket| ticket.principal)
            .ok_or(InvalidToken::UnknownTicket)
    }

    /// Uses one for an event stream of a reader at this address.
    pub(super) fn stream(
        self: &Arc<Self>,
        ticket: &Token,
        address: IpAddr,
        reader: Reader,
        now: Instant,
    ) -> Result<Open, InvalidToken> {
        let (name, address) = (name(ticket), subscriber(address));
        let mut state = self.swept(now);
        let State {
            tickets,
            unused,
            ended,
        } = &mut *state;
        let ticket = tickets.get_mut(&name).ok_or(InvalidToken::UnknownTicket)?;
        let (connection, before) = match &ticket.used {
            Use::Not { until } => {
                unused.remove(&(*until, name));
                (0, None)
            }
            Use::Stream(before) if reader == Reader::Returning && before.address == address => {
                before.replaced.cancel();
                if let Some(until) = before.until {
                    ended.remove(&(until, name));
                }
                (before.connection + 1, Some(before.gone.clone()))
            }
            Use::Stream(_) => return Err(InvalidToken::UnknownTicket),
        };
        let (replaced, gone) = (CancellationToken::new(), CancellationToken::new());
        ticket.used = Use::Stream(Opened {
            address,
            connection,
            replaced: replaced.clone(),
            gone: gone.clone(),
            until: None,
        });
        let principal = ticket.principal.clone();
        let ticket = StreamTicket {
            tickets: Arc::clone(self),
            name,
            connection,
            replaced,
            gone,
        };
        Ok(Open {
            principal,
            ticket,
            before,
        })
    }

    /// The connection of a stream has ended.
    fn ended(&self, name: Name, connection: u64, now: Instant) {
        let mut state = self.swept(now);
        let State { tickets, ended, .. } = &mut *state;
        let Some(Use::Stream(opened)) = tickets.get_mut(&name).map(|ticket| &mut ticket.used)
        else {
            return;
        };
        if opened.connection != connection {
            return;
        }
        let until = now + LIFETIME;
        opened.until = Some(until);
        ended.insert((until, name));
        if ended.len() > MOST_ENDED
            && let Some((_, oldest)) = ended.pop_first()
        {
            tickets.remove(&oldest);
        }
    }

    /// What is left at this time.
    fn swept(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            tickets,
            unused,
            ended,
        } = &mut *state;
        for waiting in [unused, ended] {
            while let Some((until, name)) = waiting.first()
                && *until <= now
            {
                tickets.remove(name);
                waiting.pop_first();
            }
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
        self.tickets.ended(self.name, self.connection, now);
        self.gone.cancel();
    }
}

fn name(ticket: &Token) -> Name {
    let mut name = [0; 32];
    name.copy_from_slice(digest(&SHA256, ticket.reveal().as_bytes()).as_ref());
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;
    use std::time::SystemTime;

    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const UNKNOWN: Option<InvalidToken> = Some(InvalidToken::UnknownTicket);

    fn tickets() -> Arc<Tickets> {
        Arc::default()
    }

    fn maker() -> Principal {
        Principal::until(SystemTime::UNIX_EPOCH)
    }

    fn here() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn is_empty(tickets: &Tickets, now: Instant) -> bool {
        let state = tickets.swept(now);
        state.tickets.is_empty() && state.unused.is_empty() && state.ended.is_empty()
    }

    #[test]
    fn a_ticket_is_good_once_and_for_its_maker() {
        let (tickets, now) = (tickets(), Instant::now());
        let ticket = tickets.issue(maker(), now).unwrap();
        assert_eq!(ticket.reveal().len(), 43);
        assert_eq!(tickets.redeem(&ticket, now), Ok(maker()));
        assert_eq!(tickets.redeem(&ticket, now).err(), UNKNOWN);
        let stream = tickets.stream(&ticket, here(), Reader::Returning, now);
        assert_eq!(stream.err(), UNKNOWN);
        assert_eq!(tickets.redeem(&Token::new(""), now).err(), UNKNOWN);
        assert!(is_empty(&tickets, now));
    }

    #[test]
    fn a_ticket_that_nobody_uses_is_forgotten_after_30_seconds() {
        let (tickets, now) = (tickets(), Instant::now());
        let ticket = || tickets.issue(maker(), now).unwrap();
        let (first, second) = (ticket(), ticket());
        let last = now + LIFETIME - Duration::from_nanos(1);
        assert_eq!(tickets.redeem(&first, last), Ok(maker()));
        assert_eq!(tickets.redeem(&second, now + LIFETIME).err(), UNKNOWN);
        assert!(is_empty(&tickets, now + LIFETIME));
    }

    #[test]
    fn of_many_that_try_at_once_one_gets_in() {
        let (tickets, now) = (tickets(), Instant::now());
        let ticket = tickets.issue(maker(), now).unwrap();
        let let_in = thread::scope(|scope| {
            let tries: Vec<_> = (0..50)
                .map(|_| scope.spawn(|| tickets.redeem(&ticket, now).is_ok()))
                .collect();
            let outcomes = tries.into_iter().map(|one| one.join().unwrap());
            outcomes.filter(|is_in| *is_in).count()
        });
        assert_eq!(let_in, 1);
    }

    #[test]
    fn no_more_than_so_many_wait_to_be_used() {
        let (tickets, now) = (tickets(), Instant::now());
        let mut made: Vec<Token> = (0..MOST_UNUSED)
            .map(|_| tickets.issue(maker(), now).unwrap())
            .collect();
        let different: HashSet<&str> = made.iter().map(Token::reveal).collect();
        assert_eq!(different.len(), MOST_UNUSED);
        assert_eq!(tickets.issue(maker(), now), Err(NoTicket::TooMany));
        let ticket = made.pop().unwrap();
        let _open = tickets.stream(&ticket, here(), Reader::New, now).unwrap();
        assert!(tickets.issue(maker(), now).is_ok());
        assert_eq!(tickets.issue(maker(), now), Err(NoTicket::TooMany));
        assert!(tickets.issue(maker(), now + LIFETIME).is_ok());
    }

    /// As a browser's `EventSource` does it.
    #[tokio::test(start_paused = true)]
    async fn a_stream_may_be_opened_again_from_where_it_was_until_30_seconds_after_its_end() {
        let tickets = tickets();
        let now = || tokio::time::Instant::now().into_std();
        let ticket = tickets.issue(maker(), now()).unwrap();
        let open = |stream, address: &str| {
            let open = tickets.stream(&ticket, address.parse().unwrap(), stream, now())?;
            assert_eq!(open.principal, maker());
            let before_is_gone = open.before.is_none_or(|before| before.is_cancelled());
            Ok::<_, InvalidToken>((open.ticket, before_is_gone))
        };
        let (first, _) = open(Reader::New, "192.0.2.1").unwrap();
        // While it is open, however long that is.
        tokio::time::advance(1000 * SECOND).await;
        assert_eq!(open(Reader::New, "192.0.2.1").err(), UNKNOWN);
        assert_eq!(open(Reader::Returning, "192.0.2.2").err(), UNKNOWN);
        assert_eq!(tickets.redeem(&ticket, now()).err(), UNKNOWN);
        assert!(first.replaced().now_or_never().is_none());
        let (second, first_is_gone) = open(Reader::Returning, "::ffff:192.0.2.1").unwrap();
        assert!(!first_is_gone);
        assert!(first.replaced().now_or_never().is_some());
        // The end of one that was replaced is not the end of the stream.
        drop(first);
        tokio::time::advance(LIFETIME).await;
        assert!(second.replaced().now_or_never().is_none());
        drop(second);
        tokio::time::advance(LIFETIME - SECOND).await;
        let (third, second_is_gone) = open(Reader::Returning, "192.0.2.1").unwrap();
        assert!(second_is_gone);
        // Its own time begins when it ends.
        tokio::time::advance(LIFETIME).await;
        drop(third);
        tokio::time::advance(LIFETIME).await;
        assert_eq!(open(Reader::Returning, "192.0.2.1").err(), UNKNOWN);
        assert!(is_empty(&tickets, now()));
    }

    #[test]
    fn streams_that_have_ended_are_remembered_up_to_a_bound() {
        let (tickets, now) = (tickets(), Instant::now());
        for _ in 0..=MOST_ENDED {
            let ticket = tickets.issue(maker(), now).unwrap();
            drop(tickets.stream(&ticket, here(), Reader::New, now));
        }
        let state = tickets.swept(now);
        assert_eq!(state.ended.len(), MOST_ENDED);
        assert_eq!(state.tickets.len(), MOST_ENDED);
    }
}
