//! Files that are read to their end, and what becomes of them while the source is paused.
//!
//! A paused source goes on looking at what is there: a file that is rotated away meanwhile is known,
//! and held open until it may be read.

use tracing::debug;

use super::{Ended, Follower};
use crate::source::file::file_id::FileId;
use crate::source::file::followed::Progress;

impl Follower {
    /// Reads a file to its end before anything else is read; later if the source is paused.
    pub(super) fn read_to_end(&mut self, id: FileId) -> Result<(), Ended> {
        self.catch_up()?;
        if !self.held.is_empty() || !self.finish(id)? {
            self.hold_open(id);
            self.held.push_back(id);
        }
        Ok(())
    }

    /// Reads to their end what was to be while the source was paused.
    pub(super) fn catch_up(&mut self) -> Result<(), Ended> {
        while let Some(id) = self.held.front().copied() {
            if !self.finish(id)? {
                break;
            }
            // Another one may stand before it by now.
            self.held.retain(|held| *held != id);
        }
        Ok(())
    }

    /// Reads a file to its end; false if the source is paused before that.
    pub(super) fn finish(&mut self, id: FileId) -> Result<bool, Ended> {
        loop {
            let Some(_reading) = self.report.begin_read() else {
                return Ok(false);
            };
            if self.read(id)? != Progress::More {
                return Ok(true);
            }
            if self.wake.is_stopped() {
                return Err(Ended);
            }
        }
    }

    /// The rest of this file comes before all others that are held.
    pub(super) fn hold_first(&mut self, id: FileId) {
        self.hold_open(id);
        self.held.push_front(id);
    }

    /// Its name may be lost, or stand for another file, before it is read.
    fn hold_open(&mut self, id: FileId) {
        if let Some(file) = self.feed.known.files.get_mut(&id)
            && let Err(why) = file.hold_open()
        {
            debug!(file = %file.path().display(), %why, "a file can't be held open while its source is paused");
        }
    }
}
