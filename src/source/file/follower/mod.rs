mod copied;
mod held;
mod queue;
mod turns;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tracing::debug;

use super::complaints::{Complaints, is_out_of_files};
use super::file_id::FileId;
use super::followed::{COUNT_BYTES, Fate, Followed, Prompt};
use super::known::Name;
use super::returning::Moved;
use super::search::{folder_of, shown};
use super::times;
use super::wake::Wake;
use super::watch::{Changed, Watch};
use super::{BETWEEN_LOOKS, Feed};
use crate::crash;
use crate::source::Handovers;
use crate::source::state::{Report, State};
use queue::Queue;

/// The thread of one `file:` source.
///
/// A file has its turn when it changed, reads once, and queues again if there is more, so that a
/// huge file does not keep the others waiting. A file at its end costs nothing but its handle
/// and, once a second, a `stat`.
pub(in crate::source) struct Follower {
    feed: Feed,
    handovers: Handovers,
    wake: Arc<Wake>,
    watch: Watch,
    report: Report,
    /// Files with something to read.
    queue: Queue,
    /// Files whose old lines are counted when there is nothing else to do, so that their first
    /// new line need not wait for that.
    uncounted: VecDeque<FileId>,
    /// Number of the current look.
    look: u64,
    complaints: Complaints,
    /// Files that may be copies, and of which more is known than was handed over.
    judged: Vec<FileId>,
    /// Files of which the last read failed.
    failing: HashSet<FileId>,
    /// Files that were to be read to their end while the source was paused, in this order: before all
    /// others when it goes on.
    held: VecDeque<FileId>,
    buffer: Vec<u8>,
}

/// Stopped, or nobody wants the lines any more.
struct Ended;

impl Follower {
    pub(super) fn new(feed: Feed, handovers: Handovers, wake: Arc<Wake>, report: Report) -> Self {
        let watch = Watch::new(feed.origin.source.clone(), Arc::clone(&wake));
        let bell = Arc::clone(&wake);
        report.when_paused_or_resumed(move || bell.look());
        let uncounted = feed.known.files.keys().copied().collect();
        Self {
            feed,
            handovers,
            wake,
            watch,
            report,
            queue: Queue::default(),
            uncounted,
            look: 0,
            complaints: Complaints::default(),
            judged: Vec::new(),
            failing: HashSet::new(),
            held: VecDeque::new(),
            buffer: vec![0; COUNT_BYTES],
        }
    }

    /// Blocks until it is stopped or nobody wants the lines any more.
    pub(in crate::source) fn run(mut self) {
        for path in self.feed.known.names.keys() {
            self.watch.follow_link(path);
        }
        if let Ok(()) = self.begin() {
            while let Ok(()) = self.follow() {}
        }
    }

    fn begin(&mut self) -> Result<(), Ended> {
        self.tell_marks()?;
        self.read_moved()
    }

    /// Files that are not where they were when the server stopped are read before what has taken
    /// their place.
    fn read_moved(&mut self) -> Result<(), Ended> {
        for Moved { id, .. } in std::mem::take(&mut self.feed.moved) {
            self.read_to_end(id)?;
        }
        Ok(())
    }

    /// Files of which the log knows and which could not be found before.
    fn find_missing(&mut self) -> Result<(), Ended> {
        if self.feed.missing.is_empty() {
            return Ok(());
        }
        self.feed.find_missing();
        let found = self.feed.known.files.iter();
        let uncounted = found.filter(|(_, file)| file.is_uncounted());
        self.uncounted = uncounted.map(|(id, _)| *id).collect();
        self.tell_marks()?;
        self.read_moved()
    }

    /// From one look at everything to the next.
    fn follow(&mut self) -> Result<(), Ended> {
        let next_look = Instant::now() + BETWEEN_LOOKS;
        self.catch_up()?;
        self.look()?;
        self.report();
        loop {
            let until = if self.is_idle() {
                next_look
            } else {
                Instant::now()
            };
            let news = self.wake.wait(until);
            if news.stop {
                return Err(Ended);
            }
            let look = news.look || self.look_changed(&news.changed)?;
            self.report();
            if look || Instant::now() >= next_look {
                return Ok(());
            }
            self.take_turn()?;
        }
    }

    /// Looks at what the watcher has reported; true if that takes a look at everything.
    fn look_changed(&mut self, changed: &HashSet<PathBuf>) -> Result<bool, Ended> {
        let mut look = false;
        for path in changed {
            match self.watch.resolve(path) {
                Some(Changed::Path(path)) if self.feed.selection.matches(&path) => {
                    self.check(&path, Prompt::Reported)?;
                }
                Some(Changed::Path(path)) => {
                    look |= self.feed.selection.spans_folders() && path.is_dir();
                }
                Some(Changed::Folder) => look = true,
                None => {}
            }
        }
        Ok(look)
    }

    fn look(&mut self) -> Result<(), Ended> {
        self.look += 1;
        self.find_missing()?;
        // Watch first, look second: what comes in between is reported, and looked at again.
        self.watch.follow_folders(self.feed.selection.folders());
        let mut unreadable = Vec::new();
        let paths = self.feed.selection.paths(|why| {
            let (code, kind) = (why.error().raw_os_error(), why.error().kind());
            let why_not = code.map_or_else(|| kind.into(), io::Error::from_raw_os_error);
            unreadable.push((why.path().to_owned(), why_not));
        });
        for (folder, why) in &unreadable {
            self.unreadable(folder, why);
        }
        for path in paths {
            self.check(&path, Prompt::Look)?;
        }
        let is_unreadable = |folder: &Path| unreadable.iter().any(|(path, _)| path == folder);
        self.feed.unopened.keep_folders(is_unreadable);
        let lost: Vec<PathBuf> = self
            .feed
            .known
            .names
            .iter()
            .filter(|(_, name)| name.seen != self.look)
            .map(|(path, _)| path.clone())
            .collect();
        for path in lost {
            // Not found, or a folder that can't be read just now: the check tells which.
            self.check(&path, Prompt::Look)?;
        }
        if !self.report.is_paused() {
            self.age()?;
        }
        self.complaints.keep(self.look);
        self.tell_marks()
    }

    /// Finds out which file this path stands for now and whether there is something to read.
    fn check(&mut self, path: &Path, prompt: Prompt) -> Result<(), Ended> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(metadata) => {
                if !metadata.is_dir() {
                    let source = &self.feed.origin.source;
                    self.complaints.not_a_file(source, path, self.look);
                }
                return self.lost(path);
            }
            Err(why) if why.kind() == ErrorKind::NotFound => {
                self.complaints.settled(path);
                self.feed.unopened.remove_file(path);
                return self.lost(path);
            }
            Err(why) => {
                // It is the folder that can't be looked into, and it is told once for all in it.
                self.unreadable(path.parent().unwrap_or(path), &why);
                self.check_by_handle(path);
                return Ok(());
            }
        };
        let known = &mut self.feed.known;
        let mut id = FileId::of(&metadata);
        let is_known = |id| known.files.get(id).is_some_and(|file| file.is(&metadata));
        match known.names.get_mut(path) {
            Some(name) if name.id == id && is_known(&id) => name.seen = self.look,
            _ => match self.follow_new(path)? {
                Some(opened) => id = opened,
                None => return Ok(()),
            },
        }
        self.check_file(path, id, &metadata, prompt);
        Ok(())
    }

    fn check_file(&mut self, path: &Path, id: FileId, metadata: &Metadata, prompt: Prompt) {
        let Some(file) = self.feed.known.files.get_mut(&id) else {
            return;
        };
        if file.is_nameless() {
            // This name was known before the other one was lost.
            file.found_again(path, self.feed.origin.with_file(path));
        }
        if file.is_due(metadata, prompt) {
            self.enqueue(id);
        }
    }

    /// The path tells nothing just now. If the file is open there is no need for it.
    fn check_by_handle(&mut self, path: &Path) {
        let Some(name) = self.feed.known.names.get_mut(path) else {
            return;
        };
        name.seen = self.look;
        let id = name.id;
        if let Some(file) = self.feed.known.files.get(&id)
            && file.is_open()
            && file
                .metadata()
                .is_ok_and(|file_now| file_now.len() != file.end())
        {
            self.enqueue(id);
        }
    }

    /// This path is new, or stands for another file than before: that one is read to its end
    /// first, so that the order stays.
    fn follow_new(&mut self, path: &Path) -> Result<Option<FileId>, Ended> {
        self.lost(path)?;
        self.find_missing()?;
        if self.feed.is_missed(path) {
            return Ok(None);
        }
        let feed = &mut self.feed;
        let old_bytes = |id, size| feed.unopened.old_bytes(path, id, size);
        match feed.known.open(&feed.origin, path, old_bytes, self.look) {
            Ok(opened) => {
                self.feed.unopened.remove_file(path);
                debug!(file = %path.display(), "following a file");
                self.complaints.settled(path);
                self.watch.follow_link(path);
                if !self.feed.known.superseded.is_empty() {
                    // Before it hears of the file that has its id now.
                    self.tell_marks()?;
                }
                Ok(opened)
            }
            // Gone again: the watcher or the next look will tell.
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => {
                self.unreadable(path, &why);
                Ok(None)
            }
        }
    }

    /// This path does not stand any more for the file it stood for.
    fn lost(&mut self, path: &Path) -> Result<(), Ended> {
        let known = &mut self.feed.known;
        let Some(Name { id, .. }) = known.names.remove(path) else {
            return Ok(());
        };
        self.watch.forget_link(path);
        let Some(file) = known.files.get_mut(&id) else {
            return Ok(());
        };
        let names = &known.names;
        let born = file.born();
        let can_be_read = file.left(path, || elsewhere(path, (id, born), names));
        if can_be_read {
            self.read_to_end(id)?;
        }
        // It may have another name, which is found at the next look at the latest.
        if let Some(file) = self.feed.known.files.get_mut(&id)
            && file.path() == path
        {
            file.lost_name();
        }
        crash::point("rotation_seen");
        Ok(())
    }

    /// A look has passed. Not to be told while the source is paused: nothing is compared then, and a
    /// copy is known only for as long as its original is.
    fn age(&mut self) -> Result<(), Ended> {
        self.look_after_nameless()?;
        for file in self.feed.known.files.values_mut() {
            file.no_news_of_copy();
        }
        Ok(())
    }

    /// Files without a name are read on for a while: their writer may not know yet.
    fn look_after_nameless(&mut self) -> Result<(), Ended> {
        let nameless = |(id, file): (&FileId, &Followed)| file.is_nameless().then_some(*id);
        let nameless: Vec<FileId> = self.feed.known.files.iter().filter_map(nameless).collect();
        for id in nameless {
            let Some(file) = self.feed.known.files.get_mut(&id) else {
                continue;
            };
            let fate = file.fate().unwrap_or_else(|why| {
                debug!(file = %file.path().display(), %why, "a lost file can't be read");
                Fate::IsOver
            });
            match fate {
                Fate::Waits => {}
                Fate::Grew => self.enqueue(id),
                // A copy of it that is still being read is known by it.
                Fate::IsOver if self.feed.known.is_copied(id) => {}
                Fate::IsOver => self.close(id)?,
            }
        }
        Ok(())
    }

    fn close(&mut self, id: FileId) -> Result<(), Ended> {
        if let Some(file) = self.feed.known.files.remove(&id) {
            self.failing.remove(&id);
            self.queue.remove(id);
            debug!(file = %file.path().display(), "file is gone");
            let mut ready = Vec::new();
            file.close(&mut ready);
            self.feed.forgotten.push(id);
            // With all others, for it may be a copy of this one that they are known by.
            let bookmarks = self.feed.bookmarks();
            self.hand_over(ready, bookmarks)?;
        }
        Ok(())
    }

    fn unreadable(&mut self, path: &Path, why: &io::Error) {
        if is_out_of_files(why) {
            self.feed.known.make_room();
        }
        let source = &self.feed.origin.source;
        self.complaints.unreadable(source, path, why, self.look);
    }

    fn report(&self) {
        let known = &self.feed.known;
        self.report.set(
            if !known.names.is_empty() && known.files.len() > self.failing.len() {
                State::Live
            } else if known.names.is_empty() && self.complaints.is_empty() {
                State::Waiting
            } else {
                State::Failed
            },
        );
    }
}

/// Where a file is now that stood at this path and is not open: under another name that is known,
/// or renamed within its folder.
fn elsewhere(
    path: &Path,
    (id, born): (FileId, Option<u64>),
    names: &HashMap<PathBuf, Name>,
) -> Option<PathBuf> {
    if let Some((other, _)) = names.iter().find(|(_, name)| name.id == id) {
        return Some(other.clone());
    }
    let entries = fs::read_dir(shown(folder_of(path))).ok()?;
    let same_inode = entries.flatten().filter(|entry| entry.ino() == id.inode());
    same_inode
        .map(|entry| entry.path())
        .find(|path| id.is_at(path) && times::born_at(path) == born)
}
