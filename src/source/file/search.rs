//! Looks for a file that was followed before the server stopped: at its path, under any other name
//! in its folder or in those of the pattern, or as a copy.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use super::bookmark::Kept;
use super::bytes;
use super::copies::LEAST_SAME;
use super::file_id::FileId;
use super::history::{HEAD_BYTES, Tail};
use super::times::born;

/// What is in the folders, and what has been found there already.
#[derive(Debug)]
pub(super) struct Search {
    folders: Vec<PathBuf>,
    entries: Vec<Entry>,
    claimed: HashSet<FileId>,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    inode: u64,
    /// How it begins, once that was looked at; nothing if it can't be read.
    head: Option<Vec<u8>>,
}

/// A file that was found and is open.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

/// What a file is that has the inode that was looked for.
#[derive(Debug)]
pub(super) enum Match {
    /// Reading goes on in it.
    Same(Found),
    /// The same file, but what was read of it is not in it any more.
    Anew(Found),
}

impl Search {
    /// Beside each file's own folder, looks into these. What was claimed is somebody else's.
    pub(super) fn new(folders: Vec<PathBuf>, claimed: HashSet<FileId>) -> Self {
        Self {
            folders,
            entries: Vec::new(),
            claimed,
        }
    }

    /// Nobody else finds this one.
    pub(super) fn claim(&mut self, id: FileId) {
        self.claimed.insert(id);
    }

    /// Reads the folders: what was renamed since then may be missed.
    pub(super) fn list<'a>(&mut self, files: impl Iterator<Item = &'a Kept>) {
        let own = files.map(|kept| folder_of(kept.path()));
        let folders: HashSet<&Path> = own
            .chain(self.folders.iter().map(PathBuf::as_path))
            .collect();
        let mut entries = Vec::new();
        for folder in folders {
            // One that can't be read can't be looked into: then the file is not found.
            for entry in fs::read_dir(shown(folder)).into_iter().flatten().flatten() {
                entries.push(Entry {
                    path: folder.join(entry.file_name()),
                    inode: entry.ino(),
                    head: None,
                });
            }
        }
        self.entries = entries;
    }

    /// Whether it is still where it was.
    ///
    /// # Errors
    /// There is something that can't be looked at just now.
    pub(super) fn in_place(&self, kept: &Kept) -> io::Result<Option<Match>> {
        self.look(kept, kept.path())
    }

    /// Whether it has another name now in a folder that was listed.
    ///
    /// # Errors
    /// It is there, but can't be looked at just now.
    pub(super) fn renamed(&self, kept: &Kept) -> io::Result<Option<Match>> {
        for entry in &self.entries {
            if entry.inode == kept.mark.inode
                && let Some(found) = self.look(kept, &entry.path)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Another file at its path that begins with all that was read of it: restored, moved to
    /// another disk, or saved by an editor.
    ///
    /// # Errors
    /// There is something that can't be looked at just now.
    pub(super) fn replaced(&self, kept: &Kept) -> io::Result<Option<Found>> {
        let Some(found) = self.open(kept.path())? else {
            return Ok(None);
        };
        let same = kept.mark.offset > 0 && found.holds(kept)?;
        Ok(same.then_some(found))
    }

    /// A file in the folders that were listed that begins with all that was read of it.
    pub(super) fn copy(&mut self, kept: &Kept) -> Option<Found> {
        if kept.mark.offset == 0 {
            return None;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.head.is_none()) {
            entry.head = Some(head(&entry.path).unwrap_or_default());
        }
        let alike = |entry: &&Entry| {
            let head = entry.head.as_deref().unwrap_or_default();
            entry.path != kept.path()
                && head.starts_with(&kept.head)
                && may_be_copy(kept, &entry.path)
        };
        let copies = self.entries.iter().filter(alike).filter_map(|entry| {
            let found = self.open(&entry.path).ok()??;
            found.holds(kept).ok()?.then_some(found)
        });
        // Of several the one that has most of what followed.
        copies.max_by_key(|found| found.metadata.len())
    }

    fn look(&self, kept: &Kept, path: &Path) -> io::Result<Option<Match>> {
        let there = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(why) if is_absent(&why) => return Ok(None),
            Err(why) => return Err(why),
        };
        if FileId::of(&there).inode() != kept.mark.inode {
            return Ok(None);
        }
        let Some(found) = self.open(path)? else {
            return Ok(None);
        };
        let born = born(&found.metadata);
        let known = kept.mark.born.filter(|_| born.is_some());
        if FileId::of(&found.metadata).inode() != kept.mark.inode
            || known.is_some_and(|known| Some(known) != born)
        {
            return Ok(None);
        }
        // Without the time at which it was made, an inode may be another file's by now.
        let is_it =
            FileId::of(&found.metadata) == kept.id() && (known.is_some() || path == kept.path());
        Ok(if found.holds(kept)? {
            let is_known_by_text = kept.mark.offset >= LEAST_SAME;
            (is_it || is_known_by_text || (path == kept.path() && kept.mark.offset > 0))
                .then_some(Match::Same(found))
        } else {
            is_it.then_some(Match::Anew(found))
        })
    }

    /// None if it is not there, is no regular file, or was found before.
    fn open(&self, path: &Path) -> io::Result<Option<Found>> {
        let file = match bytes::open(path) {
            Ok(file) => file,
            Err(why) if is_absent(&why) => return Ok(None),
            Err(why) => return Err(why),
        };
        let metadata = file.metadata()?;
        let is_free = metadata.is_file() && !self.claimed.contains(&FileId::of(&metadata));
        Ok(is_free.then(|| Found {
            path: path.to_owned(),
            file,
            metadata,
        }))
    }
}

impl Found {
    pub(super) fn id(&self) -> FileId {
        FileId::of(&self.metadata)
    }

    /// Whether all that was read of that file stands in this one, as far as that is known.
    fn holds(&self, kept: &Kept) -> io::Result<bool> {
        let mark = &kept.mark;
        if self.metadata.len() < mark.offset {
            return Ok(false);
        }
        if bytes::tail_before(&self.file, mark.offset)? != Tail::from(&*mark.tail.0) {
            return Ok(false);
        }
        Ok(bytes::head(&self.file, kept.head.len())? == kept.head)
    }
}

/// The first bytes of a regular file.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(Vec::new());
    }
    bytes::head(&bytes::open(path)?, HEAD_BYTES)
}

/// Fewer bytes are no sign of a copy, unless its name tells, too: `live.jsonl.1` or
/// `live-1.jsonl` of `live.jsonl`.
fn may_be_copy(kept: &Kept, path: &Path) -> bool {
    let (Some(stem), Some(name)) = (kept.path().file_stem(), path.file_name()) else {
        return false;
    };
    let rest = name
        .as_encoded_bytes()
        .strip_prefix(stem.as_encoded_bytes());
    kept.mark.offset >= LEAST_SAME
        || rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
}

/// The folder in which a path stands; of one without folders the empty path.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The same folder, as a path that can be opened.
pub(super) fn shown(folder: &Path) -> &Path {
    if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    }
}

pub(super) fn is_absent(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
