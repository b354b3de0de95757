use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Problem;
use crate::signal::ReceivedAt;

/// How fast the past goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was.
    Times(f64),
    /// Without waiting.
    Max,
}

/// `10x`, `0.5x` or `max`.
impl FromStr for Speed {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let number = text.strip_suffix('x').filter(|number| {
            let plain = |c: char| c.is_ascii_digit() || c == '.';
            number.chars().all(plain)
        });
        match number.and_then(|number| number.parse::<f64>().ok()) {
            Some(times) if (SLOWEST..=FASTEST).contains(&times) => Ok(Self::Times(times)),
            Some(_) => Err(Problem::new(
                format!("{text:?} is not from {SLOWEST}x to {FASTEST}x"),
                "write one in between, or max not to wait at all",
            )),
            None => Err(Problem::new(
                format!("{text:?} is no speed"),
                "write how many times as fast, as in 10x or 0.5x, or max",
            )),
        }
    }
}

/// A day takes three years.
const SLOWEST: f64 = 0.001;

/// A year takes half a minute.
const FASTEST: f64 = 1_000_000.0;

/// When each signal is due. Counted from the first one each time, so that errors don't add up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    begun: Instant,
    first: ReceivedAt,
    speed: Speed,
}

impl Pace {
    /// The signal received at this time is due now.
    pub(super) fn begin(first: ReceivedAt, speed: Speed) -> Self {
        Self {
            begun: Instant::now(),
            first,
            speed,
        }
    }

    /// When a signal is due that was received then; `None` at once.
    pub(super) fn due(&self, received_at: ReceivedAt) -> Option<Instant> {
        let Speed::Times(times) = self.speed else {
            return None;
        };
        let later = received_at.micros().saturating_sub(self.first.micros());
        let later = Duration::from_micros(u64::try_from(later).unwrap_or(0));
        let waited = Duration::try_from_secs_f64(later.as_secs_f64() / times);
        Some(self.begun + waited.unwrap_or(LONGEST).min(LONGEST))
    }
}

/// A hundred years, which an [`Instant`] can bear.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_written_in_one_way() {
        for (text, speed) in [
            ("1x", Some(Speed::Times(1.0))),
            ("10x", Some(Speed::Times(10.0))),
            ("0.5x", Some(Speed::Times(0.5))),
            ("max", Some(Speed::Max)),
            ("10", None),
            ("0x", None),
            ("-1x", None),
            ("1e3x", None),
            ("infx", None),
            ("NaNx", None),
            ("x", None),
            ("1000001x", None),
            ("MAX", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Speed>().ok(), speed, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_counts_from_the_first_signal() {
        let at = ReceivedAt::from_micros;
        let begun = Instant::now();
        for (speed, micros, waited) in [
            (1.0, 0, 0.0),
            (1.0, 1, 0.000_001),
            (10.0, 86_400_000_000, 8640.0),
            (0.5, 1_500_000, 3.0),
            (0.001, 253_000_000_000_000_000, LONGEST.as_secs_f64()),
        ] {
            let pace = Pace::begin(at(7), Speed::Times(speed));
            let due = pace.due(at(7 + micros)).unwrap();
            let waited = Duration::from_secs_f64(waited);
            assert_eq!(due - begun, waited, "{micros} µs at {speed}x");
        }
        assert_eq!(Pace::begin(at(7), Speed::Max).due(at(100)), None);
    }
}
