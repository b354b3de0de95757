use std::collections::{HashSet, VecDeque};

use crate::source::file::file_id::FileId;

/// Files that wait for their turn to be read, each once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Those of which nothing was read yet. They come first, once: what was read of their
    /// originals, if they are copies, is then what was read when they were made.
    new: VecDeque<FileId>,
    others: VecDeque<FileId>,
    waiting: HashSet<FileId>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, id: FileId, is_new: bool) {
        if self.waiting.insert(id) {
            let queue = if is_new {
                &mut self.new
            } else {
                &mut self.others
            };
            queue.push_back(id);
        }
    }

    pub(super) fn pop(&mut self) -> Option<FileId> {
        let next = self.new.pop_front().or_else(|| self.others.pop_front())?;
        self.waiting.remove(&next);
        Some(next)
    }

    /// This file is gone; its id may soon be another's.
    pub(super) fn remove(&mut self, id: FileId) {
        if self.waiting.remove(&id) {
            self.new.retain(|waiting| *waiting != id);
            self.others.retain(|waiting| *waiting != id);
        }
    }
}
