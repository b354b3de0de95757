//! Follows files as `tail -F` does: one thread per `file:` source, however many files it matches.

mod between;
mod bookmark;
mod complaints;
mod copies;
mod followed;
mod follower;
mod history;
mod preparing;
mod returning;
mod search;
mod selection;
mod suffix;
mod unopened;
mod wake;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{debug, info};

use super::{Bookmark, FileSpec, From, Origin, Spec};
use between::Last;
use bookmark::{Remembered, Writer};
use followed::{FileId, Followed};
use returning::{Missing, Moved};
use selection::Selection;
use unopened::Unopened;

pub use bookmark::Unreadable;
pub(super) use preparing::Preparing;

/// A `file:` source with the files that were there when it was made, not read from yet.
#[derive(Debug)]
struct Feed {
    origin: Origin,
    selection: Selection,
    known: Known,
    unopened: Unopened,
    /// Files that were followed before the server stopped and were not found yet.
    missing: Vec<Missing>,
    /// Files that are to be read to their end before all others.
    moved: Vec<Moved>,
    /// By path: the last file that is known to have stood there before the server stopped.
    last: HashMap<PathBuf, Last>,
    /// Files whose places the log need not know any more.
    forgotten: Vec<FileId>,
    /// What the files that the log knew are called now.
    ids: HashMap<FileId, FileId>,
    /// Files that were found again, and of which it is to be looked up whose copies they are.
    found: Vec<FileId>,
    /// The log has never heard of the source.
    is_new: bool,
}

/// The files that a source would follow now, in order; a path without wildcards there or not.
pub(crate) fn matching(spec: &FileSpec) -> Vec<PathBuf> {
    Selection::new(spec.glob()).paths(|_| {})
}

/// The files that are followed, each once however many names it has. A file is its device and
/// inode: names come and go. As long as a file is open its inode is not given to another; one that
/// is not is known again by the bytes before its place.
#[derive(Debug, Default)]
struct Known {
    files: HashMap<FileId, Followed>,
    names: HashMap<PathBuf, Name>,
    /// Those that are open and can be opened again, the least recently used first.
    open: VecDeque<FileId>,
    most_open: usize,
}

/// What a matching path stands for.
#[derive(Debug)]
struct Name {
    id: FileId,
    /// The last look that has seen it.
    seen: u64,
}

impl Feed {
    /// Opens what is there now, and holds the newest `most_open` of them open. What can't be
    /// opened yet is tried again, and told about, later. `remembered`: what the log knows, if the
    /// source was started before.
    fn prepare(spec: &FileSpec, most_open: usize, remembered: Option<Remembered>) -> Self {
        let mut feed = Self::new(spec, most_open, remembered);
        feed.find_missing();
        let at_end = feed.is_new && spec.from() == From::End;
        let mut unreadable = Vec::new();
        let paths = feed
            .selection
            .paths(|why| unreadable.push(why.path().to_owned()));
        for path in paths {
            let unopened = &feed.unopened;
            let old_bytes = |id, size| {
                if at_end {
                    size
                } else {
                    unopened.old_bytes(&path, id, size)
                }
            };
            // What has just taken the name of a file that is followed again is seen at the first
            // look, which reads that one to its end before.
            if feed.is_missed(&path) || feed.known.names.contains_key(&path) {
                continue;
            }
            match feed.known.open(&feed.origin, &path, old_bytes, 0) {
                Ok(_) => feed.unopened.remove_file(&path),
                Err(why) => {
                    debug!(file = %path.display(), %why, "not opened yet");
                    if at_end {
                        feed.unopened.add_file(&path);
                    }
                }
            }
        }
        if at_end {
            feed.unopened.add_folders(unreadable);
        }
        let (source, files) = (&feed.origin.source, feed.known.files.len());
        if files == 0 {
            info!(%source, "no such file yet; waiting for it");
        } else {
            info!(%source, files, "following");
        }
        feed
    }

    fn new(spec: &FileSpec, most_open: usize, remembered: Option<Remembered>) -> Self {
        let is_new = remembered.is_none();
        let mut remembered = remembered.unwrap_or_default();
        Self {
            origin: Origin {
                source: Spec::File(spec.clone()).name(),
                file: None,
                unit: spec.unit(),
            },
            selection: Selection::new(spec.glob()),
            known: Known {
                most_open,
                ..Known::default()
            },
            unopened: Unopened::remembered(&mut remembered),
            missing: remembered.files.into_iter().map(Missing::from).collect(),
            moved: Vec::new(),
            last: HashMap::new(),
            forgotten: Vec::new(),
            ids: HashMap::new(),
            found: Vec::new(),
            is_new,
        }
    }

    /// What the log does not know yet of where the source is.
    fn bookmarks(&mut self) -> Vec<Bookmark> {
        let source = self.origin.source.clone();
        let mut writer = Writer::new(&source);
        if std::mem::take(&mut self.is_new) {
            writer.started();
            self.unopened.write_all(&mut writer);
        }
        self.forget(&mut writer);
        for file in self.known.files.values_mut() {
            file.write(&mut writer);
        }
        self.unopened.write_settled(&mut writer);
        writer.bookmarks
    }

    /// The log need not know any more of files that are gone.
    fn forget(&mut self, writer: &mut Writer<'_>) {
        for id in self.forgotten.drain(..) {
            // Its inode may be another file's by now, and the log may know of that already.
            let is_told = |file: &Followed| file.is_told();
            if !self.known.files.get(&id).is_some_and(is_told) {
                writer.forget(id);
            }
        }
    }
}

impl Known {
    /// Follows the file that has this path now, unless it is followed already, under whatever
    /// name. Anything but a regular file is left alone: `Ok(None)`. `old_bytes` says of a file of
    /// this size how much of it was there at the start and is not read.
    fn open(
        &mut self,
        origin: &Origin,
        path: &Path,
        old_bytes: impl FnOnce(FileId, u64) -> u64,
        seen: u64,
    ) -> std::io::Result<Option<FileId>> {
        let file = followed::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let (id, origin) = (FileId::of(&metadata), origin.with_file(path));
        if let Some(known) = self.files.get_mut(&id) {
            if stands_for(known.path(), id) {
                known.found_again(path, origin);
            } else {
                // Renamed, or deleted and its inode given to this one: it tells when it is read.
                known.lost_name();
                known.found_again(path, origin);
            }
        } else {
            let old_bytes = old_bytes(id, metadata.len());
            let followed = Followed::new(path, file, &metadata, origin, old_bytes)?;
            self.files.insert(id, followed);
            self.used(id);
        }
        self.names.insert(path.to_owned(), Name { id, seen });
        Ok(Some(id))
    }

    /// Follows a file again. One that has no name by which it could be opened again is not closed.
    fn adopt(&mut self, id: FileId, file: Followed, has_name: bool) {
        self.files.insert(id, file);
        if has_name {
            self.used(id);
        }
    }

    /// This file is open. When too many are, the one is closed that was not used for longest.
    fn used(&mut self, id: FileId) {
        if self.open.back() != Some(&id) {
            self.open.retain(|open| *open != id);
            self.open.push_back(id);
        }
        while self.open.len() > self.most_open {
            self.let_go_of_oldest();
        }
    }

    /// Closes what can be opened again, for somebody needs it more.
    fn make_room(&mut self) {
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

/// Whether a source would follow the file at this path. Asks nothing of the source's own folders,
/// which may be on a file system that does not answer.
pub(super) fn follows(spec: &FileSpec, path: &Path) -> bool {
    let selection = Selection::new(spec.glob());
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let real = folder
        .zip(path.file_name())
        .map(|(folder, name)| folder.join(name));
    selection.names(path) || real.is_some_and(|path| selection.names(&path))
}

fn stands_for(path: &Path, id: FileId) -> bool {
    fs::metadata(path).is_ok_and(|metadata| FileId::of(&metadata) == id)
}

/// The kernel tells nothing about some mounts, and about what happens behind a symbolic link.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
