use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{debug, error, warn};

use super::followed::{COUNT_BYTES, Fate, FileId, Progress};
use super::wake::Wake;
use super::watch::{Changed, Watch};
use super::{Feed, Name};
use crate::source::state::{Report, State};
use crate::source::{Arrival, READ_BYTES, send};

/// The thread of one `file:` source.
///
/// A file has its turn when it changed, reads once, and queues again if there is more, so that a
/// huge file does not keep the others waiting. A file at its end costs nothing but its handle
/// and, once a second, a `stat`.
pub(in crate::source) struct Follower {
    feed: Feed,
    arrivals: mpsc::Sender<Arrival>,
    wake: Arc<Wake>,
    watch: Watch,
    report: Report,
    /// Files with something to read.
    queue: VecDeque<FileId>,
    /// Files whose old lines are counted when there is nothing else to do, so that their first
    /// new line need not wait for that.
    uncounted: VecDeque<FileId>,
    /// Number of the current look.
    look: u64,
    /// What can't be followed, as somebody was told, with the last look that has seen it.
    complaints: HashMap<PathBuf, u64>,
    /// Files of which the last read failed.
    failing: HashSet<FileId>,
    buffer: Vec<u8>,
}

/// Stopped, or nobody wants the lines any more.
struct Ended;

impl Follower {
    pub(super) fn new(
        feed: Feed,
        arrivals: mpsc::Sender<Arrival>,
        wake: Arc<Wake>,
        report: Report,
    ) -> Self {
        let watch = Watch::new(feed.origin.source.clone(), Arc::clone(&wake));
        let uncounted = feed.known.files.keys().copied().collect();
        Self {
            feed,
            arrivals,
            wake,
            watch,
            report,
            queue: VecDeque::new(),
            uncounted,
            look: 0,
            complaints: HashMap::new(),
            failing: HashSet::new(),
            buffer: vec![0; COUNT_BYTES],
        }
    }

    /// Blocks until it is stopped or nobody wants the lines any more.
    pub(in crate::source) fn run(mut self) {
        for path in self.feed.known.names.keys() {
            self.watch.follow_link(path);
        }
        while let Ok(()) = self.follow() {}
    }

    /// From one look at everything to the next.
    fn follow(&mut self) -> Result<(), Ended> {
        let next_look = Instant::now() + BETWEEN_LOOKS;
        self.look()?;
        self.report();
        loop {
            let idle = self.queue.is_empty() && self.uncounted.is_empty();
            let news = self
                .wake
                .wait(if idle { next_look } else { Instant::now() });
            if news.stop {
                return Err(Ended);
            }
            let look = news.look || self.look_changed(&news.changed)?;
            self.report();
            if look || Instant::now() >= next_look {
                return Ok(());
            }
            if !self.read_next()? {
                self.count_next();
            }
        }
    }

    /// Looks at what the watcher has reported; true if that takes a look at everything.
    fn look_changed(&mut self, changed: &HashSet<PathBuf>) -> Result<bool, Ended> {
        let mut look = false;
        for path in changed {
            match self.watch.resolve(path) {
                Some(Changed::Path(path)) if self.feed.selection.matches(&path) => {
                    self.check(&path)?;
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
        // Watch first, look second: what comes in between is reported, and looked at again.
        self.watch.follow_folders(self.feed.selection.folders());
        let mut unreadable = Vec::new();
        let paths = self.feed.selection.paths(|why| {
            unreadable.push((why.path().to_owned(), why.error().to_string()));
        });
        for (folder, why) in &unreadable {
            self.complain(folder, why);
        }
        for path in paths {
            self.check(&path)?;
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
            self.check(&path)?;
        }
        self.look_after_nameless()?;
        // What is not in the way any more is told again when it comes back.
        self.complaints.retain(|_, seen| *seen == self.look);
        Ok(())
    }

    /// Finds out which file this path stands for now and whether there is something to read.
    fn check(&mut self, path: &Path) -> Result<(), Ended> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(metadata) => {
                if !metadata.is_dir() {
                    self.complain(path, "it is not a regular file; for a pipe use stdin");
                }
                return self.lost(path);
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                self.complaints.remove(path);
                self.feed.unopened.remove_file(path);
                return self.lost(path);
            }
            Err(why) => {
                self.complain(path, &why.to_string());
                return Ok(());
            }
        };
        let mut id = FileId::of(&metadata);
        match self.feed.known.names.get_mut(path) {
            Some(name) if name.id == id => name.seen = self.look,
            _ => match self.follow_new(path)? {
                Some(opened) => id = opened,
                None => return Ok(()),
            },
        }
        let Some(file) = self.feed.known.files.get_mut(&id) else {
            return Ok(());
        };
        if file.is_nameless() {
            // This name was known before the other one was lost.
            file.found_again(self.feed.origin.with_file(path));
        }
        if file.end() != metadata.len() {
            self.enqueue(id);
        }
        Ok(())
    }

    /// This path is new, or stands for another file than before: that one is read to its end
    /// first, so that the order stays.
    fn follow_new(&mut self, path: &Path) -> Result<Option<FileId>, Ended> {
        self.lost(path)?;
        let feed = &mut self.feed;
        let old_bytes = |id, size| feed.unopened.old_bytes(path, id, size);
        match feed.known.open(&feed.origin, path, old_bytes, self.look) {
            Ok(opened) => {
                self.feed.unopened.remove_file(path);
                debug!(file = %path.display(), "following a file");
                self.complaints.remove(path);
                self.watch.follow_link(path);
                Ok(opened)
            }
            // Gone again: the watcher or the next look will tell.
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => {
                self.complain(path, &why.to_string());
                Ok(None)
            }
        }
    }

    /// This path does not stand any more for the file it stood for.
    fn lost(&mut self, path: &Path) -> Result<(), Ended> {
        let Some(Name { id, .. }) = self.feed.known.names.remove(path) else {
            return Ok(());
        };
        self.watch.forget_link(path);
        while let Progress::More = self.read(id)? {
            if self.wake.is_stopped() {
                return Err(Ended);
            }
        }
        // It may have another name, which is found at the next look at the latest.
        if let Some(file) = self.feed.known.files.get_mut(&id)
            && file.path() == path
        {
            file.lost_name();
        }
        Ok(())
    }

    /// Files without a name are read on for a while: their writer may not know yet.
    fn look_after_nameless(&mut self) -> Result<(), Ended> {
        let nameless = |(id, file): (&FileId, &super::Followed)| file.is_nameless().then_some(*id);
        let nameless: Vec<FileId> = self.feed.known.files.iter().filter_map(nameless).collect();
        for id in nameless {
            let Some(file) = self.feed.known.files.get_mut(&id) else {
                continue;
            };
            match file.fate() {
                Ok(Fate::Waits) => {}
                Ok(Fate::Grew) => self.enqueue(id),
                Ok(Fate::IsOver) => self.close(id)?,
                Err(why) => {
                    debug!(file = %file.path().display(), %why, "a lost file can't be read");
                    self.close(id)?;
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, id: FileId) -> Result<(), Ended> {
        if let Some(file) = self.feed.known.files.remove(&id) {
            self.failing.remove(&id);
            debug!(file = %file.path().display(), "file is gone");
            let mut ready = Vec::new();
            file.close(&mut ready);
            self.send(ready)?;
        }
        Ok(())
    }

    fn enqueue(&mut self, id: FileId) {
        if let Some(file) = self.feed.known.files.get_mut(&id)
            && !std::mem::replace(&mut file.queued, true)
        {
            self.queue.push_back(id);
        }
    }

    /// Gives the next file its turn; false if none has anything to read.
    fn read_next(&mut self) -> Result<bool, Ended> {
        let Some(id) = self.queue.pop_front() else {
            return Ok(false);
        };
        if let Some(file) = self.feed.known.files.get_mut(&id) {
            file.queued = false;
        }
        if let Progress::More = self.read(id)? {
            self.enqueue(id);
        }
        Ok(true)
    }

    fn read(&mut self, id: FileId) -> Result<Progress, Ended> {
        let Some(file) = self.feed.known.files.get_mut(&id) else {
            return Ok(Progress::AtEnd);
        };
        let mut ready = Vec::new();
        let progress = match file.read(&mut self.buffer[..READ_BYTES], &mut ready) {
            Ok(progress) => {
                self.failing.remove(&id);
                progress
            }
            Err(why) => {
                if self.failing.insert(id) {
                    error!(file = %file.path().display(), %why, "can't read a file; trying again every second");
                }
                Progress::AtEnd
            }
        };
        self.send(ready)?;
        Ok(progress)
    }

    fn count_next(&mut self) {
        let Some(id) = self.uncounted.front() else {
            return;
        };
        let counted = match self.feed.known.files.get_mut(id) {
            // What can't be read is told when a line is read.
            Some(file) => file.count_lines(&mut self.buffer).unwrap_or(true),
            None => true,
        };
        if counted {
            self.uncounted.pop_front();
        }
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

    /// Waits while the channel is full.
    fn send(&self, ready: Vec<Arrival>) -> Result<(), Ended> {
        if send(&self.arrivals, ready) {
            Ok(())
        } else {
            Err(Ended)
        }
    }

    fn complain(&mut self, path: &Path, why: &str) {
        if self.complaints.insert(path.to_owned(), self.look).is_none() {
            warn!(
                source = %self.feed.origin.source, file = %path.display(), why,
                "can't follow a file, trying again every second; \
                 let the server's user read it and its folder"
            );
        }
    }
}

/// The kernel tells nothing about some mounts, and about what happens behind a symbolic link.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
