use std::sync::Arc;

use super::refusal::{Gone, Refusal};
use crate::history::History;
use crate::hub::Segment;
use crate::journal::{Epoch, ReadError};
use crate::session::LogRange;
use crate::shard::Shard;
use crate::signal::{ReceivedAt, Seq};

/// Where somebody begins to read the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With what comes next.
    Live,
    /// With the oldest that is kept.
    Oldest,
    /// With what follows this signal; `None`: with the first there was.
    After(Option<Seq>),
    /// With what was received then or later.
    Since(ReceivedAt),
}

/// The log behind the clients, as requests ask for it.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) epoch: Epoch,
    pub(super) history: History,
}

/// The log as it stood when a request came: where a live client begins was taken first, what was
/// before is looked up second, so nothing is between.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) epoch: Epoch,
    /// The first signal that a live client is sent.
    pub(super) next: Seq,
    pub(super) history: History,
    /// The first signal that the hot tail holds.
    pub(super) tail_first: Seq,
    /// The hot tail, if nothing else is kept and somebody may ask for it.
    pub(super) recent: Arc<[Arc<Segment>]>,
}

/// Whether a request may be about signals that were before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    InThePast,
    InTheFuture,
}

impl Log {
    /// How it stands for a request that comes now. Costs a step for each segment of the hot tail,
    /// if nothing else is kept and the request may be about that.
    pub(super) async fn now(&self, shard: &Shard, interest: Interest) -> Past {
        shard.draws_level().await;
        let recent = match (interest, self.history.oldest()) {
            (Interest::InThePast, None) => shard.recent(),
            _ => Vec::new(),
        };
        Past {
            epoch: self.epoch,
            next: shard.next(),
            history: self.history.clone(),
            tail_first: shard.oldest(),
            recent: recent.into(),
        }
    }
}

impl Past {
    /// The seq of the newest signal; 0 while there is none.
    pub(super) fn last_seq(&self) -> u64 {
        self.next.get() - 1
    }

    /// What somebody can begin with who comes now, and what was there when the request came.
    pub(super) fn range(&self) -> LogRange {
        LogRange {
            first_seq: self.oldest().min(self.next).get(),
            last_seq: self.last_seq(),
        }
    }

    /// Whether it outlives the server. Otherwise each start begins another log.
    pub(super) fn is_kept(&self) -> bool {
        self.history.oldest().is_some()
    }

    /// The first signal for somebody who begins like this, in the log of this epoch if it names one.
    pub(super) async fn first(&self, start: Start, epoch: Option<&str>) -> Result<Seq, Refusal> {
        if epoch.is_some_and(|epoch| epoch != self.epoch.to_string()) {
            return Err(self.gone(Gone::OTHER_LOG));
        }
        match start {
            Start::Live => Ok(self.next),
            Start::Oldest => Ok(self.oldest().min(self.next)),
            Start::After(last) => self.after(last),
            Start::Since(at) => self.since(at).await,
        }
    }

    /// A stretch of the log that holds this place.
    pub(super) async fn stretch(&self, seq: Seq) -> Result<Arc<Segment>, ReadError> {
        if self.history.oldest().is_some() {
            return self.history.stretch(seq).await;
        }
        let index = self.recent.partition_point(|segment| segment.last() < seq);
        let found = self.recent.get(index).filter(|found| found.first() <= seq);
        found.cloned().ok_or(ReadError::Gone {
            oldest: self.oldest(),
        })
    }

    /// What to tell somebody whose reading failed.
    pub(super) fn unreadable(&self, why: &ReadError) -> Refusal {
        match why {
            ReadError::Gone { .. } => self.gone(Gone::TOO_OLD),
            // Said once by whoever reads it, and over sooner or later.
            ReadError::Failed(_) => Refusal::Unreadable,
        }
    }

    /// What to tell somebody who can't have what he asks for.
    pub(super) fn gone(&self, why: &'static str) -> Refusal {
        Refusal::HistoryGone(Gone {
            why,
            epoch: self.epoch,
            held: self.range(),
        })
    }

    fn after(&self, last: Option<Seq>) -> Result<Seq, Refusal> {
        let first = last.map_or(Seq::FIRST, Seq::next);
        if first > self.next {
            return Err(self.gone(Gone::NOT_YET));
        }
        if first < self.oldest() {
            return Err(self.gone(Gone::TOO_OLD));
        }
        Ok(first)
    }

    async fn since(&self, at: ReceivedAt) -> Result<Seq, Refusal> {
        let found = if self.history.oldest().is_some() {
            self.history.received_since(at).await
        } else {
            received_since(&self.recent, at)
        };
        let found = found.map_err(|why| self.unreadable(&why))?;
        // What came after the request did is live, also when its time is still to come.
        Ok(found.map_or(self.next, |first| first.min(self.next)))
    }

    fn oldest(&self) -> Seq {
        self.history.oldest().unwrap_or(self.tail_first)
    }
}

/// The place of the first signal in the hot tail that was received at this time or later.
fn received_since(recent: &[Arc<Segment>], at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
    let before = |segment: &Arc<Segment>| {
        let newest = segment.from(segment.last()).last();
        newest.is_some_and(|newest| newest.detail.received_at < at)
    };
    let Some(segment) = recent.get(recent.partition_point(before)) else {
        return Ok(None);
    };
    let mut frames = segment.from(segment.first());
    let found = frames.find(|frame| frame.detail.received_at >= at);
    let found = found.map(|frame| frame.seq);
    let oldest = recent[0].first();
    // Some that were let go of may have been received then, too.
    if found == Some(oldest) && oldest != Seq::FIRST {
        return Err(ReadError::Gone { oldest });
    }
    Ok(found)
}
