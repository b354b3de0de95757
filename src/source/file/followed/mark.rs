//! What the log is told of a followed file, and how one is followed again after a restart.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Cursor, Followed, Freshness, Handle, Lines, Original, Past, Suspicion};
use crate::source::Origin;
use crate::source::file::bookmark::{Bytes, FileMark, Kept, Outline, Standing, StoredPath, Writer};
use crate::source::file::file_id::FileId;
use crate::source::file::history::{HEAD_BYTES, History, Tail};
use crate::source::file::times::nanoseconds;

/// What the log was told of a file, as far as it takes to see that it has changed.
#[derive(Debug, Default)]
pub(super) struct Told {
    mark: Option<Brief>,
    /// Of which file that it was one after the other, and how much of its beginning.
    head: (u64, usize),
    ended: u64,
}

/// What of a mark changes with what is read and found out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Brief {
    path: Arc<Path>,
    offset: u64,
    line: Option<u64>,
    generation: u64,
    standing: Standing,
    in_hole: bool,
    renamed: bool,
}

impl Followed {
    /// Goes on where it was when the server stopped. `path`: where it can be opened again.
    pub(in crate::source::file) fn resume(
        file: File,
        metadata: &Metadata,
        origin: &Origin,
        path: Option<PathBuf>,
        kept: &Kept,
    ) -> Self {
        let mark = &kept.mark;
        let lines = match mark.line {
            Some(_) => Lines::Counted,
            None => Lines::SoFar(0),
        };
        let past = Past::unseen(kept.head.clone(), mark.offset, lines);
        let suspicion = Suspicion::of(mark.standing);
        let mut resumed = Self {
            handle: Handle::new(file, metadata, path),
            cursor: Cursor::of(kept, origin),
            past: past.after(mark.generation, kept.ended()),
            suspicion,
            withheld: match suspicion {
                Suspicion::Cleared => 0,
                Suspicion::New | Suspicion::CopyOf { .. } => mark.offset,
            },
            // What the time it tells meant to the former process is not known.
            freshness: Freshness::of(metadata).unsettled(),
            nameless: None,
            told: Told::default(),
            lost: None,
        };
        // Of one of which nothing was read only its time tells what may be in its copies: from now
        // on, the present one.
        if resumed.handle.id() == kept.id() && mark.offset > 0 {
            resumed.told = Told {
                mark: Some(resumed.brief()),
                head: (mark.generation, kept.head.len()),
                ended: mark.generation,
            };
        }
        resumed
    }

    /// The same, read from its start: it was begun anew while the server was down.
    pub(in crate::source::file) fn begun_anew(mut self) -> Self {
        self.told = Told::default();
        self.past.end(self.cursor.tail(), self.cursor.end());
        self.begin();
        self
    }

    /// One that is gone. It can't be read, but copies of it are known by what was read of it.
    pub(in crate::source::file) fn ghost(id: FileId, origin: &Origin, kept: &Kept) -> Self {
        let cursor = Cursor::of(kept, origin);
        let (head, tail) = (kept.head.clone(), cursor.tail().clone());
        let past = Past::of_ghost(History::outline(head, tail, cursor.end()));
        Self {
            handle: Handle::gone(id),
            cursor,
            past: past.after(kept.mark.generation, kept.ended()),
            suspicion: Suspicion::Cleared,
            withheld: 0,
            freshness: Freshness::settled(),
            nameless: Some(0),
            told: Told::default(),
            lost: None,
        }
    }

    /// The same file once it is gone and its id another one's.
    pub(in crate::source::file) fn into_ghost(mut self, id: FileId) -> Self {
        self.past.freeze(self.cursor.tail(), self.cursor.end());
        Self {
            handle: Handle::gone(id),
            suspicion: Suspicion::Cleared,
            nameless: Some(0),
            told: Told::default(),
            ..self
        }
    }

    /// Whether the log knows of it.
    pub(in crate::source::file) fn is_told(&self) -> bool {
        self.told.mark.is_some()
    }

    /// It is another file than the log knows, a copy, which is read in its stead from here on.
    pub(in crate::source::file) fn read_instead(self) -> Self {
        Self {
            suspicion: Suspicion::Cleared,
            cursor: self.cursor.in_hole(false),
            told: Told::default(),
            ..self
        }
    }

    /// That of which this one is a copy, if it is this, has another id now.
    pub(in crate::source::file) fn original_is_now(&mut self, old: FileId, new: FileId) {
        if let Suspicion::CopyOf { original, .. } = &mut self.suspicion
            && original.id == old
        {
            original.id = new;
        }
    }

    /// Files have other ids than before the restart: that of which this one is a copy, too.
    pub(in crate::source::file) fn originals_are(&mut self, now: &HashMap<FileId, FileId>) {
        if let Suspicion::CopyOf { original, .. } = &mut self.suspicion {
            original.id = now.get(&original.id).copied().unwrap_or(FileId::NOBODY);
        }
    }

    /// What the log would know of it now.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            mark: self.mark(&self.brief()),
            head: self.known_head().to_vec(),
            ended: Vec::new(),
        }
    }

    /// Tells the log where it is now, as far as it does not know.
    pub(in crate::source::file) fn write(&mut self, into: &mut Writer<'_>) {
        let brief = self.brief();
        if self.told.mark.as_ref() == Some(&brief) {
            return;
        }
        let id = self.handle.id();
        into.mark(id, &self.mark(&brief));
        let head = self.known_head();
        let length = (brief.generation, head.len());
        if self.told.head != length {
            into.head(id, head);
            self.told.head = length;
        }
        if self.told.ended != brief.generation {
            let ended: Vec<Outline> = self.past.ended().iter().map(Outline::from).collect();
            into.ended(id, &ended);
            self.told.ended = brief.generation;
        }
        self.told.mark = Some(brief);
    }

    fn brief(&self) -> Brief {
        Brief {
            path: Arc::clone(self.cursor.file()),
            offset: self.cursor.line_start(),
            line: self.past.knows_line().then(|| self.cursor.line()),
            generation: self.generation(),
            standing: self.suspicion.standing(),
            in_hole: self.cursor.is_in_hole(),
            renamed: self.is_nameless(),
        }
    }

    fn mark(&self, brief: &Brief) -> FileMark {
        FileMark {
            path: StoredPath(brief.path.to_path_buf()),
            device: self.handle.id().device(),
            inode: self.handle.id().inode(),
            born: self.handle.born(),
            modified: Some(nanoseconds(self.freshness.modified())),
            offset: brief.offset,
            line: brief.line,
            tail: Bytes(self.cursor.handed_over().to_vec()),
            generation: brief.generation,
            standing: brief.standing,
            in_hole: brief.in_hole,
            renamed: brief.renamed,
        }
    }

    /// Its first bytes, up to the line that is not complete yet.
    fn known_head(&self) -> &[u8] {
        let head = self.past.head(self.end());
        let most = usize::try_from(self.cursor.line_start()).unwrap_or(HEAD_BYTES);
        &head[..head.len().min(most)]
    }
}

impl Cursor {
    fn of(kept: &Kept, origin: &Origin) -> Self {
        let mark = &kept.mark;
        let origin = origin.with_file(kept.path());
        let tail = Tail::from(&*mark.tail.0);
        let cursor = Self::new(origin, mark.line.unwrap_or(1), mark.offset, tail);
        cursor.in_hole(mark.in_hole)
    }
}

impl Kept {
    fn ended(&self) -> VecDeque<History> {
        self.ended.iter().map(History::from).collect()
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
                device: original.id.device(),
                inode: original.id.inode(),
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
