//! What each subject may have of a room that all share, so that nobody takes all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shares of all subjects. Cheap to clone: all clones are the same. Subjects that hold nothing
/// are forgotten, so there are never more than the room has parts.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    most_kib: usize,
    held: Arc<Mutex<HashMap<Box<str>, usize>>>,
}

/// What is held for one subject at one place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    subject: Box<str>,
    kib: usize,
}

impl Shares {
    /// `most_kib`: for each subject.
    pub(super) fn new(most_kib: usize) -> Self {
        let held = Arc::default();
        Self { most_kib, held }
    }

    /// Nothing yet, for somebody.
    pub(super) fn of(&self, subject: &str) -> Share {
        Share {
            shares: self.clone(),
            subject: subject.into(),
            kib: 0,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Box<str>, usize>> {
        // Whoever held it can't have left it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes so much more, unless the subject would then have more than its share, at all places
    /// together.
    #[must_use = "it may have taken nothing"]
    pub(super) fn takes(&mut self, kib: usize) -> bool {
        let mut held = self.shares.held();
        let has = held.get(&self.subject).copied().unwrap_or(0);
        if has + kib > self.shares.most_kib {
            return false;
        }
        held.insert(self.subject.clone(), has + kib);
        self.kib += kib;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        let Some(has) = held.get_mut(&self.subject) else {
            return;
        };
        *has -= self.kib;
        if *has == 0 {
            held.remove(&self.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_his_share_and_what_he_gave_back_is_forgotten() {
        let shares = Shares::new(10);
        let (mut one, mut another) = (shares.of("a"), shares.of("a"));
        assert!(one.takes(4) && one.takes(2) && another.takes(4));
        assert!(!one.takes(1) && !another.takes(1));
        let mut other = shares.of("b");
        assert!(!other.takes(11) && other.takes(10));
        drop(one);
        assert!(!another.takes(7) && another.takes(6));
        drop((another, other, shares.of("c")));
        assert!(shares.held().is_empty());
    }
}
