use std::collections::HashMap;

use super::{Arrival, SourceName};

/// What a source hands over at once, and how far it is when that has been recorded.
///
/// It is the unit of a commit: the log takes all of it together with the bookmark or nothing, so
/// a crash neither loses nor repeats a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// What came, in order.
    pub arrivals: Vec<Arrival>,
    /// Where to go on after it; empty for what can't be read again, as standard input.
    pub bookmarks: Vec<Bookmark>,
}

/// How far one part of a source (one of its files) has been read.
///
/// The log keeps it beside the signals and gives it back at the next start. What it says is the
/// source's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The source.
    pub source: SourceName,
    /// Which part of it: unique within the source.
    pub part: Box<str>,
    /// How far.
    pub mark: Mark,
}

/// How far a part was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Up to here, in text that the source understands.
    At(Box<str>),
    /// The part is no more: the log forgets it.
    Gone,
}

/// What the log knows of the sources that were started before, each by its name.
pub type Bookmarks = HashMap<SourceName, Vec<Bookmark>>;

impl From<Vec<Arrival>> for Handover {
    fn from(arrivals: Vec<Arrival>) -> Self {
        Self {
            arrivals,
            bookmarks: Vec::new(),
        }
    }
}
