use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use futures::future::AbortHandle;
use tracing::warn;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Stage {
    /// For us: to be looked at, or for its turn to shake hands.
    Ours,
    /// For the log, to take what it brought or to give what it asks for. How many do is bounded where
    /// they take turns for that.
    Log,
    /// For the peer, which has sent nothing whole yet (a ClientHello; without TLS, a request).
    Silent,
    /// For the peer, which has.
    Begun,
    /// For the peer, which has shown what it may, and whose body is coming.
    Known,
}

const STAGES: usize = 5;

/// The connections of each stage by age, and how those that are too many are dropped.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// Those of each stage, by age.
    waiting: [BTreeMap<u64, AbortHandle>; STAGES],
    /// Told to end, and not gone yet.
    pub(super) leaving: usize,
    next: u64,
    dropped: u64,
    drop_said: Option<Instant>,
    failure_said: Option<Instant>,
}

impl Stages {
    /// One more, which waits for us. Returns its age.
    pub(super) fn enter(&mut self, handle: AbortHandle) -> u64 {
        let number = self.youngest();
        self.at_mut(Stage::Ours).insert(number, handle);
        number
    }

    /// The age of one that is younger than all others.
    pub(super) fn youngest(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// One of them is gone.
    pub(super) fn leave(&mut self, number: u64) {
        if self.remove(number).is_none() {
            self.leaving -= 1;
        }
    }

    /// How many are in a stage.
    pub(super) fn count(&self, stage: Stage) -> usize {
        self.at(stage).len()
    }

    /// Whether the one of this age is in this stage.
    pub(super) fn has(&self, stage: Stage, number: u64) -> bool {
        self.at(stage).contains_key(&number)
    }

    /// One of them waits for something else, and has this age from now on. Drops the oldest if those
    /// that wait for their peer are more than so many then.
    pub(super) fn moves(&mut self, before: u64, number: u64, to: Stage, most: usize) {
        // One that was told to end is nowhere.
        if let Some(handle) = self.remove(before) {
            self.at_mut(to).insert(number, handle);
        }
        if FOR_THE_PEER.contains(&to) && self.count(to) > most {
            self.drop_oldest(to);
        }
    }

    /// Drops a quarter of those that wait for their peer, unless some are on their way out.
    pub(super) fn shed(&mut self, error: &io::Error) {
        if due(&mut self.failure_said) {
            warn!(%error, "no connection can be accepted; is the open-file limit too low?");
        }
        // What was told to end frees its descriptor in a moment.
        if self.leaving > 0 {
            return;
        }
        let all: usize = FOR_THE_PEER.iter().map(|&stage| self.count(stage)).sum();
        for _ in 0..all.div_ceil(4) {
            FOR_THE_PEER.iter().any(|&stage| self.drop_oldest(stage));
        }
    }

    fn drop_oldest(&mut self, stage: Stage) -> bool {
        let Some((_, handle)) = self.at_mut(stage).pop_first() else {
            return false;
        };
        handle.abort();
        self.leaving += 1;
        self.dropped += 1;
        if due(&mut self.drop_said) {
            let [silent, begun, known] = FOR_THE_PEER.map(|stage| self.count(stage));
            warn!(
                dropped = self.dropped,
                silent,
                begun,
                known,
                "more connections than there is room for have not become clients; the oldest are dropped"
            );
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<AbortHandle> {
        self.waiting
            .iter_mut()
            .find_map(|stage| stage.remove(&number))
    }

    fn at(&self, stage: Stage) -> &BTreeMap<u64, AbortHandle> {
        &self.waiting[stage as usize]
    }

    fn at_mut(&mut self, stage: Stage) -> &mut BTreeMap<u64, AbortHandle> {
        &mut self.waiting[stage as usize]
    }
}

/// The stages in which a peer may be silent for long, in the order in which they make room.
const FOR_THE_PEER: [Stage; 3] = [Stage::Silent, Stage::Begun, Stage::Known];

/// Whether a message that is due again and again is to be said now.
fn due(said: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = said.is_none_or(|said| now - said >= BETWEEN_MESSAGES);
    if due {
        *said = Some(now);
    }
    due
}

const BETWEEN_MESSAGES: Duration = Duration::from_secs(60);
