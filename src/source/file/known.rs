use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::bytes;
use super::file_id::FileId;
use super::followed::Followed;
use crate::source::Origin;

/// The files that are followed, each once however many names it has. A file is its device and
/// inode: names come and go. As long as a file is open its inode is not given to another; one that
/// is not is known again by when it was made, if its file system tells, and by the bytes before its
/// cursor.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) files: HashMap<FileId, Followed>,
    pub(super) names: HashMap<PathBuf, Name>,
    /// Whose id another file has now, which the log has not been told yet.
    pub(super) superseded: Vec<FileId>,
    /// Those that are open and can be opened again, the least recently used first.
    open: VecDeque<FileId>,
    most_open: usize,
}

/// What a matching path stands for.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) id: FileId,
    /// The last look that has seen it.
    pub(super) seen: u64,
}

impl Known {
    pub(super) fn new(most_open: usize) -> Self {
        Self {
            files: HashMap::new(),
            names: HashMap::new(),
            superseded: Vec::new(),
            open: VecDeque::new(),
            most_open,
        }
    }

    /// Follows the file that has this path now, unless it is followed already, under whatever
    /// name. Anything but a regular file is left alone: `Ok(None)`. `old_bytes` says of a file of
    /// this size how much of it was there at the start and is not read.
    pub(super) fn open(
        &mut self,
        origin: &Origin,
        path: &Path,
        old_bytes: impl FnOnce(FileId, u64) -> u64,
        seen: u64,
    ) -> io::Result<Option<FileId>> {
        let file = bytes::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let (id, origin) = (FileId::of(&metadata), origin.with_file(path));
        self.make_way(id, &metadata);
        if let Some(known) = self.files.get_mut(&id) {
            if !id.is_at(known.path()) {
                // Renamed; or deleted and its inode given to this one, which shows when it is read.
                known.lost_name();
            }
            known.found_again(path, origin);
        } else {
            let old_bytes = old_bytes(id, metadata.len());
            let followed = Followed::new(path, file, &metadata, origin, old_bytes)?;
            self.files.insert(id, followed);
            self.used(id);
        }
        self.names.insert(path.to_owned(), Name { id, seen });
        Ok(Some(id))
    }

    /// A file that was deleted while it was closed makes way for the one that has its inode now. That
    /// may be a copy of it, so what was read of it is known for a while.
    fn make_way(&mut self, id: FileId, metadata: &Metadata) {
        let Entry::Occupied(known) = self.files.entry(id) else {
            return;
        };
        if known.get().is(metadata) {
            return;
        }
        let gone = known.remove();
        let ghost = self.free_ghost();
        for file in self.files.values_mut() {
            file.original_is_now(id, ghost);
        }
        self.files.insert(ghost, gone.into_ghost(ghost));
        self.superseded.push(id);
    }

    /// An id for a file that is gone.
    pub(super) fn free_ghost(&self) -> FileId {
        let mut ids = (1..).map(FileId::ghost);
        let is_free = |id: &FileId| !self.files.contains_key(id);
        ids.find(is_free).expect("there are fewer files than ids")
    }

    /// Follows a file again. One that has no name by which it could be opened again is not closed.
    pub(super) fn adopt(&mut self, id: FileId, file: Followed, has_name: bool) {
        self.files.insert(id, file);
        if has_name {
            self.used(id);
        }
    }

    /// This file is open. When too many are, the one is closed that was not used for longest.
    pub(super) fn used(&mut self, id: FileId) {
        if self.open.back() != Some(&id) {
            self.open.retain(|open| *open != id);
            self.open.push_back(id);
        }
        while self.open.len() > self.most_open {
            self.let_go_of_oldest();
        }
    }

    /// Closes what can be opened again, for somebody needs it more.
    pub(super) fn make_room(&mut self) {
        while !self.open.is_empty() {
            self.let_go_of_oldest();
        }
    }

    fn let_go_of_oldest(&mut self) {
        let oldest = self.open.pop_front();
        if let Some(file) = oldest.and_then(|id| self.files.get_mut(&id)) {
            file.let_go();
        }
    }
}
