use std::mem;
use std::rc::Rc;

use tokio::time::Instant;
use tracing::{debug, info};

use super::answer::{Answer, Problem, RequestId};
use super::close::Close;
use super::command::{BARE_TEST, Command, Request, Wanted};
use super::judge::Refused;
use super::postponed::{Came, Postponed};
use super::reading::Reading;
use super::{LogRange, Phase, Session};
use crate::auth::{Principal, Scope};
use crate::clock;
use crate::hub::{Tests, View};
use crate::signal::{Protocol, Seq};

/// What is done when a client asks for it. The order on the wire is the truth: whatever comes
/// behind an answer is sent as the answer says.
impl Session {
    /// Follows one text of the client.
    pub(super) fn hear(&mut self, text: &str) {
        if self.command_rate.check().is_err() {
            return self.close(Close::TooManyCommands);
        }
        let request = match self.group.view().protocol {
            Protocol::V2 => Request::parse(text),
            Protocol::V1 => old_request(text),
        };
        let id = request.id;
        match request.command {
            Err(problem) => self.refuse(&problem, id.as_ref()),
            Ok(Command::Ping) => {
                let timestamp = clock::received_now().to_string();
                self.answer(&Answer::Pong { timestamp }, id.as_ref());
            }
            Ok(Command::Test) => self.test(id.as_ref()),
            Ok(Command::Subscribe(wanted)) => self.subscribe(wanted, id.as_ref()),
            Ok(Command::Resume { after }) => self.resume(after, id),
            Ok(Command::Auth(token)) => {
                let judged = self.settings.judge.judge(token, self.address);
                self.postpone(Postponed::until(
                    id,
                    async move { Came::Judged(judged.await) },
                ));
            }
        }
    }

    /// Goes on with the command that is postponed, if what it waits for has come or it does not
    /// matter any more. True if so: what the client has sent behind it can be looked at now.
    pub(super) fn settle(&mut self) -> bool {
        let Some(postponed) = &mut self.postponed else {
            return false;
        };
        if !matches!(self.phase, Phase::Open) {
            self.postponed = None;
            return true;
        }
        let Some((id, came)) = postponed.take() else {
            return false;
        };
        self.postponed = None;
        match came {
            Came::Judged(verdict) => self.renew(verdict, id.as_ref()),
            Came::Level { after } => self.go_on_after(after, id.as_ref()),
        }
        true
    }

    /// Whether a command waits for something, and with it all that was sent behind it.
    pub(super) fn postpones(&self) -> bool {
        self.postponed.is_some() && matches!(self.phase, Phase::Open)
    }

    fn postpone(&mut self, postponed: Postponed) {
        self.postponed = Some(Box::new(postponed));
        // Mostly there is nothing to wait for.
        self.settle();
    }

    fn test(&mut self, id: Option<&RequestId>) {
        if !self.principal.has(Scope::SignalsTest) {
            let message = "test needs a token with the scope signals:test";
            return self.refuse(&Problem::new("insufficient_scope", message), id);
        }
        self.client.spoke_at(Instant::now());
        let (test, view) = (&self.settings.test, self.group.view());
        let mut outlet = self.client.outlet().borrow_mut();
        self.tests.write_next(test, view, id, outlet.control());
    }

    fn subscribe(&mut self, wanted: Wanted, id: Option<&RequestId>) {
        let Wanted {
            patterns,
            symbols,
            tests,
        } = wanted;
        self.show(&View {
            symbols,
            tests,
            ..self.group.view().clone()
        });
        debug!(patterns = patterns.len(), ?tests, "filter replaced");
        let answer = Answer::Subscribed {
            symbols: &patterns,
            tests: tests == Tests::Sent,
        };
        self.answer(&answer, id);
    }

    fn resume(&mut self, after: Option<Seq>, id: Option<RequestId>) {
        if first_after(after) <= self.shard.next() {
            return self.go_on_after(after, id.as_ref());
        }
        // Another shard may have sent it already.
        let shard = Rc::clone(&self.shard);
        self.postpone(Postponed::until(id, async move {
            shard.draws_level().await;
            Came::Level { after }
        }));
    }

    fn go_on_after(&mut self, after: Option<Seq>, id: Option<&RequestId>) {
        let (first, log) = (first_after(after), self.log());
        let gone = if first.get() > log.last_seq + 1 {
            Some(NOT_YET)
        } else if first.get() < log.first_seq {
            Some(TOO_OLD)
        } else {
            None
        };
        if let Some(why) = gone {
            let problem = Problem::history_gone(why, self.settings.epoch, log);
            return self.refuse(&problem, id);
        }
        self.leave();
        // What was read for the place where it stood may not even be there any more.
        self.reading = Reading::Nothing;
        self.client.go_on_from(first);
        debug!(after = first.get() - 1, "resumed");
        let answer = Answer::Resumed {
            from_seq: first.get(),
            to_seq: log.last_seq,
        };
        self.answer(&answer, id);
    }

    /// Serves the client by another token from now on, if it is its own.
    fn renew(&mut self, verdict: Result<Principal, Refused>, id: Option<&RequestId>) {
        let principal = match verdict {
            Err(Refused { code, message }) => return self.refuse(&Problem::new(code, message), id),
            Ok(principal) => principal,
        };
        if principal.subject() != self.principal.subject() {
            let message = "the token is good, but of another sub than the one that this connection \
                           was opened with; connect anew with it";
            return self.refuse(&Problem::new("invalid_token", message), id);
        }
        self.principal = principal;
        // What may have been withdrawn since it was judged is looked at once more.
        self.changes_seen = self.shard.changes().wrapping_sub(1);
        self.show(&View {
            allowed: self.principal.symbols().clone(),
            ..self.group.view().clone()
        });
        info!(expires_at = self.expires_at(), "token renewed");
        self.authenticated(id);
    }

    /// Answers the first message of somebody who is a client by it.
    pub(super) fn welcome(&self, id: Option<&RequestId>) {
        if self.group.view().protocol == Protocol::V2 {
            self.authenticated(id);
        }
    }

    fn authenticated(&self, id: Option<&RequestId>) {
        let expires_at = self.expires_at();
        self.answer(&Answer::Authenticated { expires_at }, id);
    }

    /// When the token says that it ends.
    fn expires_at(&self) -> String {
        let leeway = self.settings.authenticator.borrow().leeway();
        clock::received_at(self.principal.expires_at() - leeway).to_string()
    }

    /// Sends what this view shows from now on.
    fn show(&mut self, view: &View) {
        if self.group.view() == view {
            return;
        }
        // It joins the others of its new group when it has been sent everything.
        self.leave();
        let group = self.shard.groups().of(view);
        self.card.moves_to(&group);
        let left = mem::replace(&mut self.group, group);
        self.shard.groups().release(&left);
    }

    /// What the client may go on from.
    fn log(&self) -> LogRange {
        let (next, kept) = (self.shard.next(), self.settings.history.oldest());
        let oldest = kept.unwrap_or_else(|| self.shard.oldest());
        LogRange {
            first_seq: oldest.min(next).get(),
            last_seq: next.get() - 1,
        }
    }

    fn refuse(&self, problem: &Problem, id: Option<&RequestId>) {
        self.answer(&Answer::Error(problem), id);
    }

    fn answer(&self, answer: &Answer<'_>, id: Option<&RequestId>) {
        self.client.spoke_at(Instant::now());
        answer.write(id, self.client.outlet().borrow_mut().control());
    }
}

/// What a client of `signalcast.v1` asks for, which has one command.
fn old_request(text: &str) -> Request {
    let command = if text == BARE_TEST {
        Ok(Command::Test)
    } else {
        Err(Problem::unknown_command("the one command is the text test"))
    };
    Request { command, id: None }
}

fn first_after(last: Option<Seq>) -> Seq {
    last.map_or(Seq::FIRST, Seq::next)
}

const NOT_YET: &str = "after_seq is beyond the newest signal: it is of another log, or mistyped; \
                       compare the epoch";
const TOO_OLD: &str = "what you ask for is older than what is kept; after_seq may be first_seq - 1 \
                       at the least";
