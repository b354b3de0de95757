use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Spreads the clients' leaving over some time when the server shuts down, so that they do not
/// all come back together.
#[derive(Debug)]
pub struct Departures {
    spread: Duration,
    begun: OnceLock<Instant>,
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
            begun: OnceLock::new(),
            clients: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        }
    }

    /// The shutdown begins now, with so many clients.
    pub fn begin(&self, clients: usize) {
        self.begun.get_or_init(Instant::now);
        self.clients.store(clients, Ordering::Relaxed);
    }

    /// When the next client that asks is to leave: counted from the beginning, so that one that
    /// asks late, because it was slow, still leaves in time. Each client asks once.
    pub fn turn(&self) -> Instant {
        let begun = *self.begun.get_or_init(Instant::now);
        let clients = self.clients.load(Ordering::Relaxed);
        if clients < MANY {
            return begun;
        }
        let turn = self.left.fetch_add(1, Ordering::Relaxed).min(clients);
        let share = u32::try_from(turn).unwrap_or(u32::MAX);
        begun + self.spread * share / u32::try_from(clients).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn few_leave_at_once_and_many_one_after_the_other() {
        let begun = Instant::now();
        let departures = Departures::over(Duration::from_secs(5));
        departures.begin(99);
        assert_eq!(departures.turn(), begun);

        departures.begin(100);
        let turns: Vec<_> = (0..100).map(|_| departures.turn() - begun).collect();
        assert_eq!(turns[0], Duration::ZERO);
        assert!(turns.is_sorted());
        assert_eq!(turns[50], Duration::from_millis(2500));
        assert!(turns[99] < Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_late_leaves_no_later() {
        let begun = Instant::now();
        let departures = Departures::over(Duration::from_secs(5));
        departures.begin(100);
        for _ in 0..99 {
            departures.turn();
        }
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(departures.turn() < begun + Duration::from_secs(5));
    }
}
