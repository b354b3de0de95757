//! What the log is told of a followed file, and how one is followed again after a restart.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reading::MOST_ENDED;
use super::{FileId, Followed, Original, Suspicion, UNTIL_SETTLED, Uncounted, nanoseconds};
use crate::source::Origin;
use crate::source::file::bookmark::{Bytes, Kept, Outline, Place, Standing, StoredPath, Writer};
use crate::source::file::history::{HEAD_BYTES, History, Tail};
use crate::source::splitter::Splitter;

/// What the log was told of a file, as far as it takes to see that it has changed.
#[derive(Debug, Default)]
pub(super) struct Told {
    place: Option<Mark>,
    /// Of which file that it was one after the other, and how much of its beginning.
    head: (u64, usize),
    ended: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    path: Arc<Path>,
    offset: u64,
    line: Option<u64>,
    generation: u64,
    standing: Standing,
    in_hole: bool,
    renamed: bool,
}

impl Followed {
    /// Goes on where it was when the server stopped. `at`: where it can be opened again.
    pub(in crate::source::file) fn resume(
        file: File,
        metadata: &Metadata,
        origin: &Origin,
        at: Option<PathBuf>,
        kept: &Kept,
    ) -> io::Result<Self> {
        let path = kept.path().to_owned();
        let mut resumed = Self::new(&path, file, metadata, origin.with_file(&path), 0)?;
        let place = &kept.place;
        let tail = Tail::from(&*place.tail.0);
        resumed.at = at;
        resumed.splitter = Splitter::new(
            origin.with_file(&path),
            place.line.unwrap_or(1),
            place.offset,
        );
        resumed.handed_over = tail.clone();
        resumed.tail = tail;
        resumed.uncounted = (place.offset > 0).then_some(Uncounted {
            counted_to: 0,
            end: place.offset,
            lines: if place.line.is_some() { None } else { Some(0) },
        });
        resumed.head.clone_from(&kept.head);
        resumed.generation = place.generation;
        resumed.in_hole = place.in_hole;
        resumed.suspicion = Suspicion::of(place.standing);
        if resumed.suspicion != Suspicion::Cleared {
            resumed.withheld = place.offset;
        }
        resumed.ended = kept.ended.iter().map(History::from).collect();
        // What the time it tells meant to the former process is not known.
        resumed.unsettled = UNTIL_SETTLED;
        if resumed.id == kept.id() {
            resumed.told = Told {
                place: Some(resumed.mark()),
                head: (place.generation, kept.head.len()),
                ended: place.generation,
            };
        }
        Ok(resumed)
    }

    /// Reads it from its start: it was begun anew while the server was down.
    pub(in crate::source::file) fn resume_anew(
        file: File,
        metadata: &Metadata,
        origin: &Origin,
        at: Option<PathBuf>,
        kept: &Kept,
    ) -> io::Result<Self> {
        let mut resumed = Self::resume(file, metadata, origin, at, kept)?;
        resumed.told = Told::default();
        resumed.end_history();
        resumed.begin();
        Ok(resumed)
    }

    /// One that is gone. It can't be read, but copies of it are known by what was read of it.
    pub(in crate::source::file) fn ghost(id: FileId, origin: &Origin, kept: &Kept) -> Self {
        let (place, tail) = (&kept.place, Tail::from(&*kept.place.tail.0));
        Self {
            id,
            handle: None,
            at: None,
            splitter: Splitter::new(
                origin.with_file(kept.path()),
                place.line.unwrap_or(1),
                place.offset,
            ),
            handed_over: tail.clone(),
            history: History::outline(kept.head.clone(), tail.clone(), place.offset),
            tail,
            ended: kept.ended.iter().map(History::from).collect(),
            generation: place.generation,
            in_hole: false,
            uncounted: None,
            head: Vec::new(),
            suspicion: Suspicion::Cleared,
            withheld: 0,
            modified: (0, 0),
            unsettled: 0,
            nameless: Some(0),
            born: None,
            told: Told::default(),
            queued: false,
        }
    }

    /// Whether the log knows of it.
    pub(in crate::source::file) fn is_told(&self) -> bool {
        self.told.place.is_some()
    }

    /// What it was is over.
    pub(super) fn end_history(&mut self) {
        self.complete_history();
        let over = std::mem::take(&mut self.history).end(&self.tail);
        self.ended.push_back(over);
        if self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
        self.generation += 1;
    }

    /// It is another file than the log knows, a copy, in whose stead it is read from here on.
    pub(in crate::source::file) fn takes_over(&mut self) {
        self.suspicion = Suspicion::Cleared;
        self.in_hole = false;
        self.told = Told::default();
    }

    /// Files have other ids than before the restart: that of which this one is a copy, too.
    pub(in crate::source::file) fn originals_are(&mut self, now: &HashMap<FileId, FileId>) {
        if let Suspicion::CopyOf { original, .. } = &mut self.suspicion {
            original.id = now.get(&original.id).copied().unwrap_or(FileId::NOBODY);
        }
    }

    /// Tells the log where it is now, as far as it does not know.
    pub(in crate::source::file) fn write(&mut self, into: &mut Writer<'_>) {
        let mark = self.mark();
        if self.told.place.as_ref() == Some(&mark) {
            return;
        }
        into.place(self.id, &self.place(&mark));
        let head = (self.generation, self.known_head().len());
        if self.told.head != head {
            into.head(self.id, self.known_head());
            self.told.head = head;
        }
        if self.told.ended != self.generation {
            let ended: Vec<Outline> = self.ended.iter().map(Outline::from).collect();
            into.ended(self.id, &ended);
            self.told.ended = self.generation;
        }
        self.told.place = Some(mark);
    }

    fn mark(&self) -> Mark {
        let counted = self
            .uncounted
            .as_ref()
            .is_none_or(|left| left.lines.is_none());
        Mark {
            path: self.path_shared(),
            offset: self.splitter.line_start(),
            line: counted.then(|| self.splitter.line()),
            generation: self.generation,
            standing: self.suspicion.standing(),
            in_hole: self.in_hole,
            renamed: self.is_nameless(),
        }
    }

    fn place(&self, mark: &Mark) -> Place {
        Place {
            path: StoredPath(mark.path.to_path_buf()),
            device: self.id.device,
            inode: self.id.inode,
            born: self.born,
            modified: Some(nanoseconds(self.modified)),
            offset: mark.offset,
            line: mark.line,
            tail: Bytes(self.handed_over.to_vec()),
            generation: mark.generation,
            standing: mark.standing,
            in_hole: mark.in_hole,
            renamed: mark.renamed,
        }
    }

    /// Its first bytes up to its place.
    fn known_head(&self) -> &[u8] {
        let head = if self.history_is_complete() {
            self.history.head()
        } else {
            &self.head
        };
        let most = usize::try_from(self.splitter.line_start()).unwrap_or(HEAD_BYTES);
        &head[..head.len().min(most)]
    }
}

impl Suspicion {
    fn of(standing: Standing) -> Self {
        match standing {
            Standing::New => Self::New,
            Standing::Cleared => Self::Cleared,
            Standing::CopyOf {
                device,
                inode,
                generation,
                read,
            } => Self::CopyOf {
                original: Original {
                    id: FileId::new(device, inode),
                    generation,
                },
                read,
                quiet: 0,
            },
        }
    }

    fn standing(self) -> Standing {
        match self {
            Self::New => Standing::New,
            Self::Cleared => Standing::Cleared,
            Self::CopyOf { original, read, .. } => Standing::CopyOf {
                device: original.id.device,
                inode: original.id.inode,
                generation: original.generation,
                read,
            },
        }
    }
}

impl From<&Outline> for History {
    fn from(outline: &Outline) -> Self {
        let tail = Tail::from(&*outline.tail.0);
        Self::outline(outline.head.0.clone(), tail, outline.length)
    }
}

impl From<&History> for Outline {
    fn from(history: &History) -> Self {
        Self {
            head: Bytes(history.head().to_vec()),
            tail: Bytes(history.last().to_vec()),
            length: history.length(),
        }
    }
}
