//! Brings raw lines with their place from everything that `--source` names. Does not know what a
//! signal is.

mod lines;
mod spec;
mod splitter;

pub use lines::{CutOff, Lines, MAX_LINE_BYTES, Origin, Position, SourceName, TooLong, Unfinished};
pub use spec::{FileSpec, From, InvalidSpec, Spec, StdinSpec};

/// What a source brings, in order per file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Complete lines.
    Lines(Lines),
    /// A line that is too long to be kept.
    TooLong(TooLong),
    /// The beginning of a line whose end will never come.
    Unfinished(Unfinished),
    /// A finite source has ended: the last of it came before this.
    Ended(SourceName),
    /// A source has failed, which is logged, and brings nothing more.
    Failed(SourceName),
}
