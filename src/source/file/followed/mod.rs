mod cursor;
mod freshness;
mod handle;
mod mark;
mod past;
mod reading;
mod suspect;

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::bookmark::Kept;
use super::bytes;
use super::history::{HEAD_BYTES, History, Tail};
use crate::source::Origin;
use cursor::Cursor;
use freshness::Freshness;
use handle::Handle;
use mark::Told;
use past::{Lines, Past};

pub(super) use freshness::Prompt;
pub(super) use reading::{COUNT_BYTES, Progress};
pub(super) use suspect::{Original, Suspicion};

/// One file that is followed, whatever its name, with its own cursor.
///
/// The cursor is known again by the bytes before it. When they are others, the file was begun anew,
/// however long it is by now and whoever has its inode.
#[derive(Debug)]
pub(super) struct Followed {
    handle: Handle,
    cursor: Cursor,
    past: Past,
    suspicion: Suspicion,
    /// Up to here everything was read from the file of which this is a copy.
    withheld: u64,
    freshness: Freshness,
    /// Looks without news since its last matching name was lost; none while it has one.
    nameless: Option<u32>,
    told: Told,
    /// Where it was when it was begun anew just now.
    lost: Option<Kept>,
}

/// What becomes of a file that has no matching name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Grew,
    Waits,
    IsOver,
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
        let offset = bytes::end_of_last_line(&file, old_bytes)?;
        let tail = bytes::tail_before(&file, offset)?;
        let most = usize::try_from(offset).map_or(HEAD_BYTES, |most| most.min(HEAD_BYTES));
        let head = bytes::head(&file, most)?;
        let suspicion = match offset {
            0 => Suspicion::New,
            _ => Suspicion::Cleared,
        };
        Ok(Self {
            handle: Handle::new(file, metadata, Some(path.to_owned())),
            cursor: Cursor::new(origin, 1, offset, tail),
            past: Past::unseen(head, offset, Lines::SoFar(0)),
            suspicion,
            withheld: 0,
            freshness: Freshness::of(metadata),
            nameless: None,
            told: Told::default(),
            lost: None,
        })
    }

    /// The name that its lines come under.
    pub(super) fn path(&self) -> &Path {
        self.cursor.file()
    }

    /// Bytes of it that were read.
    pub(super) fn end(&self) -> u64 {
        self.cursor.end()
    }

    /// What stands before its cursor.
    pub(super) fn tail(&self) -> &Tail {
        self.cursor.tail()
    }

    /// What was read of it since it was begun.
    pub(super) fn history(&self) -> &History {
        self.past.current()
    }

    /// What was read of it, first what it was before, last what it is now, as far as all of that
    /// was looked at; each with its number.
    pub(super) fn histories(&self) -> impl Iterator<Item = (u64, &History)> {
        self.past.all(self.end())
    }

    /// How often it was begun anew.
    pub(super) fn generation(&self) -> u64 {
        self.past.generation()
    }

    pub(super) fn suspicion(&self) -> Suspicion {
        self.suspicion
    }

    /// Whether it is to be read, going by what its name tells.
    pub(super) fn is_due(&mut self, metadata: &Metadata, prompt: Prompt) -> bool {
        self.freshness.is_due(metadata, self.end(), prompt)
    }

    /// Whether this is the same file, and not one that was given its inode.
    pub(super) fn is(&self, there: &Metadata) -> bool {
        self.handle.is(there)
    }

    /// When it was made, in nanoseconds since 1970, as far as its file system tells.
    pub(super) fn born(&self) -> Option<u64> {
        self.handle.born()
    }

    pub(super) fn is_open(&self) -> bool {
        self.handle.is_open()
    }

    /// Keeps it open from now on, whatever its name comes to stand for.
    pub(super) fn hold_open(&mut self) -> io::Result<()> {
        self.handle.hold_open()
    }

    /// Closes it if it can be opened again.
    pub(super) fn let_go(&mut self) {
        self.handle.close();
    }

    /// Its size and more, asked without its name if it is open.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// What stands at an offset, without any effect on where reading goes on.
    pub(super) fn peek(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.handle.read_at(buffer, offset)
    }

    /// It can be opened there no more. `elsewhere`: where it is instead, needed only if it is
    /// closed. False if it can't be read any more.
    pub(super) fn left(
        &mut self,
        path: &Path,
        elsewhere: impl FnOnce() -> Option<PathBuf>,
    ) -> bool {
        self.handle.left(path, elsewhere)
    }

    pub(super) fn is_nameless(&self) -> bool {
        self.nameless.is_some()
    }

    /// Its name now stands for another file, or for none.
    pub(super) fn lost_name(&mut self) {
        self.nameless.get_or_insert(0);
    }

    /// A matching path stands for it: its new name, if it had lost the old one.
    pub(super) fn found_again(&mut self, path: &Path, origin: Origin) {
        self.handle.is_at(path);
        if self.nameless.take().is_some() {
            self.cursor.set_origin(origin);
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

/// Looks without news after which a deleted file is let go: whoever still has it open may have
/// been about to write.
const QUIET_DELETED: u32 = 2;

/// The same for a renamed one: writers that rotate go on writing to it until they open the new.
const QUIET_RENAMED: u32 = 60;
