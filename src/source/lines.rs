use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest;

use crate::signal::TimeUnit;

/// Most bytes of a line. A byte order mark at the start of the file, the newline and one carriage
/// return before it don't count; blanks do, since they have to be kept in memory like the rest.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// What a source is called, as in `"source":"file:signals/live.jsonl"`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(Arc<str>);

/// Where lines come from. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The source that was asked for.
    pub source: SourceName,
    /// The file of that source; none for stdin and commands.
    pub file: Option<Arc<Path>>,
    /// What a bare number in `timestamp` counts.
    pub unit: TimeUnit,
}

/// Where a line stood. `Display`: `signals/live.jsonl:17`, `stdin:17`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// None for stdin and commands.
    pub file: Option<Arc<Path>>,
    /// The first line is 1.
    pub line: u64,
    /// Bytes before the line's first byte.
    pub offset: u64,
}

/// A run of complete lines that were read at once. One allocation, however many lines it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Where the lines come from.
    pub origin: Origin,
    /// Number of the first line; the first of all is 1.
    pub first_line: u64,
    /// Bytes before the first line.
    pub first_offset: u64,
    /// When the last of them was read.
    pub read_at: Instant,
    /// The lines with their newlines; only the very last line of stdin or a command may lack it.
    pub bytes: Vec<u8>,
}

/// A line with more than [`MAX_LINE_BYTES`]: it was not kept, only its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the line is {length} bytes long, at most {MAX_LINE_BYTES} are allowed; \
     write one signal a line, each line ended by a newline"
)]
pub struct TooLong {
    /// Where the line comes from.
    pub origin: Origin,
    /// Where it stood.
    pub position: Position,
    /// Its first [`MAX_LINE_BYTES`].
    pub head: Vec<u8>,
    /// Its bytes, without the line end.
    pub length: u64,
    /// SHA-256 of all of it, without the line end.
    pub sha256: [u8; digest::SHA256_OUTPUT_LEN],
}

/// A line that will never get its newline. It may be the beginning of another one (`buy X 75` of
/// `buy X 75000.00`), so nobody may trade on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line has no newline and never will ({why}); end each line with a newline")]
pub struct Unfinished {
    /// Where the line comes from.
    pub origin: Origin,
    /// Where it stood.
    pub position: Position,
    /// What was there of it.
    pub line: Vec<u8>,
    /// What became of the rest.
    pub why: CutOff,
}

/// Why a line will not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// The file was deleted, or renamed and left alone.
    Gone,
    /// The file was truncated.
    Truncated,
    /// The server stopped reading standard input, or ended the command.
    Stopped,
    /// The command that printed it was killed, or ended with another exit code than 0.
    Failed,
    /// Its command ended with 0, but somebody may have printed the rest after that.
    Outlived,
}

impl SourceName {
    /// The name as clients see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SourceName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}", file.display(), self.line),
            None => write!(f, "stdin:{}", self.line),
        }
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "its file is gone",
            Self::Truncated => "its file was truncated",
            Self::Stopped => "the server stopped",
            Self::Failed => "its command failed",
            Self::Outlived => "its command ended before all that may have printed the rest",
        })
    }
}

impl Origin {
    /// This file of the same source.
    pub(super) fn with_file(&self, path: &Path) -> Self {
        Self {
            file: Some(path.into()),
            ..self.clone()
        }
    }
}

impl Lines {
    /// How many newlines there are: as many as lines, unless the very last lacks its own.
    pub(crate) fn newlines(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.bytes).count()
    }

    /// The lines without their newlines, each with its place. A byte order mark that begins the
    /// file is left out; a carriage return before the newline is not.
    pub fn iter(&self) -> impl Iterator<Item = (Position, &[u8])> {
        let mut start = 0;
        (self.first_line..).map_while(move |line| {
            let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
            let offset = self.first_offset + start as u64;
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            start += length + 1;
            let bytes = &rest[..length];
            let position = Position {
                file: self.origin.file.clone(),
                line,
                offset,
            };
            Some((position, &bytes[byte_order_mark(offset, bytes)..]))
        })
    }
}

/// Length of the byte order mark at the start of a line.
pub(super) fn byte_order_mark(offset: u64, line: &[u8]) -> usize {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if offset == 0 && line.starts_with(MARK) {
        MARK.len()
    } else {
        0
    }
}
