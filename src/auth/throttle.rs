use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// Counts bad tokens per address, so that guessing is slow. Good ones are never counted: who
/// shares an address with a guesser still gets in.
#[derive(Debug)]
pub struct Throttle<C: Clock = MonotonicClock> {
    /// `None`: off.
    tries: Option<Tries<C>>,
}

/// Too many bad tokens came from this address; another one is looked at after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed tries; wait {} s", .0.as_secs_f64().ceil())]
pub struct RetryAfter(pub Duration);

impl Throttle {
    /// So many bad tokens a minute and address, all at once or spread out; `None`: no limit.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self::with_clock(per_minute, MonotonicClock)
    }
}

impl<C: Clock + Clone> Throttle<C> {
    fn with_clock(per_minute: Option<NonZeroU32>, clock: C) -> Self {
        Self {
            tries: per_minute.map(|limit| Tries::new(limit, clock)),
        }
    }

    /// Counts a bad token from this address.
    ///
    /// # Errors
    /// There were too many before it; it is not counted then.
    pub fn failed(&self, ip: IpAddr) -> Result<(), RetryAfter> {
        match &self.tries {
            Some(tries) => tries.failed(Origin::of(ip)),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Tries<C: Clock> {
    limiter: Limiter<C>,
    clock: C,
    started: C::Instant,
    /// When addresses were last forgotten, in nanoseconds since the start.
    swept: AtomicU64,
}

type Limiter<C> =
    RateLimiter<Origin, DashMapStateStore<Origin>, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl<C: Clock + Clone> Tries<C> {
    fn new(limit: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_minute(limit);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            started: clock.now(),
            clock,
            swept: AtomicU64::new(0),
        }
    }

    fn failed(&self, origin: Origin) -> Result<(), RetryAfter> {
        self.sweep();
        let origin = if self.limiter.len() < MOST_ORIGINS {
            origin
        } else {
            Origin::Crowd
        };
        self.limiter
            .check_key(&origin)
            .map_err(|until| RetryAfter(until.wait_time_from(self.clock.now())))
    }

    /// Once a minute forgets the addresses that may try as often as new ones.
    fn sweep(&self) {
        let now = self.clock.now().duration_since(self.started).as_u64();
        let swept = self.swept.load(Ordering::Relaxed);
        if now.saturating_sub(swept) < SWEEP_EVERY_NANOS {
            return;
        }
        let mine = self
            .swept
            .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

/// Who is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    V4(Ipv4Addr),
    /// The first 64 bits: one customer has at least that many addresses to himself.
    V6(u64),
    /// All that come while the table is full.
    Crowd,
}

impl Origin {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6(
                    [a, b, c, d]
                        .into_iter()
                        .fold(0, |all, part| all << 16 | u64::from(part)),
                )
            }
        }
    }
}

/// Some 8 MB. A guesser with a /40 has more networks than that within a minute; while they fill
/// the table, everybody's bad tokens are counted as one, which good tokens do not notice.
const MOST_ORIGINS: usize = 100_000;

const SWEEP_EVERY_NANOS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn throttle(per_minute: u32) -> (Throttle<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = NonZeroU32::new(per_minute);
        (Throttle::with_clock(limit, clock.clone()), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn so_many_tries_a_minute_then_one_for_each_that_comes_back() {
        let (throttle, clock) = throttle(20);
        let ip = ip("192.0.2.1");
        for _ in 0..20 {
            assert_eq!(throttle.failed(ip), Ok(()));
        }
        let RetryAfter(wait) = throttle.failed(ip).unwrap_err();
        assert_eq!(wait, Duration::from_secs(3));
        clock.advance(wait);
        assert_eq!(throttle.failed(ip), Ok(()));
        assert!(throttle.failed(ip).is_err());
        clock.advance(Duration::from_secs(60));
        for _ in 0..20 {
            assert_eq!(throttle.failed(ip), Ok(()));
        }
        assert_eq!(
            throttle.failed(ip).unwrap_err().to_string(),
            "too many failed tries; wait 3 s"
        );
    }

    #[test]
    fn an_ipv4_address_or_an_ipv6_network_counts_as_one() {
        for (first, second, together) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            let (throttle, _) = throttle(1);
            assert_eq!(throttle.failed(ip(first)), Ok(()));
            assert_eq!(
                throttle.failed(ip(second)).is_err(),
                together,
                "{first} {second}"
            );
        }
    }

    #[test]
    fn without_a_limit_all_may_try() {
        let throttle = Throttle::new(None);
        for _ in 0..1000 {
            assert_eq!(throttle.failed(ip("192.0.2.1")), Ok(()));
        }
    }

    #[test]
    fn however_many_addresses_try_memory_stays_bounded_and_comes_back() {
        let (throttle, clock) = throttle(2);
        let tries = throttle.tries.as_ref().unwrap();
        for network in 0..150_000 {
            let _ = tries.failed(Origin::V6(network));
        }
        assert!(tries.limiter.len() <= MOST_ORIGINS + 1);
        assert!(
            throttle.failed(ip("192.0.2.1")).is_err(),
            "counted with the crowd"
        );
        clock.advance(Duration::from_secs(61));
        assert_eq!(throttle.failed(ip("192.0.2.1")), Ok(()));
        // The crowd itself is remembered a little longer.
        assert!(tries.limiter.len() <= 2);
    }
}
