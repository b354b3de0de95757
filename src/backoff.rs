//! Waits between tries.

use std::time::Duration;

/// How long to wait before the next try: 1 to 2 s, then twice as long each time, up to 30 s. The
/// upper half is left to chance, so that those who wait for one server don't return all at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { longest: FIRST }
    }
}

impl Backoff {
    /// One that begins with at most this, for tests that can't wait.
    #[cfg(test)]
    pub(crate) fn up_from(longest: Duration) -> Self {
        Self { longest }
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let longest = self.longest;
        self.longest = (longest * 2).min(LAST);
        longest.mul_f64(0.5 + 0.5 * chance())
    }
}

/// 0 to 1. Chance that can't be had is no reason to fail.
pub(crate) fn chance() -> f64 {
    let mut bytes = [0; 2];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    }
}

const FIRST: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_one_second_to_thirty() {
        let mut backoff = Backoff::default();
        for (least, most) in [(1, 2), (2, 4), (4, 8), (8, 16), (15, 30), (15, 30)] {
            let wait = backoff.next();
            assert!(wait >= Duration::from_secs(least), "{wait:?}");
            assert!(wait <= Duration::from_secs(most), "{wait:?}");
        }
    }
}
