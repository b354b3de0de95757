//! What could not be read: a file of JSON lines, so that nothing is dropped in silence.

mod burst;
mod file;
mod letter;
mod waiting;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use tracing::{error, info, warn};

use crate::source::SourceName;

pub use letter::{DeadLetter, DeadLine};

use burst::Burst;
use file::LetterFile;
use waiting::Waiting;

/// The file of dead letters. A full disk never stops the feed: letters wait in memory until there
/// is room, up to a bound.
#[derive(Debug)]
pub struct DeadLetters {
    file: LetterFile,
    waiting: Waiting,
    counts: BTreeMap<SourceName, u64>,
    refusals: Burst,
    losses: Burst,
}

/// The file of dead letters can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't open {} for dead letters; make it writable or set dead_letters.path", .path.display())]
pub struct DeadLettersError {
    path: PathBuf,
    #[source]
    why: io::Error,
}

impl DeadLetters {
    /// Opens the file to append to it. Makes it, readable only for the server's user, and its
    /// folder. Beyond `max_bytes` it is renamed to `PATH.1`, in place of an older one, and begun
    /// anew.
    ///
    /// # Errors
    /// It can't be opened or made.
    pub fn open(path: impl Into<PathBuf>, max_bytes: u64) -> Result<Self, DeadLettersError> {
        let path = path.into();
        let file = LetterFile::open(path.clone(), max_bytes)
            .map_err(|why| DeadLettersError { path, why })?;
        Ok(Self {
            file,
            waiting: Waiting::default(),
            counts: BTreeMap::new(),
            refusals: Burst::default(),
            losses: Burst::default(),
        })
    }

    /// Counts, logs and keeps a letter. One write to the file, not synced: the log of signals is
    /// what must survive a power cut, not this.
    pub fn write(&mut self, letter: &DeadLetter<'_>) {
        let now = Instant::now();
        match self.counts.get_mut(letter.source) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(letter.source.clone(), 1)),
        }
        if let Some(suppressed) = self.refusals.admit(now) {
            warn!(at = %letter.place(), source = %letter.source, reason = letter.reason, suppressed, "line refused");
        }
        if !self.waiting.push(letter.to_json_line())
            && let Some(suppressed) = self.losses.admit(now)
        {
            error!(
                file = %self.file.path().display(), at = %letter.place(), suppressed,
                "too many dead letters wait to be written, this one is lost; free space on the disk or set dead_letters.path"
            );
        }
        self.retry(now);
    }

    /// Whether letters could not be written yet: try again from time to time.
    pub fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tries again to write those that wait, unless the last try was just now.
    pub fn retry(&mut self, now: Instant) {
        if self.waiting.is_due(now) {
            self.write_waiting(now);
        }
    }

    /// Tries for the last time to write those that wait.
    pub fn close(&mut self) {
        self.write_waiting(Instant::now());
        if self.are_waiting() {
            error!(
                file = %self.file.path().display(), letters = self.waiting.count(),
                "dead letters could not be written and are lost; free space on the disk or set dead_letters.path"
            );
        }
    }

    /// How many letters each source has had since the start, written or not.
    pub fn counts(&self) -> impl Iterator<Item = (&SourceName, u64)> {
        self.counts.iter().map(|(source, count)| (source, *count))
    }

    fn write_waiting(&mut self, now: Instant) {
        while let Some(letter) = self.waiting.first() {
            let (written, outcome) = self.file.append(letter);
            self.waiting.written(written);
            if let Err(why) = outcome {
                if self.waiting.failed(now) {
                    error!(
                        file = %self.file.path().display(), %why,
                        "dead letters can't be written and wait in memory; free space on the disk or set dead_letters.path"
                    );
                }
                return;
            }
        }
        if let Some(letters) = self.waiting.over() {
            info!(file = %self.file.path().display(), letters, "dead letters can be written again");
        }
    }
}

#[cfg(test)]
mod tests;
