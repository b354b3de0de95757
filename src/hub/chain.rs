use std::mem;
use std::sync::{Arc, OnceLock};

use super::segment::Segment;
use crate::halt::Change;

/// One step of what was published. A link is followed without a lock: its next is set once.
#[derive(Debug)]
pub(super) struct Link {
    published: Option<Published>,
    next: OnceLock<Arc<Self>>,
}

/// What a step brings.
#[derive(Debug)]
pub(super) enum Published {
    /// Signals that follow on what was published before.
    New(Arc<Segment>),
    /// The newest signals again, small segments joined to one.
    Joined(Arc<Segment>),
    /// Nothing new, but the halt switch stands otherwise from here on.
    Changed(Change),
}

impl Link {
    /// The beginning of a chain.
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self {
            published: None,
            next: OnceLock::new(),
        })
    }

    /// Puts a step behind this one, which must be the end, and returns the new end.
    pub(super) fn append(&self, published: Published) -> Arc<Self> {
        let link = Arc::new(Self {
            published: Some(published),
            next: OnceLock::new(),
        });
        self.next
            .set(Arc::clone(&link))
            .expect("only the hub appends, and only at the end");
        link
    }

    /// The step behind this one, if there is one yet.
    pub(super) fn next(&self) -> Option<&Arc<Self>> {
        self.next.get()
    }

    /// What this step brought; nothing at the beginning of the chain.
    pub(super) fn published(&self) -> Option<&Published> {
        self.published.as_ref()
    }
}

impl Drop for Link {
    /// Lets go of a chain that nobody else follows link by link: dropped one inside the other, a
    /// long one would overflow the stack.
    fn drop(&mut self) {
        let mut next = mem::take(&mut self.next).into_inner();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = mem::take(&mut link.next).into_inner();
        }
    }
}
