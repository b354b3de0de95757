//! Looks for files that came to a path and were rotated away again, all while the server was down:
//! between the file that stood there when it stopped and the one that stands there now.
//!
//! An old signal that is sent as a new one is worse than one that is lost. So a file is read only
//! when its name, in the order of its rotation, and its times both say that it came after the file
//! that is known. When they don't agree it is told, and not read.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use tracing::{info, warn};

use super::Feed;
use super::bookmark::Kept;
use super::copies::LEAST_SAME;
use super::followed::{self, FileId, Followed};
use super::returning::{Moved, Order};
use super::search::{folder_of, is_absent, shown};
use super::selection::Selection;
use super::suffix::Suffix;

/// The last file that is known to have stood at a path, and what has become of it.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) kept: Kept,
    pub(super) now: Now,
}

/// Where a file is that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {
    InPlace,
    /// This file is it, or the copy that stands for it.
    Elsewhere {
        id: FileId,
        born: Option<u64>,
    },
    Gone,
}

/// What may have come after the last file, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Between {
    pub(super) read: Vec<Sibling>,
    /// Those that may be old, and may not.
    pub(super) doubtful: Vec<PathBuf>,
    pub(super) packed: Vec<PathBuf>,
}

/// A file whose name is that of a path and what rotations add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    pub(super) born: Option<u64>,
    suffix: Suffix,
    modified: u64,
}

/// One that was looked into.
#[derive(Debug)]
enum Opened {
    Readable(File, fs::Metadata),
    Doubtful,
    /// Its name stands for another file by now.
    Gone,
    /// What is in it comes from what stands at the path.
    Copy,
}

impl Feed {
    /// Files of which nobody has heard, to be read after the last one before them. The log hears
    /// of them together with what has become of that one: so they are looked for once.
    pub(super) fn find_between(&mut self) {
        for last in std::mem::take(&mut self.last).into_values() {
            if last.now == Now::InPlace {
                continue;
            }
            if let Err(why) = self.read_between(&last) {
                warn!(source = %self.origin.source, file = %last.kept.path().display(), %why, "can't look for files that were rotated while the server was down; what is in them is not read");
            }
        }
    }

    fn read_between(&mut self, last: &Last) -> io::Result<()> {
        let mut siblings = last.siblings(&self.selection)?;
        // A rotation just now changes all names.
        for _ in 0..MOST_LISTINGS {
            let there = fs::metadata(last.kept.path()).ok();
            let there = there.as_ref().map(FileId::of);
            let mut between = last.between(&siblings, |sibling| {
                self.is_known(sibling.id) || there == Some(sibling.id)
            });
            let opened = last.open(&mut between)?;
            let again = last.siblings(&self.selection)?;
            if same_names(&siblings, &again) {
                self.tell(last, &between);
                return opened
                    .into_iter()
                    .try_for_each(|opened| self.come_between(last, opened));
            }
            siblings = again;
        }
        Err(io::Error::other("their names change all the time"))
    }

    fn is_known(&self, id: FileId) -> bool {
        let missing = || self.missing.iter().any(|missing| missing.id() == id);
        self.known.files.contains_key(&id) || missing()
    }

    fn tell(&self, last: &Last, between: &Between) {
        let (source, path) = (&self.origin.source, last.kept.path().display());
        for file in &between.doubtful {
            warn!(%source, file = %path, rotated = %file.display(), "a rotated file may have lines from the time the server was down, or old ones: not read; append to the feed what is new in it");
        }
        for file in &between.packed {
            warn!(%source, file = %path, rotated = %file.display(), "a file was rotated and compressed while the server was down: what is in it was not read; append to the feed what is new in it");
        }
    }

    /// Reads a file whole that nobody names any more, so it is held open.
    fn come_between(
        &mut self,
        last: &Last,
        (number, rotated, file, metadata): (usize, PathBuf, File, fs::Metadata),
    ) -> io::Result<()> {
        let (path, id) = (last.kept.path(), FileId::of(&metadata));
        let order = Order::of(true, &metadata, number + 1);
        let origin = self.origin.with_file(path);
        let mut file = Followed::new(path, file, &metadata, origin, 0)?;
        file.moved(path, || None);
        file.lost_name();
        info!(file = %path.display(), rotated = %rotated.display(), "a file came and was rotated while the server was down; it is read whole");
        self.known.adopt(id, file, false);
        self.moved.push(Moved { order, id });
        Ok(())
    }
}

impl Last {
    /// The rotated files of its path. Those that the source follows anyway are not among them.
    pub(super) fn siblings(&self, selection: &Selection) -> io::Result<Vec<Sibling>> {
        let path = self.kept.path();
        let folder = folder_of(path);
        let mut siblings = Vec::new();
        for entry in fs::read_dir(shown(folder))? {
            let there = folder.join(entry?.file_name());
            let Some(suffix) = Suffix::of(&there, path) else {
                continue;
            };
            match fs::symlink_metadata(&there) {
                Ok(metadata) if metadata.is_file() && !selection.matches(&there) => {
                    siblings.push(Sibling {
                        id: FileId::of(&metadata),
                        born: followed::born(&metadata),
                        modified: followed::nanoseconds(followed::modified(&metadata)),
                        path: there,
                        suffix,
                    });
                }
                Ok(_) => {}
                Err(why) if is_absent(&why) => {}
                Err(why) => return Err(why),
            }
        }
        siblings.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(siblings)
    }

    /// Which of these came after it. `is_known`: followed already.
    pub(super) fn between(
        &self,
        siblings: &[Sibling],
        is_known: impl Fn(&Sibling) -> bool,
    ) -> Between {
        let others = || siblings.iter().filter(|sibling| !is_known(sibling));
        let mut between = match self.anchor(siblings) {
            Some((last, since)) => after(last, since, others()),
            None => self.after_unknown(others()),
        };
        let twins = |sibling: &Sibling| {
            let of_it = |other: &Sibling| other.suffix.is_packed && sibling.is_unpacked_of(other);
            siblings.iter().any(of_it)
        };
        between.doubt(twins);
        between
            .read
            .sort_by(|a, b| a.suffix.oldest_first(&b.suffix));
        if !between.read.is_sorted_by_key(|sibling| sibling.born) {
            between.doubt(|_| true);
        }
        between
    }

    /// Opens those that are to be read. Copies of what is read elsewhere are left out.
    fn open(&self, between: &mut Between) -> io::Result<Vec<(usize, PathBuf, File, fs::Metadata)>> {
        let there = match followed::open(self.kept.path()) {
            Ok(file) => Some(file),
            Err(why) if is_absent(&why) => None,
            Err(why) => return Err(why),
        };
        let mut readable = Vec::new();
        for sibling in &between.read {
            match self.look_into(sibling, there.as_ref()) {
                Ok(Opened::Readable(file, metadata)) => {
                    readable.push((readable.len(), sibling.path.clone(), file, metadata));
                }
                Ok(Opened::Doubtful) => between.doubtful.push(sibling.path.clone()),
                Ok(Opened::Gone | Opened::Copy) => {}
                Err(why) => {
                    warn!(file = %sibling.path.display(), %why, "can't open a rotated file");
                    between.doubtful.push(sibling.path.clone());
                }
            }
        }
        Ok(readable)
    }

    fn look_into(&self, sibling: &Sibling, there: Option<&File>) -> io::Result<Opened> {
        let Some((file, metadata)) = sibling.open()? else {
            return Ok(Opened::Gone);
        };
        let size = metadata.len();
        let (is_short, there) = (size < LEAST_SAME, there.filter(|_| size > 0));
        // Longer ones are known for copies of it when they are read.
        if is_short && size > 0 && self.begins_with(&file, size)? {
            return Ok(Opened::Doubtful);
        }
        if let Some(there) = there {
            let there_is_long = there.metadata()?.len() >= LEAST_SAME;
            match begins_with(there, &file)? {
                true if is_short => return Ok(Opened::Doubtful),
                true => return Ok(Opened::Copy),
                false if there_is_long && begins_with(&file, there)? => {
                    return Ok(Opened::Doubtful);
                }
                false => {}
            }
        }
        Ok(Opened::Readable(file, metadata))
    }

    /// Whether all of this short file stands at its start.
    fn begins_with(&self, file: &File, size: u64) -> io::Result<bool> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let count = followed::read_at(file, &mut bytes, 0)?;
        Ok(self.kept.head.starts_with(&bytes[..count]))
    }

    /// What the rotation has called it, and when it was made.
    fn anchor<'a>(&self, siblings: &'a [Sibling]) -> Option<(&'a Suffix, Option<u64>)> {
        let Now::Elsewhere { id, born } = self.now else {
            return None;
        };
        let own = siblings.iter().find(|sibling| sibling.id == id)?;
        Some((&own.suffix, born))
    }

    /// Without its name only the times tell, and that nothing is missing in the order.
    fn after_unknown<'a>(&self, others: impl Iterator<Item = &'a Sibling>) -> Between {
        let mut between = Between::default();
        let Some(since) = self.kept.place.modified.or(self.kept.place.born) else {
            return between;
        };
        for sibling in others.filter(|sibling| sibling.modified > since) {
            if sibling.suffix.is_packed {
                between.packed.push(sibling.path.clone());
            } else if sibling.born.is_none_or(|born| born > since) {
                between.read.push(sibling.clone());
            }
        }
        let is_certain = self.kept.place.modified.is_some() && self.is_replaced().unwrap_or(false);
        between.doubt(|sibling| !is_certain || sibling.born.is_none());
        between
            .read
            .sort_by(|a, b| b.suffix.oldest_first(&a.suffix));
        let Some(newest) = between.read.first().map(|sibling| sibling.suffix.clone()) else {
            return between;
        };
        let mut next = newest.number().unwrap_or_default();
        let mut is_whole = next <= 1;
        between.doubt(|sibling| {
            is_whole &= match sibling.suffix.number() {
                Some(number) => number == next,
                None => sibling.suffix.is_of(since),
            } && sibling.suffix.is_like(&newest);
            next += 1;
            !is_whole
        });
        between
    }

    /// Whether its path stands for a file that begins otherwise: not for an older version of it.
    fn is_replaced(&self) -> io::Result<bool> {
        let path = self.kept.path();
        if !fs::metadata(path)?.is_file() {
            return Ok(false);
        }
        let mut head = vec![0; self.kept.head.len()];
        let count = followed::read_at(&followed::open(path)?, &mut head, 0)?;
        Ok(count == 0 || head[..count] != self.kept.head[..count])
    }
}

impl Between {
    /// These may be old.
    pub(super) fn doubt(&mut self, mut is_doubtful: impl FnMut(&Sibling) -> bool) {
        let doubtful = self.read.extract_if(.., |sibling| is_doubtful(sibling));
        self.doubtful.extend(doubtful.map(|sibling| sibling.path));
    }
}

impl Sibling {
    /// Opens it; nothing if its name stands for another file by now.
    pub(super) fn open(&self) -> io::Result<Option<(File, fs::Metadata)>> {
        let file = match followed::open(&self.path) {
            Ok(file) => file,
            Err(why) if is_absent(&why) => return Ok(None),
            Err(why) => return Err(why),
        };
        let metadata = file.metadata()?;
        Ok((FileId::of(&metadata) == self.id).then_some((file, metadata)))
    }

    fn is_unpacked_of(&self, packed: &Self) -> bool {
        let (own, packed) = (self.path.as_os_str(), packed.path.as_os_str());
        let rest = packed
            .as_encoded_bytes()
            .strip_prefix(own.as_encoded_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&b'.') && !rest[1..].is_empty())
    }
}

/// All that the rotation calls newer than the last one, which was made at `since`.
fn after<'a>(
    last: &Suffix,
    since: Option<u64>,
    others: impl Iterator<Item = &'a Sibling>,
) -> Between {
    let mut between = Between::default();
    for sibling in others {
        let came_later = since
            .zip(sibling.born)
            .is_some_and(|(since, born)| since <= born && since <= sibling.modified);
        let is_newer = sibling.suffix.is_like(last) && sibling.suffix.is_newer_than(last);
        let path = sibling.path.clone();
        match (is_newer, sibling.suffix.is_packed) {
            (true, true) => between.packed.push(path),
            (true, false) if came_later => between.read.push(sibling.clone()),
            (true, false) => between.doubtful.push(path),
            (false, false) if came_later => between.doubtful.push(path),
            (false, _) => {}
        }
    }
    between
}

fn same_names(some: &[Sibling], others: &[Sibling]) -> bool {
    let names = |siblings: &[Sibling]| -> Vec<(PathBuf, FileId)> {
        let names = siblings
            .iter()
            .map(|sibling| (sibling.path.clone(), sibling.id));
        names.collect()
    };
    names(some) == names(others)
}

/// Whether all of this file stands at the start of that one.
pub(super) fn begins_with(whole: &File, part: &File) -> io::Result<bool> {
    let (mut theirs, mut own) = (vec![0; COMPARED_AT_ONCE], vec![0; COMPARED_AT_ONCE]);
    let mut offset = 0;
    loop {
        let count = followed::read_at(part, &mut own, offset)?;
        if count == 0 {
            return Ok(true);
        }
        let there = followed::read_at(whole, &mut theirs[..count], offset)?;
        if theirs[..there] != own[..count] {
            return Ok(false);
        }
        offset += count as u64;
    }
}

impl Suffix {
    fn oldest_first(&self, other: &Self) -> std::cmp::Ordering {
        self.is_newer_than(other).cmp(&other.is_newer_than(self))
    }

    /// Whether its date is that of a file which was made after this, in nanoseconds since 1970.
    fn is_of(&self, since: u64) -> bool {
        let since = Timestamp::from_nanosecond(i128::from(since)).ok();
        let first = since.and_then(|since| {
            let date = since.to_zoned(TimeZone::UTC).date();
            date.checked_sub(DATED_BACK_DAYS.days()).ok()
        });
        self.date()
            .zip(first)
            .is_some_and(|(date, first)| date >= first)
    }
}

/// A rotation dates a file by its end or its beginning, in its own time zone.
const DATED_BACK_DAYS: i64 = 2;

/// Looks at a folder before its files are taken for changing all the time.
const MOST_LISTINGS: usize = 3;

const COMPARED_AT_ONCE: usize = 64 * 1024;
