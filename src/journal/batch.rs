use std::collections::HashMap;

use crate::signal::{ReceivedAt, Signal};
use crate::source::{Bookmark, Mark, SourceName};

/// What goes into the log in one commit: signals, and how far their sources are after them.
#[derive(Debug, Default)]
pub struct Batch {
    /// The signals, in order.
    pub entries: Vec<Entry>,
    /// How far each part of a source was read, the newest mark only.
    pub bookmarks: HashMap<Part, Mark>,
}

/// A part of a source: its name, and which part.
pub type Part = (SourceName, Box<str>);

/// A signal on its way into the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The signal.
    pub signal: Signal,
    /// Where it came from.
    pub source: SourceName,
    /// When. Never before that of an entry recorded earlier.
    pub received_at: ReceivedAt,
}

impl Batch {
    /// Signals that were received from nowhere at the beginning of time: for tests and benchmarks.
    pub fn of(signals: impl IntoIterator<Item = Signal>) -> Self {
        let entry = |signal| Entry {
            signal,
            source: "test".into(),
            received_at: ReceivedAt::MIN,
        };
        Self {
            entries: signals.into_iter().map(entry).collect(),
            ..Self::default()
        }
    }

    /// No signals, only where sources are.
    pub fn marking(bookmarks: impl IntoIterator<Item = Bookmark>) -> Self {
        let mut batch = Self::default();
        bookmarks
            .into_iter()
            .for_each(|bookmark| batch.mark(bookmark));
        batch
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.bookmarks.is_empty()
    }

    /// The source is there when all signals so far have been recorded.
    pub fn mark(&mut self, bookmark: Bookmark) {
        let part = (bookmark.source, bookmark.part);
        self.bookmarks.insert(part, bookmark.mark);
    }

    /// Nothing in it is worth anything any more: the server is halted.
    pub fn make_void(&mut self) {
        self.entries
            .iter_mut()
            .for_each(|entry| entry.signal.make_void());
    }

    /// Takes what comes after it into the same commit.
    pub fn extend(&mut self, later: Self) {
        self.entries.extend(later.entries);
        self.bookmarks.extend(later.bookmarks);
    }
}
