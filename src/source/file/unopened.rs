use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::followed::FileId;

/// What was there at the start and could not be opened: no rights to it, too many open files. When
/// it can be opened later it is not new, and what was in it at the start is old.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    /// Which file stood there at the start, and its size; `None` if not even that is known.
    files: HashMap<PathBuf, Option<(FileId, u64)>>,
    /// Nothing is known of what is in these.
    folders: HashSet<PathBuf>,
}

impl Unopened {
    /// This path could not be opened at the start, if there was something.
    pub(super) fn add_file(&mut self, path: &Path) {
        let there = match fs::metadata(path) {
            Ok(metadata) => Some((FileId::of(&metadata), metadata.len())),
            Err(why) if is_absent(why.kind()) => return,
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
            Some(Some((there, then))) if *there == id && *then <= size => *then,
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
        self.files.remove(path);
    }

    /// What is in the other folders has been seen: what appears there from now on is new.
    pub(super) fn keep_folders(&mut self, is_unreadable: impl Fn(&Path) -> bool) {
        self.folders.retain(|folder| is_unreadable(folder));
    }
}

fn is_absent(why: ErrorKind) -> bool {
    matches!(why, ErrorKind::NotFound | ErrorKind::NotADirectory)
}
