use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tracing::warn;

use crate::source::lines::CutOff;
use crate::source::splitter::Splitter;
use crate::source::{Arrival, Origin};

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// One file that is followed, with its own reader and place.
#[derive(Debug)]
pub(super) struct Followed {
    file: File,
    id: FileId,
    splitter: Splitter,
    /// The lines before the place where reading began, if they are not all counted yet.
    uncounted: Option<Uncounted>,
    /// Looks without news since its last matching name was lost; none while it has one.
    nameless: Option<u32>,
    /// Waits for its turn to be read.
    pub(super) queued: bool,
}

#[derive(Debug)]
struct Uncounted {
    counted_to: u64,
    end: u64,
    lines: u64,
}

/// Whether there is more to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    AtEnd,
}

/// What becomes of a file that has no matching name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Grew,
    Waits,
    IsOver,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl Followed {
    /// `None` if it is not a regular file. `old_bytes` says of a file of this size how much of it
    /// is not read.
    ///
    /// What is not read ends with its last complete line: the line that is being written right now
    /// will be complete after the start, and half a line is worse than none.
    pub(super) fn open(
        path: &Path,
        origin: Origin,
        old_bytes: impl FnOnce(FileId, u64) -> u64,
    ) -> io::Result<Option<Self>> {
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed(); // opening a FIFO would hang
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let id = FileId::of(&metadata);
        let offset = end_of_last_line(&file, old_bytes(id, metadata.len()))?;
        Ok(Some(Self {
            id,
            file,
            splitter: Splitter::new(origin, 1, offset),
            uncounted: (offset > 0).then_some(Uncounted {
                counted_to: 0,
                end: offset,
                lines: 0,
            }),
            nameless: None,
            queued: false,
        }))
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn path(&self) -> &Path {
        self.splitter
            .origin()
            .file
            .as_deref()
            .expect("open was given an origin with a file")
    }

    /// Bytes of it that were read.
    pub(super) fn end(&self) -> u64 {
        self.splitter.end()
    }

    pub(super) fn is_nameless(&self) -> bool {
        self.nameless.is_some()
    }

    /// Its name now stands for another file, or for none.
    pub(super) fn lost_name(&mut self) {
        self.nameless.get_or_insert(0);
    }

    /// A matching path stands for it: its new name, if it had lost the old one.
    pub(super) fn found_again(&mut self, origin: Origin) {
        if self.nameless.take().is_some() {
            self.splitter.set_origin(origin);
        }
    }

    /// Reads once, at most as much as `buffer` takes.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<Progress> {
        let count = read_at(&self.file, buffer, self.end())?;
        if count == 0 {
            let size = self.file.metadata()?.len();
            if size >= self.end() {
                return Ok(Progress::AtEnd);
            }
            warn!(
                file = %self.path().display(), read = self.end(), size,
                "file was truncated; reading it from its start"
            );
            self.uncounted = None;
            self.splitter.restart(CutOff::Truncated, arrivals);
            return Ok(Progress::More);
        }
        let piece = buffer.len();
        self.splitter_with_lines_counted()?
            .push(&buffer[..count], arrivals);
        Ok(if count < piece {
            Progress::AtEnd
        } else {
            Progress::More
        })
    }

    /// Counts some of the lines before the place where reading began; true when all are counted.
    pub(super) fn count_lines(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(uncounted) = &mut self.uncounted else {
            return Ok(true);
        };
        let left = usize::try_from(uncounted.end - uncounted.counted_to).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let count = read_at(&self.file, &mut buffer[..most], uncounted.counted_to)?;
        uncounted.lines += memchr::memchr_iter(b'\n', &buffer[..count]).count() as u64;
        uncounted.counted_to += count as u64;
        // Nothing there: truncated, which the next read finds out.
        if count == 0 || uncounted.counted_to == uncounted.end {
            self.splitter.count_lines_before(uncounted.lines);
            self.uncounted = None;
        }
        Ok(self.uncounted.is_none())
    }

    /// To be asked at each look while it is nameless.
    pub(super) fn fate(&mut self) -> io::Result<Fate> {
        let metadata = self.file.metadata()?;
        let (end, deleted) = (self.end(), metadata.nlink() == 0);
        let Some(quiet) = &mut self.nameless else {
            return Ok(Fate::Waits);
        };
        if metadata.len() != end {
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

    /// It will not be read again.
    pub(super) fn close(mut self, arrivals: &mut Vec<Arrival>) {
        self.splitter.restart(CutOff::Gone, arrivals);
    }

    /// A line can only be handed over when its number is known.
    fn splitter_with_lines_counted(&mut self) -> io::Result<&mut Splitter> {
        if self.uncounted.is_some() {
            let mut buffer = vec![0; COUNT_BYTES];
            while !self.count_lines(&mut buffer)? {}
        }
        Ok(&mut self.splitter)
    }
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

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Looks (one a second) without news after which a deleted file is let go: whoever still has it
/// open may have been about to write.
const QUIET_DELETED: u32 = 2;

/// The same for a renamed one: writers that rotate go on writing to it until they open the new.
const QUIET_RENAMED: u32 = 60;

/// Bytes counted at once.
pub(super) const COUNT_BYTES: usize = 256 * 1024;
