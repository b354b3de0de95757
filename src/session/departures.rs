use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Spreads the clients' leaving over some time when the server shuts down, so that they do not
/// all come back together.
#[derive(Debug)]
pub struct Departures {
    spread: Duration,
    clients: AtomicUsize,
    left: AtomicUsize,
}

/// Fewer than this may leave, and come back, at once.
const MANY: usize = 100;

impl Departures {
    /// `spread`: how long it takes until the last one is let go.
    pub fn over(spread: Duration) -> Self {
        Self {
            spread,
            clients: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        }
    }

    /// The shutdown begins, with so many clients.
    pub fn begin(&self, clients: usize) {
        self.clients.store(clients, Ordering::Relaxed);
    }

    /// How long the next client that asks still has. Each client asks once.
    pub fn delay(&self) -> Duration {
        let clients = self.clients.load(Ordering::Relaxed);
        if clients < MANY {
            return Duration::ZERO;
        }
        let turn = self.left.fetch_add(1, Ordering::Relaxed).min(clients);
        let share = u32::try_from(turn).unwrap_or(u32::MAX);
        self.spread * share / u32::try_from(clients).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_leave_at_once_and_many_one_after_the_other() {
        let departures = Departures::over(Duration::from_secs(5));
        departures.begin(99);
        assert_eq!(departures.delay(), Duration::ZERO);

        departures.begin(100);
        let delays: Vec<_> = (0..100).map(|_| departures.delay()).collect();
        assert_eq!(delays[0], Duration::ZERO);
        assert!(delays.is_sorted());
        assert_eq!(delays[50], Duration::from_millis(2500));
        assert!(delays[99] < Duration::from_secs(5));
    }
}
