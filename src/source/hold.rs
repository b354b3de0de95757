use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Whether a source may read. Its own thread asks before each read; others pause it.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// As in `flags`, for those who only want to show it.
    paused: AtomicBool,
    flags: Mutex<Flags>,
}

#[derive(Default)]
struct Flags {
    paused: bool,
    /// Reads that were begun before and go on.
    readings: usize,
    /// Who waits for these to end.
    waiting: Vec<oneshot::Sender<()>>,
    /// Wakes the source's thread.
    bell: Option<Box<dyn Fn() + Send>>,
}

/// A read that goes on. Whoever pauses the source waits until it is dropped.
#[derive(Debug)]
pub(super) struct Reading(Arc<Hold>);

impl Hold {
    /// What to call when the source is paused or goes on. It is called under a lock, so it must be
    /// quick.
    pub(super) fn when_changed(&self, bell: impl Fn() + Send + 'static) {
        self.flags().bell = Some(Box::new(bell));
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// No read begins from now on. What is returned ends when those that were begun have, so that
    /// whatever is written after that is not read.
    pub(super) fn pause(&self) -> oneshot::Receiver<()> {
        let (done, settled) = oneshot::channel();
        let mut flags = self.flags();
        self.set(&mut flags, true);
        if flags.readings > 0 {
            flags.waiting.push(done);
        }
        settled
    }

    pub(super) fn resume(&self) {
        let mut flags = self.flags();
        self.set(&mut flags, false);
    }

    /// Begins a read; none while the source is paused.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Reading> {
        let mut flags = self.flags();
        if flags.paused {
            return None;
        }
        flags.readings += 1;
        Some(Reading(Arc::clone(self)))
    }

    fn set(&self, flags: &mut Flags, paused: bool) {
        flags.paused = paused;
        self.paused.store(paused, Ordering::Relaxed);
        if let Some(bell) = &flags.bell {
            bell();
        }
    }

    fn flags(&self) -> MutexGuard<'_, Flags> {
        // Nothing that runs under the lock can leave the flags half changed.
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut flags = self.0.flags();
        flags.readings -= 1;
        if flags.readings == 0 {
            // Dropped, they tell that it is over.
            flags.waiting.clear();
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags")
            .field("paused", &self.paused)
            .field("readings", &self.readings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    #[test]
    fn whoever_pauses_a_source_can_wait_for_the_read_that_goes_on() {
        let hold = Arc::new(Hold::default());
        assert_eq!(hold.pause().try_recv(), Err(TryRecvError::Closed));
        assert!(hold.enter().is_none());
        hold.resume();
        let (first, second) = (hold.enter(), hold.enter());
        let mut settled = hold.pause();
        assert!(hold.is_paused() && hold.enter().is_none());
        drop(first);
        assert_eq!(settled.try_recv(), Err(TryRecvError::Empty));
        drop(second);
        assert_eq!(settled.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn the_sources_thread_is_woken_when_something_changes() {
        let (hold, rung) = (Hold::default(), Arc::new(AtomicUsize::new(0)));
        let bell = Arc::clone(&rung);
        hold.when_changed(move || {
            bell.fetch_add(1, Ordering::Relaxed);
        });
        drop(hold.pause());
        hold.resume();
        assert_eq!(rung.load(Ordering::Relaxed), 2);
        assert!(!hold.is_paused());
    }
}
