use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// CPU time that the calling thread has used.
pub(crate) fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is not negative")
}

/// Has the calling thread run on one CPU only.
pub(crate) fn pin(number: usize) {
    let mut set = CpuSet::new();
    set.set(number);
    sched_setaffinity(None, &set).unwrap();
}
