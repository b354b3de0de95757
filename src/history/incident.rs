use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

/// Whether the log can be read, so that it is said once when it can't, however many clients try
/// how often.
#[derive(Debug, Default)]
pub(super) struct Incident(Mutex<Option<Failing>>);

/// Reads fail, or did a moment ago.
#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    last: Instant,
}

/// Without a failure for this long a read that goes well ends it. A part of the log may be readable
/// while another is not, so one that goes well sooner proves nothing; whoever waits tries again far
/// sooner.
const QUIET: Duration = Duration::from_secs(10);

/// After this long without a failure another one is another incident, also when nothing was read
/// meanwhile: those that were sent away at the door may take their time to come back.
const FORGOTTEN: Duration = Duration::from_secs(600);

impl Incident {
    /// A read failed. True if this is news.
    pub(super) fn failed(&self, why: &dyn fmt::Display, now: Instant) -> bool {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = failing.is_none_or(|failing| now - failing.last >= FORGOTTEN);
        if is_news {
            error!(%why, "the log cannot be read; clients that are far behind wait for it");
            *failing = Some(Failing {
                since: now,
                last: now,
            });
        } else if let Some(failing) = &mut *failing {
            failing.last = now;
        }
        is_news
    }

    /// A read went well. True if this is news.
    pub(super) fn read(&self, now: Instant) -> bool {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = failing.filter(|failing| now - failing.last >= QUIET);
        if let Some(Failing { since, last }) = over {
            let seconds = (last - since).as_secs();
            info!(seconds, "the log can be read again");
            *failing = None;
        }
        over.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_told_once_at_its_beginning_and_once_at_its_end() {
        let incident = Incident::default();
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(!incident.read(at(0)));
        assert!(incident.failed(&"the disk is gone", at(1)));
        for millis in (2..60_000).step_by(500) {
            assert!(!incident.failed(&"the disk is gone", at(millis)));
            assert!(!incident.read(at(millis + 1)), "another part of the log");
        }
        assert!(incident.read(at(70_000)), "it is over");
        assert!(!incident.read(at(70_001)));
        assert!(incident.failed(&"the disk is gone", at(70_002)), "another");
        assert!(
            !incident.failed(&"the disk is gone", at(130_000)),
            "somebody was sent away and came back"
        );
        assert!(incident.failed(&"the disk is gone", at(730_000)), "another");
    }
}
