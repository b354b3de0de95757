//! The rotated files of a path, and which of them came after the one that is known to have stood
//! there, going by their names and their times. None of them is opened for that.

use std::cmp::Reverse;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::PathBuf;

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::bookmark::Kept;
use super::bytes;
use super::file_id::FileId;
use super::search::{folder_of, is_absent, shown};
use super::selection::Selection;
use super::suffix::Suffix;
use super::times::{born, modified, nanoseconds};

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
                        born: born(&metadata),
                        modified: nanoseconds(modified(&metadata)),
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
        between.read.sort_by_key(|sibling| sibling.suffix.rank());
        if !between.read.is_sorted_by_key(|sibling| sibling.born) {
            between.doubt(|_| true);
        }
        between
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
        let Some(since) = self.kept.mark.modified.or(self.kept.mark.born) else {
            return between;
        };
        for sibling in others.filter(|sibling| sibling.modified > since) {
            if sibling.suffix.is_packed {
                between.packed.push(sibling.path.clone());
            } else if sibling.born.is_none_or(|born| born > since) {
                between.read.push(sibling.clone());
            }
        }
        let is_certain = self.kept.mark.modified.is_some() && self.is_replaced().unwrap_or(false);
        between.doubt(|sibling| !is_certain || sibling.born.is_none());
        between
            .read
            .sort_by_key(|sibling| Reverse(sibling.suffix.rank()));
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
        let head = bytes::head(&bytes::open(path)?, self.kept.head.len())?;
        Ok(head.is_empty() || !self.kept.head.starts_with(&head))
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
    pub(super) fn open(&self) -> io::Result<Option<(File, Metadata)>> {
        let file = match bytes::open(&self.path) {
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
        let is_newer = sibling.suffix.is_newer_than(last);
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

pub(super) fn same_names(some: &[Sibling], others: &[Sibling]) -> bool {
    let names = |siblings: &[Sibling]| -> Vec<(PathBuf, FileId)> {
        let names = siblings
            .iter()
            .map(|sibling| (sibling.path.clone(), sibling.id));
        names.collect()
    };
    names(some) == names(others)
}

impl Suffix {
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
