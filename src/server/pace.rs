//! How long a peer may take over what is large: as long as it gets on with it.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second at which a peer has to get on, but for our patience: what a poor line of half a
/// megabit carries. The largest body, of 16 MiB, takes four minutes at this rate, and keeps its room
/// from others as long; whoever has a poorer line had better send parts.
const LEAST_RATE: u64 = 64 * 1024;

/// By when more has to come or to be taken, now that so many bytes have been. They earn the time that
/// they take at the least rate, but nobody ever has more than our patience left: who was fast at first
/// and then stalls would hold for long what others wait for.
pub(super) fn put_off(deadline: Instant, bytes: usize, patience: Duration) -> Instant {
    let nanos = (bytes as u64).saturating_mul(1_000_000_000) / LEAST_RATE;
    let earned = deadline + Duration::from_nanos(nanos);
    earned.min(Instant::now() + patience)
}
