use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bookmark::{Remembered, Writer};
use super::file_id::FileId;
use super::search::is_absent;

/// What was there at the first start and could not be opened: no rights to it, too many open
/// files. When it can be opened later it is not new, and what was in it at the start is old.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    /// Which file stood there at the start, and its size; `None` if not even that is known.
    files: HashMap<PathBuf, Option<There>>,
    /// Nothing is known of what is in these.
    folders: HashSet<PathBuf>,
    /// What the log need not know any more.
    settled: Settled,
}

/// A file that stood at a path, and how long it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct There {
    device: u64,
    inode: u64,
    size: u64,
}

#[derive(Debug, Default)]
struct Settled {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Unopened {
    /// As the log knows it.
    pub(super) fn remembered(remembered: &mut Remembered) -> Self {
        Self {
            files: remembered.unopened.drain(..).collect(),
            folders: remembered.unread_folders.drain(..).collect(),
            settled: Settled::default(),
        }
    }

    /// This path could not be opened at the start, if there was something.
    pub(super) fn add_file(&mut self, path: &Path) {
        let there = match fs::metadata(path) {
            Ok(metadata) => Some(There::new(FileId::of(&metadata), metadata.len())),
            Err(why) if is_absent(&why) => return,
            Err(_) => None,
        };
        self.files.insert(path.to_owned(), there);
    }

    /// These could not be looked into at the start.
    pub(super) fn add_folders(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        self.folders.extend(folders);
    }

    /// How much of a file that is opened now, and is of this size, was there at the start.
    pub(super) fn old_bytes(&self, path: &Path, id: FileId, size: u64) -> u64 {
        match self.files.get(path) {
            Some(Some(there)) if *there == There::new(id, there.size) && there.size <= size => {
                there.size
            }
            // Another file, or one that was begun anew.
            Some(Some(_)) => 0,
            // An old signal sent as a new one is worse than one that is lost.
            Some(None) => size,
            None if path.ancestors().any(|folder| self.folders.contains(folder)) => size,
            None => 0,
        }
    }

    /// This path was opened, or what was there is gone.
    pub(super) fn remove_file(&mut self, path: &Path) {
        if self.files.remove(path).is_some() {
            self.settled.files.push(path.to_owned());
        }
    }

    /// What is in the other folders has been seen: what appears there from now on is new.
    pub(super) fn keep_folders(&mut self, is_unreadable: impl Fn(&Path) -> bool) {
        let settled = self.folders.extract_if(|folder| !is_unreadable(folder));
        self.settled.folders.extend(settled);
    }

    /// All of it, for the log.
    pub(super) fn write_all(&self, into: &mut Writer<'_>) {
        for (path, there) in &self.files {
            into.unopened(path, *there);
        }
        for folder in &self.folders {
            into.unread_folder(folder);
        }
    }

    /// What has been settled since this was asked before.
    pub(super) fn write_settled(&mut self, into: &mut Writer<'_>) {
        let Settled { files, folders } = std::mem::take(&mut self.settled);
        for path in files {
            into.opened(&path);
        }
        for folder in folders {
            into.read_folder(&folder);
        }
    }
}

impl There {
    fn new(id: FileId, size: u64) -> Self {
        Self {
            device: id.device(),
            inode: id.inode(),
            size,
        }
    }
}
