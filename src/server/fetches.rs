//! Turns to fetch past signals.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::refusal::Refusal;

/// Who may fetch past signals when: so many at once, and so many of them for one subject, that
/// nobody who is slow to take what he asked for keeps all others waiting. Cheap to clone: all clones
/// share the turns.
#[derive(Clone, Debug)]
pub(super) struct Fetches {
    turns: Arc<Semaphore>,
    /// Those of each subject that has one, or waits for one.
    own: Arc<Mutex<HashMap<Box<str>, Weak<Semaphore>>>>,
    patience: Duration,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _turn: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

/// Answers with past signals that are made or wait to be taken at once, each of 4 MiB at most.
const MOST: usize = 32;

/// How many of them may be one subject's.
const MOST_OF_ONE: usize = MOST / 4;

impl Fetches {
    /// `patience`: how long to wait for a turn.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(MOST)),
            own: Arc::default(),
            patience,
        }
    }

    /// A turn for somebody.
    pub(super) async fn turn(&self, subject: &str) -> Result<Turn, Refusal> {
        let own = self.own(subject);
        let turn = async {
            // His own first: who waits for that keeps nobody else waiting.
            let own = own.acquire_owned().await?;
            let turn = Arc::clone(&self.turns).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Turn {
                _turn: turn,
                _own: own,
            })
        };
        match timeout(self.patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refusal::Busy),
        }
    }

    fn own(&self, subject: &str) -> Arc<Semaphore> {
        // Whoever held it can't have left it half changed.
        let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get(subject).and_then(Weak::upgrade) {
            return own;
        }
        all.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(MOST_OF_ONE));
        all.insert(subject.into(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_subject_leaves_turns_to_the_others_and_is_forgotten() {
        let fetches = Fetches::new(Duration::from_secs(10));
        let take = async |subject: &str, count: usize| {
            let turns = (0..count).map(|_| fetches.turn(subject));
            let turns: Vec<_> = join_all(turns).await.into_iter().flatten().collect();
            turns
        };
        let held = take("greedy", 40).await;
        assert_eq!(held.len(), MOST_OF_ONE);
        let others = take("a", 1).await;
        assert_eq!(others.len(), 1);
        let rest = join_all(["b", "c", "d", "e"].map(|name| take(name, MOST_OF_ONE))).await;
        let count: usize = rest.iter().map(Vec::len).sum();
        assert_eq!(count + held.len() + others.len(), MOST);
        drop((held, others, rest));
        assert_eq!(take("greedy", 1).await.len(), 1);
        assert_eq!(fetches.own.lock().unwrap().len(), 1);
    }
}
