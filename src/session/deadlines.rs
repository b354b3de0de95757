use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Close, Settings};
use crate::auth::Principal;
use crate::hub::Framing;

/// When a session must do something although nothing happens.
///
/// All of it is monotonic but the token's end, which is wall time and looked at again at every
/// wake-up, at the latest with the next ping.
#[derive(Debug)]
pub(super) struct Deadlines {
    ping: Duration,
    silence: Duration,
    write_timeout: Duration,
    next_ping: Instant,
    /// `None`: nothing is expected of it, so it is not asked for a sign of life either.
    last_heard: Option<Instant>,
    /// Since when the socket has been full, and how much it had taken by then.
    blocked: Option<(Instant, u64)>,
    leave: Option<Instant>,
    answer: Option<Instant>,
    closing: bool,
}

/// What must be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The client takes nothing.
    Stalled,
    /// The client did not answer our close frame.
    Answer,
    /// The token has expired.
    Expired,
    /// The client sends nothing.
    Silent,
    /// It is time for a ping.
    Ping,
}

/// How long a client has to answer a close frame that its socket has taken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

impl Deadlines {
    pub(super) fn begin(settings: &Settings, framing: Framing, now: Instant) -> Self {
        Self {
            ping: settings.ping,
            silence: settings.silence,
            write_timeout: settings.write_timeout,
            next_ping: now + settings.ping,
            last_heard: (framing == Framing::WebSocket).then_some(now),
            blocked: None,
            leave: None,
            answer: None,
            closing: false,
        }
    }

    /// The client sent a frame, or cannot be blamed for sending none.
    pub(super) fn heard(&mut self) {
        if let Some(last_heard) = &mut self.last_heard {
            *last_heard = Instant::now();
        }
    }

    /// Whether the socket is full now, and how many bytes it has taken so far.
    pub(super) fn blocked(&mut self, is_full: bool, accepted: u64) {
        self.blocked = match self.blocked {
            _ if !is_full => None,
            Some((since, before)) if before == accepted => Some((since, before)),
            _ => Some((Instant::now(), accepted)),
        };
    }

    /// We said goodbye: only the stall and the answer count from now on.
    pub(super) fn closing(&mut self) {
        self.closing = true;
    }

    /// The client's socket has taken our close frame, or is not waited for.
    pub(super) fn await_answer(&mut self, why: Close) {
        let timeout = match why {
            // It is slow, and first reads all the signals that the kernel holds for it. If it
            // answered a ping on the way and we were gone, the kernel would drop the rest.
            Close::LagLost => self.write_timeout.max(ANSWER_TIMEOUT),
            _ => ANSWER_TIMEOUT,
        };
        self.answer.get_or_insert_with(|| Instant::now() + timeout);
    }

    /// Whether the client's turn to leave has come; `turn` says when that is, once.
    pub(super) fn leave(&mut self, turn: impl FnOnce() -> Instant) -> bool {
        *self.leave.get_or_insert_with(turn) <= Instant::now()
    }

    /// What is due, one thing at a time, the gravest first.
    pub(super) fn due(&mut self, principal: &Principal, wall: SystemTime) -> Option<Due> {
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.stalled()) {
            return Some(Due::Stalled);
        }
        if self.closing {
            return passed(self.answer).then_some(Due::Answer);
        }
        if wall >= principal.expires_at() {
            return Some(Due::Expired);
        }
        if passed(self.silent()) {
            return Some(Due::Silent);
        }
        if self.next_ping <= now {
            self.next_ping = now + self.ping;
            return self.last_heard.map(|_| Due::Ping);
        }
        None
    }

    /// When to look again at the latest.
    pub(super) fn next(&self, principal: &Principal) -> Instant {
        let now = Instant::now();
        let far = now + Duration::from_secs(3600);
        let soonest = self.stalled().unwrap_or(far);
        if self.closing {
            return soonest.min(self.answer.unwrap_or(far));
        }
        // Already over: at once.
        let left = principal
            .expires_at()
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        soonest
            .min(self.next_ping)
            .min(self.silent().unwrap_or(far))
            .min(now.checked_add(left).unwrap_or(far))
            .min(self.leave.filter(|leave| *leave > now).unwrap_or(far))
    }

    fn stalled(&self) -> Option<Instant> {
        self.blocked.map(|(since, _)| since + self.write_timeout)
    }

    fn silent(&self) -> Option<Instant> {
        self.last_heard.map(|last| last + self.silence)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::IpAddr;
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use tokio::sync::watch;
    use tokio::time::advance;

    use super::*;
    use crate::auth::{Authenticator, JwtRules, Keys, Token, TokenBook};
    use crate::history::History;
    use crate::journal::Epoch;
    use crate::session::{Judge, TestSignal, Verdict};
    use crate::source::States;

    const PING: Duration = Duration::from_secs(30);

    #[derive(Debug)]
    struct Nobody;

    impl Judge for Nobody {
        fn judge(&self, _: Token, _: IpAddr) -> Verdict {
            Box::pin(pending())
        }
    }

    fn deadlines(framing: Framing) -> Deadlines {
        let rules = JwtRules {
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
        };
        let authenticator = Authenticator::new(Keys::default(), TokenBook::default(), rules);
        let settings = Settings {
            message_bytes: 1,
            commands_per_second: NonZeroU32::MIN,
            ping: PING,
            silence: Duration::from_secs(120),
            heartbeat: PING,
            write_timeout: Duration::from_secs(60),
            authenticator: watch::Sender::new(Arc::new(authenticator)).subscribe(),
            judge: Box::new(Nobody),
            history: History::of(None),
            departures: Arc::default(),
            test: TestSignal {
                symbol: "X".parse().unwrap(),
                price: "1".parse().unwrap(),
            },
            epoch: Epoch::begin(),
            sources: States::new([]),
        };
        Deadlines::begin(&settings, framing, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_on_the_wall_clock_however_that_is_set() {
        let second = Duration::from_secs(1);
        let wall = SystemTime::now();
        let end = wall + 10 * second;
        let who = Principal::until(end);
        let mut deadlines = deadlines(Framing::WebSocket);
        // Woken for it, and to the nanosecond.
        let wait = deadlines.next(&who) - Instant::now();
        assert!(wait > 9 * second && wait <= 10 * second, "{wait:?}");
        assert_eq!(deadlines.due(&who, end - Duration::from_nanos(1)), None);
        assert_eq!(deadlines.due(&who, end), Some(Due::Expired));

        // Set back: it is not over yet, and is looked at again when it is.
        advance(11 * second).await;
        assert_eq!(deadlines.due(&who, wall - 3600 * second), None);
        assert_eq!(deadlines.due(&who, end), Some(Due::Expired));

        // Set forward: nobody is woken for that, but at the latest for the next ping.
        let later = Principal::until(wall + 3600 * second);
        assert!(deadlines.next(&later) - Instant::now() <= PING);
        advance(PING).await;
        let due = deadlines.due(&later, wall + 3600 * second);
        assert_eq!(due, Some(Due::Expired), "not a ping");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_socket_keeps_nobody_longer_than_the_token_allows() {
        let who = Principal::until(SystemTime::now() + Duration::from_secs(3600));
        let mut deadlines = deadlines(Framing::WebSocket);
        deadlines.blocked(true, 7);
        deadlines.closing();
        deadlines.await_answer(Close::Revoked);
        assert_eq!(deadlines.due(&who, SystemTime::now()), None);
        assert_eq!(deadlines.next(&who) - Instant::now(), ANSWER_TIMEOUT);
        advance(ANSWER_TIMEOUT).await;
        assert_eq!(deadlines.due(&who, SystemTime::now()), Some(Due::Answer));
    }
    #[tokio::test(start_paused = true)]
    async fn of_a_reader_nothing_is_expected_but_its_token() {
        let wall = SystemTime::now();
        let end = wall + Duration::from_secs(7200);
        let who = Principal::until(end);
        let (mut reader, mut other) = (deadlines(Framing::Events), deadlines(Framing::WebSocket));
        for _ in 0..10 {
            advance(Duration::from_secs(60)).await;
            reader.heard();
            assert_eq!(reader.due(&who, wall), None);
            // The wall clock is looked at now and then all the same.
            let wait = reader.next(&who) - Instant::now();
            assert!(wait > Duration::ZERO && wait <= PING, "{wait:?}");
        }
        assert_eq!(reader.due(&who, end), Some(Due::Expired));
        assert_eq!(other.due(&who, wall), Some(Due::Silent));
    }
}
