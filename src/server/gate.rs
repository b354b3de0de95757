use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::call::Call;
use super::clients::{Clients, Entrance};
use super::credential::{Brought, Credential, Ways};
use super::refusal::{self, Refusal};
use super::ticket_streams::{Claim, Opened, Reader, StreamTicket, TicketStreams};
use super::tickets::{Name, Tickets};
use super::{Limits, OtherWays};
use crate::auth::{
    Authenticator, InvalidToken, NoCredential, Principal, RetryAfter, Scope, Throttle, Token,
};
use crate::hook::NoHook;
use crate::jwks::Refresh;
use crate::metrics::{Doors, Registry};

/// Decides who is let in: the token, the tries, the room.
#[derive(Debug)]
pub(super) struct Gate {
    /// The one that holds now: other keys, tokens or revocations make another.
    pub(super) authenticator: watch::Receiver<Arc<Authenticator>>,
    /// How to learn of new keys of the issuer, if there are any to learn of.
    key_refresh: Option<Refresh>,
    /// How long an upgrade may wait for that.
    patience: Duration,
    throttle: Throttle,
    other_ways: OtherWays,
    pub(super) tickets: Tickets,
    ticket_streams: Arc<TicketStreams>,
    pub(super) clients: Arc<Clients>,
    pub(super) draining: CancellationToken,
    pub(super) metrics: Doors,
}

/// Somebody who may come in.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) principal: Principal,
    /// What else it asks for behind the question mark, besides to be let in.
    pub(super) query: String,
    /// What to [open](Gate::open) its event stream by, if it came by a ticket.
    pub(super) claim: Option<Box<Claim>>,
}

impl Gate {
    pub(super) fn new(
        authenticator: watch::Receiver<Arc<Authenticator>>,
        key_refresh: Option<Refresh>,
        failed_tries_per_minute: Option<NonZeroU32>,
        other_ways: OtherWays,
        limits: &Limits,
        metrics: &Registry,
    ) -> Self {
        Self {
            authenticator,
            key_refresh,
            patience: limits.handshake,
            throttle: Throttle::new(failed_tries_per_minute),
            other_ways,
            tickets: Tickets::default(),
            ticket_streams: Arc::default(),
            clients: Arc::new(Clients::new(
                limits.connections,
                limits.connections_per_address,
            )),
            draining: CancellationToken::new(),
            metrics: counters(metrics),
        }
    }

    /// Who it is, if it may do this, by the header `Authorization`. Checks a request in the order
    /// in which the protocol promises its answers.
    pub(super) async fn authorise(&self, call: &Call, scope: Scope) -> Result<Principal, Refusal> {
        let admission = self.let_in(call, Ways::Header, scope).await?;
        Ok(admission.principal)
    }

    /// The same while the server drains, too: for what has to be possible as long as anything is
    /// delivered.
    pub(super) async fn authorise_to_the_end(
        &self,
        call: &Call,
        scope: Scope,
    ) -> Result<Principal, Refusal> {
        let admission = self.recognise(call, Ways::Header).await?;
        self.check(&admission.principal, scope)?;
        Ok(admission.principal)
    }

    /// Whether somebody who was let in may still do what he asks for, at this moment. To be asked
    /// when a body has come, right before what it asks for is done: it may have taken its time, and
    /// his token may have been revoked or have expired meanwhile.
    pub(super) fn still_admits(&self, principal: &Principal, call: &Call) -> Result<(), Refusal> {
        let address = call.visit.address;
        self.holds(principal)
            .map_err(|problem| self.refuse(problem, address))
    }

    /// Who it is, whatever it may do.
    pub(super) async fn identify(&self, call: &Call) -> Result<Principal, Refusal> {
        let admission = self.recognise(call, Ways::Header).await?;
        self.is_open()?;
        Ok(admission.principal)
    }

    /// As [`Self::authorise`], where browsers, which can't set headers there, have other ways.
    pub(super) async fn let_in(
        &self,
        call: &Call,
        ways: Ways,
        scope: Scope,
    ) -> Result<Admission, Refusal> {
        let admission = self.recognise(call, ways).await?;
        self.check(&admission.principal, scope)?;
        self.is_open()?;
        Ok(admission)
    }

    /// Whether somebody who has no credential may say later who it is.
    pub(super) fn asks_later(&self, call: &Call) -> bool {
        let ways = self.other_ways;
        let brought = || Brought::of(&call.headers, &call.query, Ways::Upgrade, ways);
        ways.first_message && brought().err() == Some(NoCredential::Missing)
    }

    /// Who it is by a token that comes in a message instead of a request, if it may read signals.
    pub(super) async fn authorise_reader(
        &self,
        token: &Token,
        address: IpAddr,
    ) -> Result<Principal, Refusal> {
        let principal = self.authenticate(token, address).await?;
        self.check(&principal, Scope::SignalsRead)?;
        Ok(principal)
    }

    fn check(&self, principal: &Principal, scope: Scope) -> Result<(), Refusal> {
        if !principal.has(scope) {
            let refusal = Refusal::InsufficientScope(scope);
            self.metrics.auth_failed(refusal.code());
            return Err(refusal);
        }
        Ok(())
    }

    /// Whether the server goes on.
    pub(super) fn is_open(&self) -> Result<(), Refusal> {
        let draining = self.draining.is_cancelled();
        (!draining).then_some(()).ok_or(Refusal::Draining)
    }

    /// Whether there is a place for one more client from this address. Nobody has it yet: somebody
    /// who is turned away in the end was no client at any time.
    pub(super) fn has_room(&self, address: IpAddr) -> Result<(), Refusal> {
        let room = self.clients.has_room(address).then_some(());
        room.ok_or(Refusal::Overloaded)
    }

    /// A place for one more client from this address.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Entrance, Refusal> {
        self.clients.enter(address).ok_or(Refusal::Overloaded)
    }

    /// Counts a try to get in that failed for this reason; the answer to it is this one, unless
    /// there were too many from this address.
    pub(super) fn failed(
        &self,
        address: IpAddr,
        reason: &'static str,
        refusal: Refusal,
    ) -> Refusal {
        self.metrics.auth_failed(reason);
        match self.throttle.failed(address) {
            Ok(()) => refusal,
            Err(RetryAfter(wait)) => Refusal::TooManyAttempts(wait),
        }
    }

    /// A good credential always gets in; only refused ones count as tries.
    async fn recognise(&self, call: &Call, ways: Ways) -> Result<Admission, Refusal> {
        let brought =
            Brought::of(&call.headers, &call.query, ways, self.other_ways).map_err(|missing| {
                let refusal = match missing {
                    NoCredential::Twice => Refusal::TwoCredentials,
                    NoCredential::Missing => Refusal::MissingToken,
                };
                self.metrics.auth_failed(refusal.code());
                refusal
            })?;
        let address = call.visit.address;
        let (principal, claim) = match &brought.credential {
            Credential::Token(token) => (self.authenticate(token, address).await?, None),
            Credential::Unreadable(problem) => return Err(self.refuse(problem.clone(), address)),
            Credential::Ticket(ticket) => self
                .redeem(ticket, call, ways)
                .map_err(|problem| self.refuse(problem, address))?,
        };
        Ok(Admission {
            principal,
            query: brought.query,
            claim,
        })
    }

    /// Opens the event stream of somebody who was let in by a ticket and is turned away for nothing
    /// but want of room. Where the stream is open, its place is handed over, at no time free for
    /// others, and the connection that had it ends.
    pub(super) async fn open(&self, claim: Claim) -> Result<Box<StreamTicket>, Refusal> {
        let now = Instant::now().into_std();
        let place = match self.ticket_streams.place(claim.name, now) {
            Some(place) => place,
            None => Arc::new(self.admit(claim.address)?),
        };
        let open = self.ticket_streams.open(claim, place, now);
        if let Some(before) = open.before {
            // So that there is one connection at a time, unless the older one hangs.
            timeout(self.patience, before.cancelled()).await.ok();
        }
        Ok(Box::new(open.ticket))
    }

    /// A ticket lets in whom its maker's token lets in, and only as long as that.
    fn redeem(
        &self,
        ticket: &Token,
        call: &Call,
        ways: Ways,
    ) -> Result<(Principal, Option<Box<Claim>>), InvalidToken> {
        let now = Instant::now().into_std();
        let (principal, claim) = match ways {
            Ways::Stream => {
                let claim = self.claim(ticket, call, now)?;
                (claim.principal.clone(), Some(Box::new(claim)))
            }
            Ways::Header | Ways::Upgrade => (self.tickets.redeem(ticket, now)?, None),
        };
        self.holds(&principal)?;
        Ok((principal, claim))
    }

    /// Whether the token by which somebody was let in is still good.
    fn holds(&self, principal: &Principal) -> Result<(), InvalidToken> {
        if SystemTime::now() >= principal.expires_at() {
            return Err(InvalidToken::Expired);
        }
        let authenticator = Arc::clone(&self.authenticator.borrow());
        let admitted = authenticator.still_admits(principal);
        admitted.map_err(|_| InvalidToken::Revoked)
    }

    /// An unused ticket opens a stream, a used one opens its own again.
    fn claim(
        &self,
        ticket: &Token,
        call: &Call,
        now: std::time::Instant,
    ) -> Result<Claim, InvalidToken> {
        let (name, address) = (Name::of(ticket), call.visit.address);
        match self.tickets.redeem(ticket, now) {
            Ok(principal) => Ok(Claim {
                name,
                principal,
                address,
                opened: Opened::Never,
            }),
            Err(_) => {
                let reader = Reader::of(&call.headers);
                self.ticket_streams.find(name, address, reader, now)
            }
        }
    }

    /// Before a key counts as unknown, the issuer is asked for new ones.
    async fn authenticate(&self, token: &Token, address: IpAddr) -> Result<Principal, Refusal> {
        let mut judged = self.look_at(token);
        if judged == Err(InvalidToken::UnknownKey)
            && let Some(refresh) = &self.key_refresh
        {
            refresh.now(self.patience).await;
            judged = self.look_at(token);
        }
        judged.map_err(|problem| self.refuse(problem, address))
    }

    fn refuse(&self, problem: InvalidToken, address: IpAddr) -> Refusal {
        debug!(reason = problem.reason(), %address, "token refused");
        self.failed(address, problem.reason(), Refusal::InvalidToken(problem))
    }

    fn look_at(&self, token: &Token) -> Result<Principal, InvalidToken> {
        let authenticator = Arc::clone(&self.authenticator.borrow());
        authenticator.authenticate(token, SystemTime::now())
    }
}

/// What is counted at the gate and around it: all the reasons there are, from the start.
fn counters(metrics: &Registry) -> Doors {
    let refusals = [
        Refusal::TwoCredentials,
        Refusal::MissingToken,
        Refusal::InsufficientScope(Scope::SignalsRead),
    ];
    let mut failures: Vec<_> = refusals.iter().map(Refusal::code).collect();
    failures.extend(InvalidToken::REASONS);
    failures.extend(NoHook::REASONS);
    Doors::new(metrics, refusal::CODES, &failures)
}
