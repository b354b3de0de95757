use metrics::Counter;

use super::registry::Registry;
use super::table::{HISTORY_FAILURES, HISTORY_READS};

/// What is counted where the log is read back for clients.
#[derive(Clone, Debug)]
pub struct Reads {
    reads: Counter,
    failures: Counter,
}

impl Reads {
    /// The handles, resolved.
    pub fn new(registry: &Registry) -> Self {
        Self {
            reads: registry.counter(&HISTORY_READS, &[]),
            failures: registry.counter(&HISTORY_FAILURES, &[]),
        }
    }

    /// A part of the log was read.
    pub fn read(&self) {
        self.reads.increment(1);
    }

    /// It could not be read.
    pub fn failed(&self) {
        self.failures.increment(1);
    }
}
