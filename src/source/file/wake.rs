use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Where the follower's thread sleeps until something has happened.
#[derive(Debug, Default)]
pub(super) struct Wake {
    news: Mutex<News>,
    bell: Condvar,
}

/// What has happened since the follower last looked.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Paths where something has changed, as the watcher names them.
    pub(super) changed: HashSet<PathBuf>,
    /// Anything may have changed: look at everything.
    pub(super) look: bool,
    /// Stop. Stays.
    pub(super) stop: bool,
}

/// Stops the follower when it is dropped.
#[derive(Debug)]
pub(in crate::source) struct Stopper(Arc<Wake>);

impl Wake {
    pub(super) fn changed(&self, paths: Vec<PathBuf>) {
        self.tell(|news| {
            news.changed.extend(paths);
            // When this queue is full one look at everything takes the place of it all.
            if news.changed.len() > MOST_CHANGED {
                news.changed = HashSet::new();
                news.look = true;
            }
        });
    }

    pub(super) fn look(&self) {
        self.tell(|news| news.look = true);
    }

    /// Sleeps until there is news, at most until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> News {
        let mut news = self.news();
        while !news.stop && !news.look && news.changed.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            news = self
                .bell
                .wait_timeout(news, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let stop = news.stop;
        let taken = std::mem::take(&mut *news);
        news.stop = stop;
        taken
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.news().stop
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news());
        self.bell.notify_one();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        // Nothing that runs under the lock can leave the news half changed.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopper {
    pub(super) fn new(wake: Arc<Wake>) -> Self {
        Self(wake)
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.tell(|news| news.stop = true);
    }
}

/// Paths remembered one by one; beyond, looking at everything is cheaper than remembering.
const MOST_CHANGED: usize = 4096;
