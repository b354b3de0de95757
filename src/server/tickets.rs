//! Tickets: what a page that can't set headers is let in by, once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::{InvalidToken, NoRandom, Principal, Token};

/// All that were made and wait to be used. Only their SHA-256 is kept.
///
/// A ticket is good once, until [`LIFETIME`] after it was made.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    unused: Mutex<Unused>,
}

/// No ticket can be made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTicket {
    #[error("as many tickets as allowed wait to be used")]
    TooMany,
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// SHA-256 of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name([u8; 32]);

/// How long a ticket waits to be used.
pub(super) const LIFETIME: Duration = Duration::from_secs(30);

/// Tickets that wait to be used, some 4 MB. Whoever wants more comes back in a moment.
const MOST_UNUSED: usize = 10_000;

/// Of these, those of one subject, so that nobody keeps others from having any. That is enough for a
/// page's own server that has all its readers come at once, and uses each ticket within a second.
const MOST_OF_ONE: usize = 1_000;

#[derive(Debug, Default)]
struct Unused {
    tickets: HashMap<Name, Ticket>,
    /// Until when somebody has to have used them.
    ends: BTreeSet<(Instant, Name)>,
    /// The same for each subject that has any.
    of_subjects: HashMap<Box<str>, BTreeSet<(Instant, Name)>>,
}

#[derive(Debug)]
struct Ticket {
    /// Who had it made.
    principal: Principal,
    until: Instant,
}

impl Tickets {
    /// Another one for whoever this is. His oldest makes room if he has many.
    pub(super) fn issue(&self, principal: Principal, now: Instant) -> Result<Token, NoTicket> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| NoRandom)?;
        let ticket = Token::new(URL_SAFE_NO_PAD.encode(secret));
        let (name, until) = (Name::of(&ticket), now + LIFETIME);
        let mut unused = self.unused(now);
        if let Some(oldest) = unused.too_many_of(principal.subject()) {
            unused.remove(oldest);
        }
        if unused.tickets.len() >= MOST_UNUSED {
            return Err(NoTicket::TooMany);
        }
        unused.insert(name, Ticket { principal, until });
        Ok(ticket)
    }

    /// Uses one up: who had it made, as it was then.
    pub(super) fn redeem(&self, ticket: &Token, now: Instant) -> Result<Principal, InvalidToken> {
        let used = self.unused(now).remove(Name::of(ticket));
        used.map(|ticket| ticket.principal)
            .ok_or(InvalidToken::UnknownTicket)
    }

    /// Those that are good still.
    fn unused(&self, now: Instant) -> MutexGuard<'_, Unused> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((until, name)) = unused.ends.first().copied()
            && until <= now
        {
            unused.remove(name);
        }
        unused
    }
}

impl Unused {
    fn insert(&mut self, name: Name, ticket: Ticket) {
        let end = (ticket.until, name);
        self.ends.insert(end);
        let of_subject = self.of_subjects.entry(ticket.principal.subject().into());
        of_subject.or_default().insert(end);
        self.tickets.insert(name, ticket);
    }

    fn remove(&mut self, name: Name) -> Option<Ticket> {
        let ticket = self.tickets.remove(&name)?;
        let (subject, end) = (ticket.principal.subject(), (ticket.until, name));
        self.ends.remove(&end);
        if let Some(of_subject) = self.of_subjects.get_mut(subject) {
            of_subject.remove(&end);
            if of_subject.is_empty() {
                self.of_subjects.remove(subject);
            }
        }
        Some(ticket)
    }

    /// The oldest of a subject that has as many as it may have.
    fn too_many_of(&self, subject: &str) -> Option<Name> {
        let of_subject = self.of_subjects.get(subject)?;
        let (_, oldest) = of_subject.first()?;
        (of_subject.len() >= MOST_OF_ONE).then_some(*oldest)
    }
}

impl Name {
    pub(super) fn of(ticket: &Token) -> Self {
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, ticket.reveal().as_bytes()).as_ref());
        Self(name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;
    use std::time::SystemTime;

    use super::*;

    const UNKNOWN: Option<InvalidToken> = Some(InvalidToken::UnknownTicket);

    fn maker() -> Principal {
        Principal::until(SystemTime::UNIX_EPOCH)
    }

    fn is_empty(tickets: &Tickets, now: Instant) -> bool {
        let unused = tickets.unused(now);
        unused.tickets.is_empty() && unused.ends.is_empty() && unused.of_subjects.is_empty()
    }

    #[test]
    fn a_ticket_is_good_once_and_for_its_maker() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let ticket = tickets.issue(maker(), now).unwrap();
        assert_eq!(ticket.reveal().len(), 43);
        assert_eq!(tickets.redeem(&ticket, now), Ok(maker()));
        assert_eq!(tickets.redeem(&ticket, now).err(), UNKNOWN);
        assert_eq!(tickets.redeem(&Token::new(""), now).err(), UNKNOWN);
        assert!(is_empty(&tickets, now));
    }

    #[test]
    fn a_ticket_that_nobody_uses_is_forgotten_after_30_seconds() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let ticket = || tickets.issue(maker(), now).unwrap();
        let (first, second) = (ticket(), ticket());
        let last = now + LIFETIME - Duration::from_nanos(1);
        assert_eq!(tickets.redeem(&first, last), Ok(maker()));
        assert_eq!(tickets.redeem(&second, now + LIFETIME).err(), UNKNOWN);
        assert!(is_empty(&tickets, now + LIFETIME));
    }

    #[test]
    fn of_many_that_try_at_once_one_gets_in() {
        let (tickets, now) = (Tickets::default(), Instant::now());
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
        let (tickets, now) = (Tickets::default(), Instant::now());
        let mut made: Vec<Token> = (0..MOST_UNUSED)
            .map(|number| {
                let maker = Principal::of(&(number % 20).to_string());
                tickets.issue(maker, now).unwrap()
            })
            .collect();
        let different: HashSet<&str> = made.iter().map(Token::reveal).collect();
        assert_eq!(different.len(), MOST_UNUSED);
        assert_eq!(tickets.issue(maker(), now), Err(NoTicket::TooMany));
        assert!(tickets.redeem(&made.pop().unwrap(), now).is_ok());
        assert!(tickets.issue(maker(), now).is_ok());
        assert_eq!(tickets.issue(maker(), now), Err(NoTicket::TooMany));
        assert!(tickets.issue(maker(), now + LIFETIME).is_ok());
    }

    #[test]
    fn whoever_makes_many_loses_his_oldest_and_keeps_nobody_else_from_any() {
        let (tickets, begun) = (Tickets::default(), Instant::now());
        let greedy = || Principal::of("greedy");
        let other = tickets.issue(Principal::of("other"), begun).unwrap();
        let at = |number: usize| begun + Duration::from_micros(number as u64);
        let made: Vec<Token> = (0..2 * MOST_UNUSED)
            .map(|number| tickets.issue(greedy(), at(number)).unwrap())
            .collect();
        let now = at(2 * MOST_UNUSED);
        assert!(tickets.issue(maker(), now).is_ok());
        assert_eq!(tickets.redeem(&other, now), Ok(Principal::of("other")));
        let (lost, good) = made.split_at(made.len() - MOST_OF_ONE);
        assert!(lost.iter().all(|lost| tickets.redeem(lost, now).is_err()));
        let redeemed = |good| tickets.redeem(good, now) == Ok(greedy());
        assert!(good.iter().all(redeemed));
        assert!(is_empty(&tickets, now + LIFETIME));
    }
}
