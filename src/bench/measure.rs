use std::time::Duration;

use super::crowd::Crowd;
use super::moment::{Moment, thread_cpu};
use super::process::{Usage, waited};
use super::report::Own;
use super::run::Fed;

/// How the clients came in.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) clients: usize,
    pub(super) failed: usize,
    pub(super) taken: Duration,
    pub(super) own_cpu: Duration,
    pub(super) server_cpu: Option<f64>,
}

/// Where this tool stood when the measurement began.
#[derive(Debug)]
pub(super) struct Counts {
    start: Moment,
    cpu: Duration,
    waited: f64,
    reads: u64,
    bytes: u64,
}

/// What was seen from then on.
pub(super) struct Measured {
    pub(super) fed: Option<Fed>,
    /// From the start to the last delivery; without a feed to the end.
    pub(super) seconds: f64,
    pub(super) own: Own,
    pub(super) bytes: u64,
    pub(super) server: Option<(Usage, Usage)>,
}

impl Counts {
    pub(super) fn begin(crowd: &Crowd) -> Self {
        let (reads, bytes) = crowd.reads();
        Self {
            start: Moment::now(),
            cpu: thread_cpu(),
            waited: waited(),
            reads,
            bytes,
        }
    }

    pub(super) fn end(
        self,
        crowd: &Crowd,
        fed: Option<Fed>,
        server: Option<(Usage, Usage)>,
    ) -> Measured {
        let end = match fed {
            Some(_) => crowd.judge.tally.last_at,
            None => Moment::now(),
        };
        let seconds = end.since(self.start).as_secs_f64().max(1e-6);
        let (reads, bytes) = crowd.reads();
        let reads = reads - self.reads;
        let messages =
            crowd.judge.tally.delivered + crowd.judge.tally.repeated + crowd.judge.tally.unnumbered;
        let cpu = thread_cpu().saturating_sub(self.cpu);
        Measured {
            fed,
            seconds,
            own: Own {
                cpu_percent: percent(cpu.as_secs_f64(), seconds),
                waited_percent: percent(waited() - self.waited, seconds),
                reads,
                messages_per_read: messages as f64 / reads.max(1) as f64,
            },
            bytes: bytes - self.bytes,
            server,
        }
    }
}

pub(super) fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        part / whole * 100.0
    } else {
        0.0
    }
}
