//! Follows files as `tail -F` does, across restarts: one thread per `file:` source, however many
//! files it matches.
//!
//! To be read in this order:
//!
//! - `preparing` looks at what is there when the server starts, and makes a [`Feed`] of it;
//!   `follower` is the thread that reads it, a turn for each file that has changed (`wake`, `watch`).
//! - `selection` says which paths match, `known` which files (`file_id`) stand behind them, and
//!   `followed` what one of them is: how it is reached, where reading goes on, what was read of it.
//! - `copies` keeps a copy of a file (`history`) from being read again.
//! - `bookmark` is what the log holds of all that. After a restart `returning` goes on with each file,
//!   wherever `search` finds it, and `between` with those that came and were rotated away meanwhile
//!   (`siblings`, by what is in a name: `suffix`).
//! - `unopened` remembers what could not be opened at the first start, so that it is not new later.

mod between;
mod bookmark;
mod bytes;
mod complaints;
mod copies;
mod file_id;
mod followed;
mod follower;
mod history;
mod known;
mod preparing;
mod returning;
mod search;
mod selection;
mod siblings;
mod suffix;
mod times;
mod unopened;
mod wake;
mod watch;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{debug, info};

use super::{Bookmark, FileSpec, From, Origin, Spec};
use bookmark::{Remembered, Writer};
use file_id::FileId;
use followed::{Followed, Suspicion};
use known::Known;
use returning::{Missing, Moved, Order};
use selection::Selection;
use suffix::Suffix;
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
    /// Files that the log need not know any more.
    forgotten: Vec<FileId>,
    /// What the files that the log knew are called now.
    ids: HashMap<FileId, FileId>,
    /// The log has never heard of the source.
    is_new: bool,
}

/// The files that a source would follow now, in order; a path without wildcards there or not.
pub(crate) fn matching(spec: &FileSpec) -> Vec<PathBuf> {
    Selection::new(spec.glob()).paths(|_| {})
}

impl Feed {
    /// Opens what is there now, and holds the newest `most_open` of them open. What can't be
    /// opened yet is tried again, and told about, later. `remembered`: what the log knows, if the
    /// source was started before.
    fn prepare(spec: &FileSpec, most_open: usize, remembered: Option<Remembered>) -> Self {
        let mut feed = Self::new(spec, most_open, remembered);
        feed.find_missing();
        let begins_at_end = feed.is_new && spec.from() == From::End;
        let mut unreadable = Vec::new();
        let paths = feed
            .selection
            .paths(|why| unreadable.push(why.path().to_owned()));
        for path in &paths {
            // What has just taken the name of a file that is followed again is seen at the first
            // look, which reads that one to its end before.
            if !feed.is_missed(path) && !feed.known.names.contains_key(path) {
                feed.open_first(path, begins_at_end);
            }
        }
        feed.moved.sort_by_key(|moved| moved.order);
        if begins_at_end {
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

    /// Opens a file that is there at the start.
    fn open_first(&mut self, path: &Path, begins_at_end: bool) {
        let unopened = &self.unopened;
        let old_bytes = |id, size| {
            if begins_at_end {
                size
            } else {
                unopened.old_bytes(path, id, size)
            }
        };
        match self.known.open(&self.origin, path, old_bytes, 0) {
            Ok(id) => {
                self.unopened.remove_file(path);
                if let Some(id) = id {
                    self.read_before_its_feed(id, path);
                }
            }
            Err(why) => {
                debug!(file = %path.display(), %why, "not opened yet");
                if begins_at_end {
                    self.unopened.add_file(path);
                }
            }
        }
    }

    /// What is called as rotations call files, and is new, came before what is there now.
    fn read_before_its_feed(&mut self, id: FileId, path: &Path) {
        let file = self.known.files.get(&id);
        if let Some(file) = file.filter(|file| file.suspicion() == Suspicion::New)
            && let Some(feed) = Suffix::feed_of(path)
            && let Ok(metadata) = file.metadata()
        {
            let order = Order::of(true, &metadata, path, &feed);
            self.moved.push(Moved { order, id });
        }
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
            known: Known::new(most_open),
            unopened: Unopened::remembered(&mut remembered),
            missing: remembered.files.into_iter().map(Missing::from).collect(),
            moved: Vec::new(),
            forgotten: Vec::new(),
            ids: HashMap::new(),
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
        let superseded = self.known.superseded.drain(..);
        for id in self.forgotten.drain(..).chain(superseded) {
            // Its inode may be another file's by now, and the log may know of that already.
            let is_told = |file: &Followed| file.is_told();
            if !self.known.files.get(&id).is_some_and(is_told) {
                writer.forget(id);
            }
        }
    }
}

/// Whether both are one path or pattern. Asks no file system, either.
pub(super) fn are_the_same(one: &FileSpec, other: &FileSpec) -> bool {
    let absolute = |spec: &FileSpec| Selection::new(spec.glob()).absolute();
    absolute(one) == absolute(other)
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

/// The kernel tells nothing about some mounts, and about what happens behind a symbolic link.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
