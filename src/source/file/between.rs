//! Looks for files that came to a path and were rotated away again, all while the server was down:
//! between the file that stood there when it stopped and the one that stands there now.
//!
//! An old signal that is sent as a new one is worse than one that is lost. So a file is read only
//! when its name, in the order of its rotation, and its times both say that it came after the file
//! that is known. When they don't agree it is told, and not read.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::PathBuf;

use tracing::{info, warn};

use super::Feed;
use super::bytes;
use super::copies::LEAST_SAME;
use super::file_id::FileId;
use super::followed::Followed;
use super::history::HEAD_BYTES;
use super::returning::{Moved, Order};
use super::search::is_absent;
use super::siblings::{Between, Last, Now, Sibling, same_names};
use super::times::{modified, nanoseconds};

/// A rotated file that is to be read.
#[derive(Debug)]
struct Newcomer {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

/// What a rotated file turns out to be when one looks into it.
#[derive(Debug)]
enum Seen {
    New(File, Metadata),
    Doubtful,
    /// Its name stands for another file by now.
    Gone,
    /// What is in it comes from what stands at the path.
    Copy,
}

impl Feed {
    /// Files of which nobody has heard, to be read after the last one before them. The log hears
    /// of them together with what has become of that one: so they are looked for once.
    pub(super) fn find_between(&mut self, lasts: impl Iterator<Item = Last>) {
        for last in lasts.filter(|last| last.now != Now::InPlace || last.may_be_begun_anew()) {
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
                    .try_for_each(|newcomer| self.come_between(last, newcomer));
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
    fn come_between(&mut self, last: &Last, newcomer: Newcomer) -> io::Result<()> {
        let (path, metadata) = (last.kept.path(), &newcomer.metadata);
        let (id, order) = (
            FileId::of(metadata),
            Order::of(true, metadata, &newcomer.path, path),
        );
        let origin = self.origin.with_file(path);
        let mut file = Followed::new(path, newcomer.file, metadata, origin, 0)?;
        file.left(path, || None);
        file.lost_name();
        info!(file = %path.display(), rotated = %newcomer.path.display(), "a file came and was rotated while the server was down; it is read whole");
        self.known.adopt(id, file, false);
        self.moved.push(Moved { order, id });
        Ok(())
    }
}

impl Last {
    /// Opens those that are to be read. Copies of what is read elsewhere are left out.
    fn open(&self, between: &mut Between) -> io::Result<Vec<Newcomer>> {
        let there = match bytes::open(self.kept.path()) {
            Ok(file) => Some(file),
            Err(why) if is_absent(&why) => None,
            Err(why) => return Err(why),
        };
        let mut newcomers = Vec::new();
        for sibling in &between.read {
            match self.look_into(sibling, there.as_ref()) {
                Ok(Seen::New(file, metadata)) => newcomers.push(Newcomer {
                    path: sibling.path.clone(),
                    file,
                    metadata,
                }),
                Ok(Seen::Doubtful) => between.doubtful.push(sibling.path.clone()),
                Ok(Seen::Gone | Seen::Copy) => {}
                Err(why) => {
                    warn!(file = %sibling.path.display(), %why, "can't open a rotated file");
                    between.doubtful.push(sibling.path.clone());
                }
            }
        }
        Ok(newcomers)
    }

    /// `there`: what stands at the path now.
    fn look_into(&self, sibling: &Sibling, there: Option<&File>) -> io::Result<Seen> {
        let Some((file, metadata)) = sibling.open()? else {
            return Ok(Seen::Gone);
        };
        let size = metadata.len();
        let (is_short, there) = (size < LEAST_SAME, there.filter(|_| size > 0));
        // Longer ones are known for copies of it when they are read.
        if is_short && size > 0 && self.begins_with(&file, size)? || self.was_it_before(&file)? {
            return Ok(Seen::Doubtful);
        }
        if let Some(there) = there {
            let there_is_long = there.metadata()?.len() >= LEAST_SAME;
            match bytes::begins_with(there, &file)? {
                true if is_short => return Ok(Seen::Doubtful),
                true => return Ok(Seen::Copy),
                false if there_is_long && bytes::begins_with(&file, there)? => {
                    return Ok(Seen::Doubtful);
                }
                false => {}
            }
        }
        Ok(Seen::New(file, metadata))
    }

    /// Whether a file of which nothing was read, and which is still there, may have been truncated
    /// meanwhile: what was written to it then stands in a copy. No bytes tell, but its time does.
    fn may_be_begun_anew(&self) -> bool {
        let mark = &self.kept.mark;
        let now = fs::metadata(self.kept.path());
        let now = now.map(|there| nanoseconds(modified(&there)));
        mark.offset == 0
            && mark
                .modified
                .zip(now.ok())
                .is_some_and(|(then, now)| then < now)
    }

    /// Whether this may be what it was before it was begun anew: too short to be known for a copy
    /// when it is read.
    fn was_it_before(&self, file: &File) -> io::Result<bool> {
        let head = bytes::head(file, HEAD_BYTES)?;
        Ok(self.kept.ended.iter().any(|ended| {
            let alike = ended.head.0.len().min(head.len());
            let is_short = (alike as u64) < LEAST_SAME;
            alike > 0 && is_short && ended.head.0[..alike] == head[..alike]
        }))
    }

    /// Whether all of this short file stands at its start.
    fn begins_with(&self, file: &File, size: u64) -> io::Result<bool> {
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(self.kept.head.starts_with(&bytes::head(file, most)?))
    }
}

/// Looks at a folder before its files are taken for changing all the time.
const MOST_LISTINGS: usize = 3;
