use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Spreads the clients' leaving over some time when the server shuts down, so that they do not
/// all come back together.
#[derive(Debug, Default)]
pub struct Departures {
    begun: OnceLock<Begun>,
    left: AtomicUsize,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    clients: usize,
    spread: Duration,
}

/// Fewer than this may leave, and come back, at once.
const MANY: usize = 100;

impl Departures {
    /// So many clients leave from now on; `spread`: how long it takes until the last one is let go.
    pub fn begin(&self, clients: usize, spread: Duration) {
        self.begun.get_or_init(|| Begun {
            at: Instant::now(),
            clients,
            spread,
        });
    }

    /// When the next client that asks is to leave: counted from the beginning, so that one that
    /// asks late, because it was slow, still leaves in time. Each client asks once. Before the
    /// beginning, at once: whoever is let go then is let go because the time is up.
    pub fn turn(&self) -> Instant {
        let Some(begun) = self.begun.get() else {
            return Instant::now();
        };
        let Begun {
            at,
            clients,
            spread,
        } = *begun;
        if clients < MANY {
            return at;
        }
        let turn = self.left.fetch_add(1, Ordering::Relaxed).min(clients);
        let share = u32::try_from(turn).unwrap_or(u32::MAX);
        at + spread * share / u32::try_from(clients).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn few_leave_at_once_and_many_one_after_the_other() {
        let begun = Instant::now();
        let few = Departures::default();
        few.begin(99, SPREAD);
        assert_eq!(few.turn(), begun);

        let many = Departures::default();
        many.begin(100, SPREAD);
        let turns: Vec<_> = (0..100).map(|_| many.turn() - begun).collect();
        assert_eq!(turns[0], Duration::ZERO);
        assert!(turns.is_sorted());
        assert_eq!(turns[50], Duration::from_millis(2500));
        assert!(turns[99] < SPREAD);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_late_leaves_no_later() {
        let begun = Instant::now();
        let departures = Departures::default();
        departures.begin(100, SPREAD);
        for _ in 0..99 {
            departures.turn();
        }
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(departures.turn() < begun + SPREAD);
    }
}
