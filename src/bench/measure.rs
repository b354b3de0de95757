use std::process::ExitStatus;
use std::time::Duration;

use super::crowd::Crowd;
use super::feed::Written;
use super::moment::{Moment, thread_cpu};
use super::process::{Usage, waited};
use super::report::Own;

/// How the clients came in.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) clients: usize,
    pub(super) failed: usize,
    pub(super) taken: Duration,
    pub(super) own_cpu: Duration,
    pub(super) server_cpu: Option<f64>,
}

/// Where this tool and the server stand at a time.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) at: Moment,
    cpu: Duration,
    waited: f64,
    reads: u64,
    bytes: u64,
    messages: u64,
    pub(super) server: Option<Usage>,
}

impl Stand {
    /// What the server has used is looked up by the caller: that takes a while.
    pub(super) fn now(crowd: &Crowd) -> Self {
        let ((reads, bytes), tally) = (crowd.reads(), &crowd.judge.tally);
        Self {
            at: Moment::now(),
            cpu: thread_cpu(),
            waited: waited(),
            reads,
            bytes,
            messages: tally.delivered + tally.repeated + tally.unasked + tally.unnumbered,
            server: None,
        }
    }
}

/// What was fed.
pub(super) struct Fed {
    pub(super) first: u64,
    /// One more than the last number.
    pub(super) end: u64,
    /// Whether everybody has all of it, or has lost it.
    pub(super) is_complete: bool,
    /// None: it hangs in a write.
    pub(super) written: Option<Written>,
}

/// What was seen from the first line to the last delivery; without a feed to the end.
pub(super) struct Measured {
    pub(super) fed: Option<Fed>,
    pub(super) seconds: f64,
    pub(super) own: Own,
    pub(super) bytes: u64,
    pub(super) server: Option<(Usage, Usage)>,
    /// How the server that we started ended by itself.
    pub(super) server_ended: Option<ExitStatus>,
}

impl Measured {
    pub(super) fn between(start: &Stand, end: &Stand, fed: Option<Fed>) -> Self {
        let seconds = end.at.since(start.at).as_secs_f64().max(1e-6);
        let reads = end.reads - start.reads;
        let messages = end.messages - start.messages;
        let cpu = end.cpu.saturating_sub(start.cpu);
        Self {
            fed,
            seconds,
            own: Own {
                cpu_percent: percent(cpu.as_secs_f64(), seconds),
                waited_percent: percent(end.waited - start.waited, seconds),
                reads,
                messages_per_read: messages as f64 / reads.max(1) as f64,
            },
            bytes: end.bytes - start.bytes,
            server: start.server.zip(end.server),
            server_ended: None,
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
