use std::time::{Duration, Instant};

/// Lets the first of a burst of messages through, then at most one a second.
#[derive(Debug, Default)]
pub(super) struct Burst {
    last: Option<Instant>,
    suppressed: u64,
}

impl Burst {
    /// Whether to say it now; if so, how many were left out since the last one.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now - last < BETWEEN_MESSAGES) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Between two messages of a burst.
const BETWEEN_MESSAGES: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_at_once_and_then_once_a_second() {
        let mut burst = Burst::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(burst.admit(at(0)), Some(0));
        assert_eq!(burst.admit(at(1)), None);
        assert_eq!(burst.admit(at(999)), None);
        assert_eq!(burst.admit(at(1000)), Some(2));
        assert_eq!(burst.admit(at(1999)), None);
        assert_eq!(burst.admit(at(5000)), Some(1));
    }
}
