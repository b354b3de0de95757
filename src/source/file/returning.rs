//! Goes on with the files that were followed before the server stopped.
//!
//! Each is looked for at its path, then under any other name, then at its path by what was read of
//! it, and at last as a copy. What is found elsewhere than it was is read to its end before what
//! has taken its place.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::{debug, info, warn};

use super::Feed;
use super::bookmark::Kept;
use super::file_id::FileId;
use super::followed::Followed;
use super::known::Name;
use super::search::{Found, Match, Search, folder_of, is_absent, shown};
use super::siblings::{Last, Now};
use super::suffix::Suffix;
use super::times::{Modified, born, modified};

/// A file that the log knows, and which was not found yet.
#[derive(Debug)]
pub(super) struct Missing {
    kept: Kept,
    /// That it is not there was told.
    told: bool,
}

/// A file that is to be read to its end before what has taken its place, and when.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) order: Order,
    pub(super) id: FileId,
}

/// The oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// It had its name when the server stopped.
    was_named: bool,
    born: Option<u64>,
    /// Of several that were made at once: as their rotation calls them.
    rank: Option<i128>,
    modified: Modified,
    inode: u64,
}

/// One search for all files that are missing.
pub(super) struct Returning<'a> {
    feed: &'a mut Feed,
    search: Search,
    /// Those that are not where they were.
    elsewhere: Vec<Missing>,
    /// Those that were begun anew, as what.
    anew: Vec<(Missing, Found)>,
    /// By path: the last file that is known to have stood there before the server stopped.
    last: HashMap<PathBuf, Last>,
    /// Those that were found.
    found: Vec<FileId>,
}

/// How a file that was found is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Itself,
    BegunAnew,
    Copy,
}

impl From<Kept> for Missing {
    fn from(kept: Kept) -> Self {
        Self { kept, told: false }
    }
}

impl Missing {
    pub(super) fn id(&self) -> FileId {
        self.kept.id()
    }

    pub(super) fn path(&self) -> &Path {
        self.kept.path()
    }
}

impl Order {
    /// Of a file that stood at `path` and is now called `name`.
    pub(super) fn of(was_named: bool, metadata: &Metadata, name: &Path, path: &Path) -> Self {
        Self {
            was_named,
            born: born(metadata),
            rank: Suffix::of(name, path).map(|suffix| suffix.rank()),
            modified: modified(metadata),
            inode: metadata.ino(),
        }
    }
}

impl Feed {
    /// Whether it is not known yet if this path stands for a file that is missing.
    pub(super) fn is_missed(&self, path: &Path) -> bool {
        self.missing.iter().any(|missing| missing.path() == path)
    }

    /// Follows again what can be found of the files that were followed before. Those that are not
    /// where they were are left in `moved`.
    pub(super) fn find_missing(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        let (last, found) = Returning::new(self).find(missing);
        self.find_between(last.into_values());
        self.moved.sort_by_key(|moved| moved.order);
        for id in found {
            if let Some(file) = self.known.files.get_mut(&id) {
                file.originals_are(&self.ids);
            }
        }
    }
}

impl<'a> Returning<'a> {
    fn new(feed: &'a mut Feed) -> Self {
        let claimed = feed.known.files.keys().copied().collect();
        Self {
            search: Search::new(feed.selection.folders(), claimed),
            feed,
            elsewhere: Vec::new(),
            anew: Vec::new(),
            last: HashMap::new(),
            found: Vec::new(),
        }
    }

    /// Returns by path the last file that stood there, and what was found.
    fn find(mut self, missing: Vec<Missing>) -> (HashMap<PathBuf, Last>, Vec<FileId>) {
        let is_ghost = |missing: &Missing| missing.id().is_ghost();
        let (ghosts, missing): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_ghost);
        for ghost in ghosts {
            self.becomes_ghost(&ghost.kept);
        }
        for missing in missing {
            let there = self.search.in_place(&missing.kept);
            self.take_match(missing, there);
        }
        self.find_renamed();
        let lost = self.find_replaced();
        let anew = std::mem::take(&mut self.anew);
        let copied = lost.iter().chain(anew.iter().map(|(missing, _)| missing));
        self.search.list(copied.map(|missing| &missing.kept));
        for (missing, found) in anew {
            self.begin_anew(missing, found);
        }
        for missing in lost {
            self.find_copy(missing);
        }
        (self.last, self.found)
    }

    fn find_renamed(&mut self) {
        // A name may change between the look at the folder and the look at the file.
        for _ in 0..MOST_LISTINGS {
            if self.elsewhere.is_empty() {
                break;
            }
            let elsewhere = std::mem::take(&mut self.elsewhere);
            self.search
                .list(elsewhere.iter().map(|missing| &missing.kept));
            for missing in elsewhere {
                let there = self.search.renamed(&missing.kept);
                self.take_match(missing, there);
            }
        }
    }

    fn take_match(&mut self, missing: Missing, there: io::Result<Option<Match>>) {
        match there {
            Ok(Some(Match::Same(found))) => self.follow_again(missing, found, As::Itself),
            Ok(Some(Match::Anew(found))) => {
                self.search.claim(found.id());
                self.anew.push((missing, found));
            }
            Ok(None) => self.elsewhere.push(missing),
            Err(why) => self.put_off(missing, &why),
        }
    }

    /// Returns those that can only be found as copies now.
    fn find_replaced(&mut self) -> Vec<Missing> {
        let mut lost = Vec::new();
        for missing in std::mem::take(&mut self.elsewhere) {
            match self.search.replaced(&missing.kept) {
                Ok(Some(found)) => self.follow_again(missing, found, As::Itself),
                Ok(None) => lost.push(missing),
                Err(why) => self.put_off(missing, &why),
            }
        }
        lost
    }

    /// What was not read of a file before it was begun anew may stand in a copy.
    fn begin_anew(&mut self, missing: Missing, found: Found) {
        let (file, read) = (missing.path().display(), missing.kept.mark.offset);
        match self.search.copy(&missing.kept) {
            Some(copy) => {
                info!(%file, copy = %copy.path.display(), "file was begun anew while the server was down; the rest of what it was is read from its copy");
                self.follow_again(Missing::from(missing.kept.clone()), copy, As::Copy);
            }
            None => {
                warn!(%file, read, "file was begun anew while the server was down; what it was then is read up to here, whether there was more is not known");
                // The file is there, but what it was is not.
                self.note(&missing.kept, Now::Gone);
            }
        }
        self.follow_again(missing, found, As::BegunAnew);
    }

    /// What was not read of a file that is gone, too.
    fn find_copy(&mut self, missing: Missing) {
        match self.search.copy(&missing.kept) {
            Some(copy) => {
                info!(file = %missing.path().display(), copy = %copy.path.display(), "file is gone; the rest of it is read from its copy");
                self.follow_again(missing, copy, As::Copy);
            }
            None => self.miss(missing),
        }
    }

    fn follow_again(&mut self, missing: Missing, found: Found, role: As) {
        let Missing { kept, .. } = missing;
        let id = found.id();
        self.search.claim(id);
        let is_moved = found.path != kept.path();
        self.note(&kept, if is_moved { found.now() } else { Now::InPlace });
        let is_named = self.feed.selection.matches(&found.path);
        let was_named = !kept.mark.renamed;
        let order = Order::of(was_named, &found.metadata, &found.path, kept.path());
        debug!(file = %kept.path().display(), now = %found.path.display(), offset = kept.mark.offset, ?role, "going on with a file");
        // One that nobody names is held open, for it may be renamed again.
        let path = is_named.then(|| found.path.clone());
        let mut file = self.resume(&kept, found.file, &found.metadata, path, role);
        if is_moved {
            file.lost_name();
            self.feed.moved.push(Moved { order, id });
        }
        self.feed.known.adopt(id, file, is_named);
        if is_named && !is_moved {
            // Whoever takes this name from it is read after it.
            let name = Name { id, seen: 0 };
            self.feed.known.names.insert(found.path, name);
        }
        self.found.push(id);
        self.feed.ids.insert(kept.id(), id);
        if role != As::Itself || kept.id() != id {
            self.feed.forgotten.push(kept.id());
        }
    }

    fn resume(
        &self,
        kept: &Kept,
        file: fs::File,
        metadata: &Metadata,
        path: Option<PathBuf>,
        role: As,
    ) -> Followed {
        let resumed = Followed::resume(file, metadata, &self.feed.origin, path, kept);
        match role {
            As::Itself => resumed,
            As::BegunAnew => resumed.begun_anew(),
            As::Copy => resumed.read_instead(),
        }
    }

    /// What was read of it is known for a while, for there may be copies of it.
    fn becomes_ghost(&mut self, kept: &Kept) {
        let feed = &mut *self.feed;
        let id = feed.known.free_ghost();
        let ghost = Followed::ghost(id, &feed.origin, kept);
        feed.known.files.insert(id, ghost);
        feed.ids.insert(kept.id(), id);
        feed.forgotten.push(kept.id());
    }

    /// Where a file is now. Only the last one that stood at a path is of interest.
    fn note(&mut self, kept: &Kept, now: Now) {
        if kept.mark.renamed {
            return;
        }
        let other = self.last.get(kept.path());
        if other.is_none_or(|last| last.kept.mark.born < kept.mark.born) {
            let kept = kept.clone();
            self.last.insert(kept.path().to_owned(), Last { kept, now });
        }
    }

    /// It can't be looked at just now.
    fn put_off(&mut self, mut missing: Missing, why: &io::Error) {
        if !std::mem::replace(&mut missing.told, true) {
            warn!(source = %self.feed.origin.source, file = %missing.path().display(), %why, "can't go on with a file yet, trying again every second");
        }
        self.feed.missing.push(missing);
    }

    /// It is nowhere: deleted, compressed, or on a disk that is not there.
    fn miss(&mut self, mut missing: Missing) {
        let (source, path) = (&self.feed.origin.source, missing.path());
        let (file, read) = (path.display(), missing.kept.mark.offset);
        let may_come_back = fs::metadata(path).is_err_and(|why| is_absent(&why))
            && !is_on(folder_of(path), missing.kept.mark.device);
        if !may_come_back {
            if !missing.kept.mark.renamed {
                warn!(%source, %file, read, "a file is gone since the server stopped; whether more was written to it than was read is not known");
            }
            self.note(&missing.kept, Now::Gone);
            self.becomes_ghost(&missing.kept);
            return;
        }
        if !missing.told {
            warn!(%source, %file, read, "a file and its disk or folder are not there; going on with it when they come back");
        }
        missing.told = true;
        self.feed.missing.push(missing);
    }
}

impl Found {
    fn now(&self) -> Now {
        Now::Elsewhere {
            id: self.id(),
            born: born(&self.metadata),
        }
    }
}

/// Whether this folder is there and on this device.
fn is_on(folder: &Path, device: u64) -> bool {
    fs::metadata(shown(folder)).is_ok_and(|metadata| metadata.dev() == device)
}

/// Looks at the folders before a file is taken for gone.
const MOST_LISTINGS: usize = 3;
