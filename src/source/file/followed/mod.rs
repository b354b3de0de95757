mod place;
mod reading;
mod suspect;

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::OFlags;

use super::BETWEEN_LOOKS;
use super::history::{HEAD_BYTES, History, TAIL_BYTES, Tail};
use crate::source::Origin;
use crate::source::splitter::Splitter;
use place::Told;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// One file that is followed, with its own reader and place.
///
/// The place is known again by the bytes before it. When they are others, the file was begun anew,
/// however long it is by now and whoever has its inode.
#[derive(Debug)]
pub(super) struct Followed {
    id: FileId,
    /// Closed when too many are open.
    handle: Option<File>,
    /// Where it can be opened; none when nobody knows, which a deleted file keeps its handle for.
    at: Option<PathBuf>,
    splitter: Splitter,
    /// What stands before the place.
    tail: Tail,
    /// What stands before the line that is not complete yet.
    handed_over: Tail,
    /// What was read since the file was begun: all of it, if it is as long as the place is far.
    history: History,
    /// What was read before it was begun anew, the last few times.
    ended: VecDeque<History>,
    /// How often it was begun anew.
    generation: u64,
    /// Nothing but zeros was read since it was begun anew.
    in_hole: bool,
    /// What stands before the place where reading began, if it was not all looked at yet.
    uncounted: Option<Uncounted>,
    /// The beginning of the file, until all of its old lines were looked at.
    head: Vec<u8>,
    pub(super) suspicion: Suspicion,
    /// Up to here everything was read from the file of which this is a copy.
    withheld: u64,
    /// When the file was last written to, as it says.
    modified: (i64, i64),
    /// Looks for which its time of modification may be that of two changes.
    unsettled: u32,
    /// Looks without news since its last matching name was lost; none while it has one.
    nameless: Option<u32>,
    /// When it was made, in nanoseconds since 1970, as far as its file system tells.
    born: Option<u64>,
    /// What the log was told of it.
    told: Told,
    /// Waits for its turn to be read.
    pub(super) queued: bool,
}

/// Whether a file is a copy of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It is new, and nothing was read of it yet.
    New,
    /// Everything in it up to the place stands in this one, too.
    CopyOf {
        original: Original,
        /// What had been read of that when this one was first looked at, in bytes.
        read: u64,
        /// Looks since the last byte.
        quiet: u32,
    },
    /// It is read like any other.
    Cleared,
}

/// A file that may have been copied, and which of the files it was one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Original {
    pub(super) id: FileId,
    pub(super) generation: u64,
}

#[derive(Debug)]
struct Uncounted {
    counted_to: u64,
    end: u64,
    /// Its lines up to there; `None`: their number is known.
    lines: Option<u64>,
}

/// Whether there is more to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    AtEnd,
}

/// Why a file is asked whether it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// Somebody says that it has changed.
    Reported,
    /// It is looked at every second.
    Look,
}

/// What becomes of a file that has no matching name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Grew,
    Waits,
    IsOver,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

impl FileId {
    /// No file's.
    pub(super) const NOBODY: Self = Self::ghost(0);

    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// For a file that is gone, whose own id may be another's by now.
    pub(super) const fn ghost(number: u64) -> Self {
        Self {
            device: u64::MAX,
            inode: number,
        }
    }

    pub(super) fn is_ghost(self) -> bool {
        self.device == u64::MAX
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    pub(super) fn device(self) -> u64 {
        self.device
    }

    pub(super) fn inode(self) -> u64 {
        self.inode
    }
}

impl Followed {
    /// `old_bytes` of it are not read.
    ///
    /// What is not read ends with its last complete line: the line that is being written right now
    /// will be complete after the start, and half a line is worse than none.
    pub(super) fn new(
        path: &Path,
        file: File,
        metadata: &Metadata,
        origin: Origin,
        old_bytes: u64,
    ) -> io::Result<Self> {
        let offset = end_of_last_line(&file, old_bytes)?;
        let (mut tail, mut uncounted, mut head) = (Tail::default(), None, Vec::new());
        if offset > 0 {
            tail = tail_before(&file, offset)?;
            head = vec![0; usize::try_from(offset).map_or(HEAD_BYTES, |most| most.min(HEAD_BYTES))];
            let count = read_at(&file, &mut head, 0)?;
            head.truncate(count);
            uncounted = Some(Uncounted {
                counted_to: 0,
                end: offset,
                lines: Some(0),
            });
        }
        Ok(Self {
            id: FileId::of(metadata),
            handle: Some(file),
            at: Some(path.to_owned()),
            splitter: Splitter::new(origin, 1, offset),
            handed_over: tail.clone(),
            tail,
            history: History::default(),
            ended: VecDeque::new(),
            generation: 0,
            in_hole: false,
            suspicion: if offset == 0 {
                Suspicion::New
            } else {
                Suspicion::Cleared
            },
            withheld: 0,
            uncounted,
            head,
            modified: modified(metadata),
            unsettled: if is_recent(metadata) {
                UNTIL_SETTLED
            } else {
                0
            },
            nameless: None,
            born: born(metadata),
            told: Told::default(),
            queued: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.splitter
            .origin()
            .file
            .as_deref()
            .expect("a followed file was given an origin with a file")
    }

    fn path_shared(&self) -> Arc<Path> {
        let file = self.splitter.origin().file.clone();
        file.expect("a followed file was given an origin with a file")
    }

    /// Bytes of it that were read.
    pub(super) fn end(&self) -> u64 {
        self.splitter.end()
    }

    /// What was read of it since it was begun.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// What stands before its place.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// What was read of it, first what it was before, last what it is now, as far as all of that
    /// was read; each with its number.
    pub(super) fn histories(&self) -> impl Iterator<Item = (u64, &History)> {
        let current = Some(&self.history).filter(|_| self.history_is_complete());
        let first = self.generation - self.ended.len() as u64;
        let ended = (first..).zip(&self.ended);
        ended.chain(current.map(|history| (self.generation, history)))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it is to be read, going by what its name tells.
    pub(super) fn is_due(&mut self, metadata: &Metadata, prompt: Prompt) -> bool {
        let modified = modified(metadata);
        if prompt == Prompt::Reported || modified != self.modified {
            self.modified = modified;
            self.unsettled = UNTIL_SETTLED;
            return true;
        }
        // Written to twice within a tick of its clock, it tells the same time twice.
        let unsettled = self.unsettled > 0;
        self.unsettled = self.unsettled.saturating_sub(1);
        unsettled || metadata.len() != self.end()
    }

    pub(super) fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    /// Opens it again if it was closed, and makes sure that it is the same.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.handle.is_none() {
            let file = open(self.at.as_deref().ok_or(ErrorKind::NotFound)?)?;
            if FileId::of(&file.metadata()?) != self.id {
                return Err(ErrorKind::NotFound.into());
            }
            self.handle = Some(file);
        }
        Ok(())
    }

    /// Closes it if it can be opened again.
    pub(super) fn let_go(&mut self) {
        if self.at.is_some() {
            self.handle = None;
        }
    }

    /// Its size and more, asked without its name if it is open.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        if let Some(file) = &self.handle {
            return file.metadata();
        }
        let metadata = fs::metadata(self.at.as_deref().ok_or(ErrorKind::NotFound)?)?;
        if FileId::of(&metadata) == self.id {
            Ok(metadata)
        } else {
            Err(ErrorKind::NotFound.into())
        }
    }

    /// Reads what stands at a place, without any effect on where reading goes on.
    pub(super) fn peek(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(file) = &self.handle {
            return read_at(file, buffer, offset);
        }
        let file = open(self.at.as_deref().ok_or(ErrorKind::NotFound)?)?;
        read_at(&file, buffer, offset)
    }

    pub(super) fn is_nameless(&self) -> bool {
        self.nameless.is_some()
    }

    /// It can be opened there no more. `elsewhere`: where it is instead, needed only if it is
    /// closed. False if it can't be read any more.
    pub(super) fn moved(
        &mut self,
        from: &Path,
        elsewhere: impl FnOnce() -> Option<PathBuf>,
    ) -> bool {
        if self.at.as_deref() == Some(from) {
            self.at = if self.is_open() { None } else { elsewhere() };
        }
        self.is_open() || self.at.is_some()
    }

    /// Its name now stands for another file, or for none.
    pub(super) fn lost_name(&mut self) {
        self.nameless.get_or_insert(0);
    }

    /// A matching path stands for it: its new name, if it had lost the old one.
    pub(super) fn found_again(&mut self, path: &Path, origin: Origin) {
        self.at = Some(path.to_owned());
        if self.nameless.take().is_some() {
            self.splitter.set_origin(origin);
        }
    }

    /// To be asked at each look while it is nameless.
    pub(super) fn fate(&mut self) -> io::Result<Fate> {
        let end = self.end();
        let (size, deleted) = match self.metadata() {
            Ok(metadata) => (metadata.len(), metadata.nlink() == 0),
            // Deleted while it was closed.
            Err(why) if why.kind() == ErrorKind::NotFound => (end, true),
            Err(why) => return Err(why),
        };
        let Some(quiet) = &mut self.nameless else {
            return Ok(Fate::Waits);
        };
        if size != end {
            *quiet = 0;
            return Ok(Fate::Grew);
        }
        *quiet += 1;
        let enough = if deleted {
            QUIET_DELETED
        } else {
            QUIET_RENAMED
        };
        Ok(if *quiet >= enough {
            Fate::IsOver
        } else {
            Fate::Waits
        })
    }
}

/// Opens a file to be followed; a pipe, too, but without waiting for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nonblocking).open(path)
}

/// When the file was made, if its file system tells.
pub(super) fn born(metadata: &Metadata) -> Option<u64> {
    let age = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(age.as_nanos()).ok()
}

/// When it was last written to: seconds since 1970, and nanoseconds.
pub(super) fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// Since 1970, or 0 if it was before.
pub(super) fn nanoseconds((seconds, rest): (i64, i64)) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let rest = u64::try_from(rest).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Whether it was written to so lately that another change would not show in its time.
fn is_recent(metadata: &Metadata) -> bool {
    let age = metadata
        .modified()
        .ok()
        .and_then(|time| time.elapsed().ok());
    age.is_none_or(|age| age < BETWEEN_LOOKS * UNTIL_SETTLED)
}

/// Offset after the last newline among the first `size` bytes.
fn end_of_last_line(file: &File, size: u64) -> io::Result<u64> {
    let mut buffer = [0; 4096];
    let mut end = size;
    // Nearly always the last byte is a newline: look at that one alone first.
    let mut block = 1;
    while end > 0 {
        let start = end.saturating_sub(block);
        let length = usize::try_from(end - start).unwrap_or(buffer.len());
        let count = read_at(file, &mut buffer[..length], start)?;
        if let Some(newline) = memchr::memrchr(b'\n', &buffer[..count]) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
        block = buffer.len() as u64;
    }
    Ok(0)
}

pub(super) fn tail_before(file: &File, offset: u64) -> io::Result<Tail> {
    let (mut tail, mut buffer) = (Tail::default(), [0; TAIL_BYTES]);
    let start = offset.saturating_sub(TAIL_BYTES as u64);
    let length = usize::try_from(offset - start).unwrap_or(TAIL_BYTES);
    let count = read_at(file, &mut buffer[..length], start)?;
    tail.push(&buffer[..count]);
    Ok(tail)
}

/// As much as the buffer takes, less only at the end of the file.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(count)
}

/// Looks (one a second) for which a file that was written to is read although it seems to be the
/// same: file systems tell the time in steps of up to two seconds.
const UNTIL_SETTLED: u32 = 3;

/// Looks without news after which a deleted file is let go: whoever still has it open may have
/// been about to write.
const QUIET_DELETED: u32 = 2;

/// The same for a renamed one: writers that rotate go on writing to it until they open the new.
const QUIET_RENAMED: u32 = 60;

/// Bytes counted at once.
pub(super) const COUNT_BYTES: usize = 256 * 1024;
