use std::time::Instant;

use metrics::{Counter, Gauge, Histogram};

use super::registry::Registry;
use super::table::{CLIENT_LAG, CLIENTS_BEHIND, DELIVERIES, DELIVERY, SENT_BYTES, TAIL_BYTES};

/// What one shard counts. A pass over thousands of clients adds to these a handful of times in
/// all; in between it counts in [`Written`], which nobody else sees.
#[derive(Debug)]
pub struct Passes {
    deliveries: Counter,
    sent_bytes: Counter,
    first: Histogram,
    last: Histogram,
    behind: Gauge,
    lag: Gauge,
    tail_bytes: Gauge,
}

/// What one pass has written so far.
#[derive(Debug, Default)]
pub struct Written {
    deliveries: u64,
    bytes: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Whether something was written since `last`.
    unstamped: bool,
}

impl Passes {
    /// The handles of the shard of this number, resolved.
    pub fn new(registry: &Registry, shard: usize) -> Self {
        let number = shard.to_string();
        let shard = ("shard", number.as_str());
        Self {
            deliveries: registry.counter(&DELIVERIES, &[]),
            sent_bytes: registry.counter(&SENT_BYTES, &[]),
            first: registry.histogram(&DELIVERY, &[("client", "first")]),
            last: registry.histogram(&DELIVERY, &[("client", "last")]),
            behind: registry.gauge(&CLIENTS_BEHIND, &[shard]),
            lag: registry.gauge(&CLIENT_LAG, &[shard]),
            tail_bytes: registry.gauge(&TAIL_BYTES, &[]),
        }
    }

    /// A pass has ended. `read_at`: when the oldest of its lines was read.
    pub fn passed(&self, written: &Written, read_at: Instant) {
        self.sent(written.deliveries, written.bytes);
        if let (Some(first), Some(last)) = (written.first, written.last) {
            self.first.record(first - read_at);
            self.last.record(last - read_at);
        }
    }

    /// So many signals and bytes more were written to clients.
    pub fn sent(&self, deliveries: u64, bytes: u64) {
        if deliveries > 0 {
            self.deliveries.increment(deliveries);
        }
        if bytes > 0 {
            self.sent_bytes.increment(bytes);
        }
    }

    /// How things stand: how many clients are behind, by how much the last of them, and the
    /// memory of the tail.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn stand(&self, behind: usize, lag: u64, tail_bytes: usize) {
        self.behind.set(behind as f64);
        self.lag.set(lag as f64);
        self.tail_bytes.set(tail_bytes as f64);
    }
}

impl Written {
    /// A client was just sent so many signals in so many bytes.
    pub fn client(&mut self, deliveries: u64, bytes: u64) {
        self.bytes += bytes;
        if deliveries > 0 {
            self.deliveries += deliveries;
            self.unstamped = true;
            if self.first.is_none() {
                self.first = Some(Instant::now());
            }
        }
    }

    /// Notes the time, if something was written since the last time: once a turn, not once a
    /// client, for looking at the clock costs a hundredth of a write.
    pub fn stamp(&mut self) {
        if std::mem::take(&mut self.unstamped) {
            self.last = Some(Instant::now());
        }
    }
}
