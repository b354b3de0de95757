//! Goes on with the files that were followed before the server stopped.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracing::{debug, info, warn};

use super::between::{Last, Now};
use super::bookmark::Kept;
use super::followed::{self, FileId, Followed};
use super::search::{Found, Match, Search, folder_of, is_absent, shown};
use super::{Feed, Name};

/// A file whose place the log knows, and which was not found yet.
#[derive(Debug)]
pub(super) struct Missing {
    kept: Kept,
    /// That it is not there was told.
    told: bool,
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
}

impl Feed {
    /// Whether it is not known yet if this path stands for a file that is missing.
    pub(super) fn is_missed(&self, path: &Path) -> bool {
        self.missing
            .iter()
            .any(|missing| missing.kept.path() == path)
    }

    /// Follows again what can be found of the files that were followed before. Those that are not
    /// where they were are left in `moved`, to be read to their end before what has taken their
    /// place.
    pub(super) fn find_missing(&mut self) {
        let (ghosts, missing): (Vec<_>, Vec<_>) = std::mem::take(&mut self.missing)
            .into_iter()
            .partition(|missing| missing.kept.id().is_ghost());
        for ghost in ghosts {
            self.becomes_ghost(&ghost.kept);
        }
        let claimed = self.known.files.keys().copied().collect();
        let mut search = Search::new(self.selection.folders(), claimed);
        let (mut elsewhere, mut anew) = (Vec::new(), Vec::new());
        for missing in missing {
            let found = search.in_place(&missing.kept);
            self.take_match(missing, found, &mut search, &mut elsewhere, &mut anew);
        }
        // A name may change between the look at the folder and the look at the file.
        for _ in 0..MOST_LISTINGS {
            if elsewhere.is_empty() {
                break;
            }
            search.list(elsewhere.iter().map(|missing: &Missing| &missing.kept));
            for missing in std::mem::take(&mut elsewhere) {
                let found = search.renamed(&missing.kept);
                self.take_match(missing, found, &mut search, &mut elsewhere, &mut anew);
            }
        }
        let mut lost = Vec::new();
        for missing in elsewhere {
            match search.replaced(&missing.kept) {
                Ok(Some(found)) => {
                    search.claim(&found);
                    self.follow_again(missing, found, As::Itself);
                }
                Ok(None) => lost.push(missing),
                Err(why) => self.put_off(missing, &why),
            }
        }
        search.list(
            lost.iter()
                .chain(anew.iter().map(|(missing, _)| missing))
                .map(|missing| &missing.kept),
        );
        self.find_copies(lost, anew, &mut search);
        self.find_between();
        self.moved.sort_by_key(|moved| moved.order);
        for id in self.found.drain(..) {
            if let Some(file) = self.known.files.get_mut(&id) {
                file.originals_are(&self.ids);
            }
        }
    }

    fn take_match(
        &mut self,
        missing: Missing,
        found: std::io::Result<Option<Match>>,
        search: &mut Search,
        elsewhere: &mut Vec<Missing>,
        anew: &mut Vec<(Missing, Found)>,
    ) {
        match found {
            Ok(Some(Match::Same(found))) => {
                search.claim(&found);
                self.follow_again(missing, found, As::Itself);
            }
            Ok(Some(Match::Anew(found))) => {
                search.claim(&found);
                anew.push((missing, found));
            }
            Ok(None) => elsewhere.push(missing),
            Err(why) => self.put_off(missing, &why),
        }
    }

    /// What was not read of files that are gone or were begun anew may stand in a copy.
    fn find_copies(
        &mut self,
        lost: Vec<Missing>,
        anew: Vec<(Missing, Found)>,
        search: &mut Search,
    ) {
        for (missing, found) in anew {
            let file = missing.kept.path().to_owned();
            match search.copy(&missing.kept) {
                Some(copy) => {
                    search.claim(&copy);
                    info!(file = %file.display(), copy = %copy.path.display(), "file was begun anew while the server was down; the rest of what it was is read from its copy");
                    self.follow_again(Missing::from(missing.kept.clone()), copy, As::Copy);
                }
                None => {
                    warn!(file = %file.display(), read = missing.kept.place.offset, "file was begun anew while the server was down; what it was then is read up to here, whether there was more is not known");
                }
            }
            self.follow_again(missing, found, As::BegunAnew);
        }
        for missing in lost {
            match search.copy(&missing.kept) {
                Some(copy) => {
                    search.claim(&copy);
                    info!(file = %missing.kept.path().display(), copy = %copy.path.display(), "file is gone; the rest of it is read from its copy");
                    self.follow_again(missing, copy, As::Copy);
                }
                None => self.miss(missing),
            }
        }
    }

    fn follow_again(&mut self, missing: Missing, found: Found, role: As) {
        let Missing { kept, .. } = &missing;
        let (id, is_moved) = (found.id(), found.path != kept.path());
        let is_named = self.selection.matches(&found.path);
        // One that nobody names is held open, for it may be renamed again.
        let at = is_named.then(|| found.path.clone());
        let order = Order::of(!kept.place.renamed, &found.metadata, 0);
        self.note(
            kept,
            if is_moved {
                let born = followed::born(&found.metadata);
                Now::Elsewhere { id, born }
            } else {
                Now::InPlace
            },
        );
        let Found {
            path,
            file,
            metadata,
        } = found;
        let resumed = match role {
            As::BegunAnew => Followed::resume_anew(file, &metadata, &self.origin, at, kept),
            As::Itself | As::Copy => Followed::resume(file, &metadata, &self.origin, at, kept),
        };
        let mut resumed = match resumed {
            Ok(resumed) => resumed,
            Err(why) => return self.put_off(missing, &why),
        };
        if role == As::Copy {
            resumed.takes_over();
        }
        if is_moved {
            resumed.lost_name();
            self.moved.push(Moved { order, id });
        }
        debug!(file = %kept.path().display(), now = %path.display(), offset = kept.place.offset, ?role, "going on with a file");
        self.known.adopt(id, resumed, is_named);
        if is_named && !is_moved {
            // Whoever takes this name from it is read after it.
            self.known.names.insert(path, Name { id, seen: 0 });
        }
        self.found.push(id);
        self.ids.insert(kept.id(), id);
        if role != As::Itself || kept.id() != id {
            self.forgotten.push(kept.id());
        }
    }

    /// What was read of it is known for a while, for there may be copies of it.
    fn becomes_ghost(&mut self, kept: &Kept) {
        let mut number = 1;
        while self.known.files.contains_key(&FileId::ghost(number)) {
            number += 1;
        }
        let id = FileId::ghost(number);
        let ghost = Followed::ghost(id, &self.origin, kept);
        self.known.files.insert(id, ghost);
        self.ids.insert(kept.id(), id);
        self.forgotten.push(kept.id());
    }

    /// Where a file is now. Only the last one that stood at a path is of interest.
    fn note(&mut self, kept: &Kept, now: Now) {
        if kept.place.renamed {
            return;
        }
        let other = self.last.get(kept.path());
        if other.is_none_or(|last| last.kept.place.born < kept.place.born) {
            let kept = kept.clone();
            self.last.insert(kept.path().to_owned(), Last { kept, now });
        }
    }

    /// It can't be looked at just now.
    fn put_off(&mut self, mut missing: Missing, why: &std::io::Error) {
        if !std::mem::replace(&mut missing.told, true) {
            warn!(source = %self.origin.source, file = %missing.kept.path().display(), %why, "can't go on with a file yet, trying again every second");
        }
        self.missing.push(missing);
    }

    /// It is nowhere: deleted, compressed, or on a disk that is not there.
    fn miss(&mut self, mut missing: Missing) {
        let (path, read) = (missing.kept.path(), missing.kept.place.offset);
        let absent = fs::metadata(path).is_err_and(|why| is_absent(&why))
            && !is_on(folder_of(path), missing.kept.place.device);
        let told = std::mem::replace(&mut missing.told, true);
        if !absent {
            let path = missing.kept.path();
            if !missing.kept.place.renamed {
                warn!(source = %self.origin.source, file = %path.display(), read, "a file is gone since the server stopped; whether more was written to it than was read is not known");
            }
            self.note(&missing.kept, Now::Gone);
            self.becomes_ghost(&missing.kept);
            return;
        }
        if !told {
            warn!(source = %self.origin.source, file = %path.display(), read, "a file and its disk or folder are not there; going on with it when they come back");
        }
        self.missing.push(missing);
    }
}

/// A file that is to be read to its end before what has taken its place, and when.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) order: Order,
    pub(super) id: FileId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// It had its name when the server stopped.
    was_named: bool,
    born: Option<u64>,
    /// Of several that were made at once.
    number: usize,
    modified: (i64, i64),
    inode: u64,
}

impl Order {
    pub(super) fn of(was_named: bool, metadata: &fs::Metadata, number: usize) -> Self {
        Self {
            was_named,
            born: followed::born(metadata),
            number,
            modified: followed::modified(metadata),
            inode: metadata.ino(),
        }
    }
}

/// Whether this folder is there and on this device.
fn is_on(folder: &Path, device: u64) -> bool {
    fs::metadata(shown(folder)).is_ok_and(|metadata| metadata.dev() == device)
}

/// Looks at the folders before a file is taken for gone.
const MOST_LISTINGS: usize = 3;
