//! One client: what it may see, its deadlines, its commands, and catching up when it is behind.
//!
//! A session keeps no signals. While its client is caught up, the shard's passes write for it and
//! the session waits only for what the client sends and for its deadlines. Knows nothing of HTTP
//! or TLS.

mod announcement;
mod answer;
mod answering;
mod boundary;
mod close;
mod command;
mod deadlines;
mod departures;
mod ending;
mod halting;
mod inlet;
mod judge;
mod log_range;
mod postponed;
mod reading;
mod receive;
mod settings;
mod stranger;
mod test_signals;
#[cfg(test)]
mod testing;

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::auth::Principal;
use crate::hub::{Framing, View, frame};
use crate::shard::{Card, Client, Group, Shard};
use crate::signal::Protocol;

pub use close::Close;
pub use departures::Departures;
pub use ending::Ended;
pub use judge::{Judge, Refused, Verdict};
pub use log_range::{Held, LogRange};
pub use settings::Settings;
pub use stranger::{Stranger, Unintroduced};
pub use test_signals::TestSignal;

use deadlines::{Deadlines, Due};
use ending::{Listen, Phase};
use halting::Noted;
use inlet::Inlet;
use postponed::Postponed;
use reading::{Next, Reading};
use receive::Input;
use test_signals::TestSignals;

/// One client that was let in.
#[derive(Debug)]
pub struct Session {
    shard: Rc<Shard>,
    group: Rc<Group>,
    client: Rc<Client>,
    principal: Principal,
    address: IpAddr,
    card: Rc<Card>,
    settings: Rc<Settings>,
    inlet: Inlet,
    tests: TestSignals,
    command_rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    deadlines: Deadlines,
    phase: Phase,
    reading: Reading,
    postponed: Option<Box<Postponed>>,
    /// The changes of the shard that it has taken note of.
    changes_seen: u16,
    /// The same of the halt switch.
    halts_noted: Noted,
}

/// Who is served.
#[derive(Debug)]
pub struct Who {
    /// The one that was let in.
    pub principal: Principal,
    /// Where it is, which may be behind a proxy.
    pub address: IpAddr,
}

/// Where a client stands after it was sent what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has everything.
    CaughtUp,
    /// It is sent nothing more while the server is halted.
    Halted,
    /// Its socket is full.
    Blocked,
    /// It takes more at once, or has sent more, but others want their turn.
    Behind,
    /// What it gets next is being read from the log.
    Reading,
}

/// Writes of a session that is behind, each of about 64 KiB, before others get their turn.
const TURN_WRITES: usize = 4;

impl Session {
    /// The session of a client that was let in when the log held this, and gets what this view
    /// shows. `early` is what the client sent right behind its request.
    pub fn new(
        shard: Rc<Shard>,
        client: Client,
        who: Who,
        view: &View,
        log: LogRange,
        settings: Rc<Settings>,
        early: &[u8],
    ) -> Self {
        let mut inlet = match view.framing {
            Framing::WebSocket => Inlet::new(settings.message_bytes),
            Framing::Events => Inlet::deaf(),
        };
        inlet.push(early);
        Self::with(shard, client, who, view, log, settings, inlet)
    }

    /// The same for a client of which something was read already.
    fn with(
        shard: Rc<Shard>,
        client: Client,
        who: Who,
        view: &View,
        log: LogRange,
        settings: Rc<Settings>,
        inlet: Inlet,
    ) -> Self {
        let group = shard.groups().of(view);
        let client = Rc::new(client);
        let Who { principal, address } = who;
        let card = shard
            .roster()
            .enter(principal.subject(), address, &client, &group);
        if view.protocol == Protocol::V2 {
            announcement::establish(&client, view.framing, card.id(), log, &settings);
            halting::greet(&client, view.framing, shard.halts());
        }
        let rate = settings.commands_per_second;
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        Self {
            deadlines: Deadlines::begin(&settings, view.framing, Instant::now()),
            command_rate: RateLimiter::direct(quota),
            client,
            tests: TestSignals::new(),
            phase: Phase::Open,
            reading: Reading::Nothing,
            postponed: None,
            // None of them yet: what let it in may have changed on the way here.
            changes_seen: shard.changes().wrapping_sub(1),
            halts_noted: Noted::now(shard.halts()),
            shard,
            group,
            principal,
            address,
            card,
            settings,
            inlet,
        }
    }

    /// Bytes the client's socket has taken, encrypted if they are.
    pub fn sent_bytes(&self) -> u64 {
        self.client.sent_bytes()
    }

    /// Serves the client until it or we end it.
    pub async fn run(&mut self) -> Ended {
        let ended = self.serve().await;
        self.part();
        ended
    }

    /// The same, and until it is of no more use.
    pub async fn run_until(&mut self, replaced: impl Future<Output = ()>) -> Ended {
        let ended = tokio::select! {
            ended = self.serve() => ended,
            () = replaced => Ended::ByServer(Close::Replaced),
        };
        self.part();
        ended
    }

    async fn serve(&mut self) -> Ended {
        // Reads what came with the request before anything is waited for.
        if let Err(ended) = self.parse() {
            return ended;
        }
        loop {
            // Passes count what they write themselves.
            let before = self.sent_bytes();
            let step = self.step();
            self.shard.metrics().sent(0, self.sent_bytes() - before);
            let standing = match step {
                Ok(standing) => standing,
                Err(ended) => return ended,
            };
            if standing == Standing::Behind {
                tokio::task::yield_now().await;
            } else {
                self.wait(standing).await;
            }
        }
    }

    /// Does all that can be done at once: reads, looks at the deadlines, writes.
    fn step(&mut self) -> Result<Standing, Ended> {
        if let Some(error) = self.client.take_fault() {
            return Err(Ended::Broken(error));
        }
        let input = self.receive()?;
        self.meet_changes();
        if self.card.is_sent_away() && matches!(self.phase, Phase::Open) {
            self.close(Close::Disconnected);
        }
        self.meet_deadlines()?;
        let standing = self.send().map_err(Ended::Broken)?;
        match (self.phase, standing) {
            (Phase::Open, Standing::CaughtUp | Standing::Halted) if self.lets_go() => {
                self.close(Close::GoingAway);
                return Ok(Standing::Behind);
            }
            (Phase::Open, Standing::CaughtUp) => {
                self.shard.behind().remove(&self.client);
                if self.beat() {
                    return Ok(Standing::Behind);
                }
                self.group.join(&self.client);
            }
            (Phase::Open, Standing::Halted) => {
                self.leave();
                if self.beat() {
                    return Ok(Standing::Behind);
                }
            }
            (Phase::Open, Standing::Blocked | Standing::Behind | Standing::Reading) => {
                self.shard.behind().add(&self.client);
            }
            (Phase::Closing { why, listen }, Standing::CaughtUp) => {
                match listen {
                    Listen::No => return Err(Ended::ByServer(why)),
                    // It gives no answer, or none that could be told from the rest: its end is
                    // answer enough.
                    Listen::ForEnd => self.client.hang_up(),
                    Listen::ForClose => {}
                }
                self.deadlines.await_answer(why);
            }
            (Phase::Closed { code }, Standing::CaughtUp) => return Err(Ended::ByPeer(code)),
            _ => {}
        }
        let accepted = self.client.outlet().borrow().accepted();
        self.deadlines
            .blocked(standing == Standing::Blocked, accepted);
        if input == Input::Waiting && self.reads() {
            return Ok(Standing::Behind);
        }
        Ok(standing)
    }

    /// # Cancel safety
    /// Cancel safe: nothing is taken while waiting, and what comes from the log is put where the
    /// next step finds it.
    async fn wait(&mut self, standing: Standing) {
        let mut deadline = self.deadlines.next(&self.principal);
        if matches!(standing, Standing::CaughtUp | Standing::Halted) {
            deadline = deadline.min(self.next_beat().unwrap_or(deadline));
        }
        let (client, socket, reads) = (&self.client, self.client.socket(), self.reads());
        tokio::select! {
            // A broken connection shows itself at the next read or write.
            _ = socket.readable(), if reads => {}
            () = self.reading.done(), if standing == Standing::Reading => {}
            _ = socket.writable(), if standing == Standing::Blocked => {}
            () = client.woken() => {}
            () = postponed::has_come(&mut self.postponed) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = self.shard.changed() => {}
        }
    }

    /// Lets go of somebody who would be let in no more, and of everybody when the time is up.
    fn meet_changes(&mut self) {
        let changes = self.shard.changes();
        if self.changes_seen == changes || !matches!(self.phase, Phase::Open) {
            return;
        }
        self.changes_seen = changes;
        self.meet_halts();
        let authenticator = Arc::clone(&self.settings.authenticator.borrow());
        if let Err(withdrawn) = authenticator.still_admits(&self.principal) {
            self.close(withdrawn.into());
        } else if self.shard.is_last_call() {
            // Behind the frame that was begun: whoever takes the rest of it learns how it ended.
            self.close(Close::GoingAway);
        }
    }

    fn meet_deadlines(&mut self) -> Result<(), Ended> {
        let due = self.deadlines.due(&self.principal, SystemTime::now());
        match (due, self.phase) {
            (None, _) => {}
            (Some(Due::Stalled), Phase::Open) => {
                self.close(Close::Stalled);
                return Err(Ended::ByServer(Close::Stalled));
            }
            (Some(Due::Stalled | Due::Answer), Phase::Closing { why, .. }) => {
                return Err(Ended::ByServer(why));
            }
            (Some(Due::Ping), Phase::Open) => {
                let mut outlet = self.client.outlet().borrow_mut();
                outlet.control().extend_from_slice(&frame::EMPTY_PING);
            }
            (Some(Due::Expired), Phase::Open) => self.close(Close::Expired),
            (Some(Due::Silent), Phase::Open) => self.close(Close::Silent),
            (Some(Due::Stalled | Due::Answer), Phase::Closed { .. }) => {
                return Err(self.end_of_stream());
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes what the client is to get, as far as its socket takes it.
    fn send(&mut self) -> io::Result<Standing> {
        // Whoever turns out to take nothing keeps nothing of the log: it asks again.
        let mut reading = std::mem::take(&mut self.reading);
        for _ in 0..TURN_WRITES {
            let (client, shard) = (&self.client, &self.shard);
            if !client.outlet().borrow_mut().flush(client.socket())? {
                return Ok(Standing::Blocked);
            }
            if !matches!(self.phase, Phase::Open) {
                return Ok(Standing::CaughtUp);
            }
            self.skip_void();
            if shard.halts().is_halted() {
                return Ok(Standing::Halted);
            }
            if client.cursor() == shard.next() {
                return Ok(Standing::CaughtUp);
            }
            let mut scratch = shard.scratch().borrow_mut();
            match self.next_run(&mut reading, &mut scratch.run) {
                Next::Ready => {}
                Next::Reading => {
                    self.reading = reading;
                    return Ok(Standing::Reading);
                }
                Next::Gone => {
                    drop(scratch);
                    self.close(Close::LagLost);
                    continue;
                }
            }
            let sent = client.offer(&scratch.run)?;
            shard.metrics().sent(sent.signals, 0);
            if !sent.all {
                return Ok(Standing::Blocked);
            }
        }
        Ok(Standing::Behind)
    }

    /// Whatever comes in from now on is not for this client.
    pub(super) fn leave(&self) {
        self.group.leave(&self.client);
        self.shard.behind().remove(&self.client);
    }
}
