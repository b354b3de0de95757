use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::mark::Marks;
use super::moment::Moment;
use super::tally::{Rule, Tally};

/// Says of each message which of the lines that count it brings, if any.
pub(super) struct Judge {
    marks: Marks,
    /// Numbers from this one on were not sent yet.
    pub(super) next_unsent: Arc<AtomicU64>,
    /// Lines from before this time are somebody else's.
    started: Moment,
    pub(super) tally: Tally,
}

impl Judge {
    pub(super) fn new(marks: Marks) -> Self {
        Self {
            marks,
            next_unsent: Arc::new(AtomicU64::new(u64::MAX)),
            started: Moment::now(),
            tally: Tally::new(Rule::AsTheOthers, &[], 1),
        }
    }

    /// A client got this message. After each line in it `completed` is told which numbers everybody
    /// has.
    pub(super) fn message(
        &mut self,
        client: usize,
        message: &[u8],
        now: Moment,
        completed: &mut impl FnMut(u64),
    ) {
        if self.tally.is_empty() {
            return;
        }
        let mut rest = message;
        let mut is_numbered = false;
        while let Some((mark, after)) = self.marks.next(rest) {
            rest = after;
            if mark.number < self.next_unsent.load(Ordering::Acquire)
                && mark.sent.is_none_or(|sent| sent >= self.started)
            {
                is_numbered = true;
                self.tally.record(client, mark, now);
                completed(self.tally.completed());
            }
        }
        if !is_numbered {
            self.tally.unnumbered(client);
        }
    }
}
