use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Signals on their way into the log that nobody can bring again: what came through a pipe is
/// nowhere else once it was read. What came from a file is read again at the next start.
#[derive(Clone, Debug, Default)]
pub struct Unrecorded(Arc<AtomicU64>);

impl Unrecorded {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self, signals: u64) {
        self.0.fetch_add(signals, Ordering::Relaxed);
    }

    pub(super) fn recorded(&self, signals: u64) {
        self.0.fetch_sub(signals, Ordering::Relaxed);
    }
}
