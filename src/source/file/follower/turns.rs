//! Files have their turn: one read each.

use std::io;

use tracing::{debug, error};

use super::{Ended, Follower};
use crate::source::file::bookmark::Writer;
use crate::source::file::complaints::is_out_of_files;
use crate::source::file::copies::{LEAST_SAME, Verdict};
use crate::source::file::file_id::FileId;
use crate::source::file::followed::{Followed, Original, Progress, Suspicion};
use crate::source::{Arrival, Bookmark, Handover, READ_BYTES};

impl Follower {
    pub(super) fn is_idle(&self) -> bool {
        let has_nothing =
            self.queue.is_empty() && self.uncounted.is_empty() && self.held.is_empty();
        has_nothing || self.report.is_paused()
    }

    pub(super) fn enqueue(&mut self, id: FileId) {
        if let Some(file) = self.feed.known.files.get(&id) {
            self.queue.push(id, file.suspicion() == Suspicion::New);
        }
    }

    /// Gives the next file its turn; counts old lines if none has anything to read.
    pub(super) fn take_turn(&mut self) -> Result<(), Ended> {
        self.catch_up()?;
        let Some(_reading) = self.report.begin_read() else {
            return Ok(());
        };
        if !self.held.is_empty() {
            // Paused meanwhile, and gone on.
            return Ok(());
        }
        let Some(id) = self.queue.pop() else {
            self.count_next();
            return Ok(());
        };
        if let Progress::More = self.read(id)? {
            self.enqueue(id);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, id: FileId) -> Result<Progress, Ended> {
        match self.feed.known.files.get(&id).map(Followed::suspicion) {
            None => Ok(Progress::AtEnd),
            Some(Suspicion::Cleared) => self.read_lines(id),
            Some(suspicion) => self.read_suspect(id, suspicion),
        }
    }

    fn read_lines(&mut self, id: FileId) -> Result<Progress, Ended> {
        let Some(file) = self.feed.known.files.get_mut(&id) else {
            return Ok(Progress::AtEnd);
        };
        let mut ready = Vec::new();
        let read = file.read(&mut self.buffer[..READ_BYTES], &mut ready);
        let lost = file.take_lost();
        let progress = self.progress(id, read);
        let rest = match lost {
            Some(lost) => self.rest_of(&lost)?,
            None => None,
        };
        if let Some(copy) = rest {
            // Its last line is whole in the copy. The log hears of both at once.
            self.tell_marks()?;
            if !self.finish(copy)? {
                self.hold_first(copy);
            }
        } else {
            self.send(ready, id)?;
        }
        Ok(progress)
    }

    /// Reads a file that may be a copy: hands nothing over, but finds out whether it is one.
    fn read_suspect(&mut self, id: FileId, suspicion: Suspicion) -> Result<Progress, Ended> {
        let next = match self.peek(id) {
            Ok(next) => next,
            Err(progress) => return Ok(progress),
        };
        // One that was withheld before a restart has to be looked at again.
        self.count_all(id)?;
        for original in self.feed.known.unread_originals(id, &next) {
            self.count_all(original)?;
        }
        let verdict = self.feed.known.compare(id, &next);
        self.judge(id, suspicion, &verdict, &next)?;
        self.judged.push(id);
        Ok(Progress::More)
    }

    fn judge(
        &mut self,
        id: FileId,
        suspicion: Suspicion,
        verdict: &Verdict,
        next: &[u8],
    ) -> Result<(), Ended> {
        let Some(file) = self.feed.known.files.get_mut(&id) else {
            return Ok(());
        };
        match verdict {
            _ if file.end() + (next.len() as u64) < LEAST_SAME => file.clear(),
            Verdict::Same {
                bytes,
                original,
                read,
            } => file.withhold(&next[..*bytes], *original, *read),
            Verdict::Beyond(originals) => {
                // What they have by now was there before it was copied.
                if !self.read_on(originals)? {
                    self.clear(id);
                }
            }
            Verdict::Unlike => match suspicion {
                Suspicion::CopyOf { original, .. }
                    if !file.is_copy() && self.feed.known.remembers(original) =>
                {
                    self.read_whole(id);
                }
                _ => self.clear(id),
            },
        }
        Ok(())
    }

    /// The next bytes of a suspect. There are none at its end, if it can't be read, and if it was
    /// begun anew, which clears it.
    fn peek(&mut self, id: FileId) -> Result<Vec<u8>, Progress> {
        let file = self.feed.known.files.get_mut(&id).ok_or(Progress::AtEnd)?;
        let mut next = vec![0; READ_BYTES];
        let count = match file.peek_next(&mut next) {
            Ok(count) => count,
            Err(why) => return Err(self.progress(id, Err(why))),
        };
        if file.suspicion() == Suspicion::Cleared {
            return Err(Progress::More);
        }
        self.progress(id, Ok(Progress::AtEnd));
        next.truncate(count);
        if next.is_empty() {
            return Err(Progress::AtEnd);
        }
        Ok(next)
    }

    fn clear(&mut self, id: FileId) {
        if let Some(file) = self.feed.known.files.get_mut(&id) {
            debug!(file = %file.path().display(), read = file.end(), "reading a file from here on");
            file.clear();
        }
    }

    fn read_whole(&mut self, id: FileId) {
        if let Some(file) = self.feed.known.files.get_mut(&id) {
            debug!(file = %file.path().display(), "a file is no copy after all");
            file.read_whole();
        }
    }

    /// Reads these to their end, as far as they still are what they were; true if that has
    /// changed what is known of them.
    fn read_on(&mut self, originals: &[Original]) -> Result<bool, Ended> {
        let mut changed = false;
        for original in originals {
            while let Some(file) = self.feed.known.files.get(&original.id)
                && file.suspicion() == Suspicion::Cleared
                && file.generation() == original.generation
            {
                let end = file.end();
                let progress = self.read_lines(original.id)?;
                let file = self.feed.known.files.get(&original.id);
                changed |= file.is_none_or(|file| {
                    file.end() != end || file.generation() != original.generation
                });
                if progress == Progress::AtEnd {
                    break;
                }
                if self.wake.is_stopped() {
                    return Err(Ended);
                }
            }
        }
        Ok(changed)
    }

    fn count_next(&mut self) {
        if let Some(id) = self.uncounted.front().copied()
            && self.count(id)
        {
            self.uncounted.pop_front();
        }
    }

    fn count_all(&mut self, id: FileId) -> Result<(), Ended> {
        while !self.count(id) {
            if self.wake.is_stopped() {
                return Err(Ended);
            }
        }
        Ok(())
    }

    /// Counts some old lines; true if all are counted.
    fn count(&mut self, id: FileId) -> bool {
        let Some(file) = self.feed.known.files.get_mut(&id) else {
            return true;
        };
        // What can't be read is told when a line is read.
        let counted = file.count_lines(&mut self.buffer).unwrap_or(true);
        self.feed.known.used(id);
        counted
    }

    /// How a read went, after what comes of that for the file is done.
    fn progress(&mut self, id: FileId, read: io::Result<Progress>) -> Progress {
        match read {
            Ok(progress) => {
                self.feed.known.used(id);
                self.failing.remove(&id);
                progress
            }
            // Its name stands for another file now, which the next look finds out.
            Err(why) if why.kind() == io::ErrorKind::NotFound => Progress::AtEnd,
            Err(why) => {
                if is_out_of_files(&why) {
                    self.feed.known.make_room();
                }
                if let Some(file) = self.feed.known.files.get(&id)
                    && self.failing.insert(id)
                {
                    error!(file = %file.path().display(), %why, "can't read a file; trying again every second");
                }
                Progress::AtEnd
            }
        }
    }

    /// Hands over what was read of a file, and with it where it is now. Waits while the channel is
    /// full.
    fn send(&mut self, ready: Vec<Arrival>, file: FileId) -> Result<(), Ended> {
        let mut writer = Writer::new(&self.feed.origin.source);
        // What is known of a copy has to be in the log before its original is forgotten.
        for id in self.judged.drain(..).chain([file]) {
            if let Some(file) = self.feed.known.files.get_mut(&id) {
                file.write(&mut writer);
            }
        }
        self.hand_over(ready, writer.bookmarks)
    }

    /// Hands over where all files are, as far as the log does not know.
    pub(super) fn tell_marks(&mut self) -> Result<(), Ended> {
        let bookmarks = self.feed.bookmarks();
        self.judged.clear();
        self.hand_over(Vec::new(), bookmarks)
    }

    pub(super) fn hand_over(
        &self,
        arrivals: Vec<Arrival>,
        bookmarks: Vec<Bookmark>,
    ) -> Result<(), Ended> {
        let handover = Handover {
            arrivals,
            bookmarks,
        };
        if self.handovers.send(handover) {
            Ok(())
        } else {
            Err(Ended)
        }
    }
}
