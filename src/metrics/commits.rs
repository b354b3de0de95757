use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::registry::Registry;
use super::table::{DUPLICATES, JOURNAL_COMMIT, JOURNAL_FAILURES, JOURNAL_WRITABLE};

/// What is counted and timed where signals are recorded.
#[derive(Debug)]
pub struct Commits {
    duplicates: Counter,
    commit: Histogram,
    failures: Counter,
    writable: Gauge,
}

impl Commits {
    /// The handles, resolved.
    pub fn new(registry: &Registry) -> Self {
        let writable = registry.gauge(&JOURNAL_WRITABLE, &[]);
        writable.set(1.0);
        Self {
            duplicates: registry.counter(&DUPLICATES, &[]),
            commit: registry.histogram(&JOURNAL_COMMIT, &[]),
            failures: registry.counter(&JOURNAL_FAILURES, &[]),
            writable,
        }
    }

    /// A batch was recorded, which took this long; so many of its signals were duplicates.
    pub fn recorded(&self, took: Duration, duplicates: u64) {
        self.commit.record(took);
        if duplicates > 0 {
            self.duplicates.increment(duplicates);
        }
    }

    /// The log could not be written.
    pub fn not_recorded(&self) {
        self.failures.increment(1);
        self.writable.set(0.0);
    }

    /// It can be written again.
    pub fn writable_again(&self) {
        self.writable.set(1.0);
    }
}
