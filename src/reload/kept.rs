use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Cause;
use super::stamp::Stamp;
use crate::config::Refusals;

/// Something that is loaded from files, and stays as it is while they are no good.
#[derive(Debug)]
pub(super) struct Kept<T> {
    files: Vec<PathBuf>,
    current: T,
    /// What the files were when they were last read.
    seen: Vec<Stamp>,
    /// Whether they may have changed since without getting another stamp.
    unsettled: bool,
    trouble: Option<Trouble>,
    /// Whether trouble was told since it was last fine.
    complained: bool,
}

/// Files that can't be used.
#[derive(Debug)]
struct Trouble {
    refusals: Refusals,
    since: Instant,
    tried: Instant,
    said: bool,
}

/// What a look at the files came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing to tell, or not yet.
    Nothing,
    /// They say what they said, and somebody wants to know.
    Unchanged,
    /// What they say now holds from now on.
    Taken,
    /// They say again what they said before they were refused.
    Mended,
    /// They can't be used; what was before stays.
    Refused(Refusals),
}

/// A certificate and its key are replaced one after the other, and a file may be seen half
/// written. What can't be used is told only when it stays so.
const SETTLE: Duration = Duration::from_millis(1500);

/// Between two tries of what was refused.
const RETRY: Duration = Duration::from_secs(10);

impl<T: PartialEq> Kept<T> {
    /// What was loaded from these files. They are read again at the first look: they may have
    /// changed meanwhile.
    pub(super) fn new(files: Vec<PathBuf>, current: T) -> Self {
        Self {
            files,
            current,
            seen: Vec::new(),
            unsettled: true,
            trouble: None,
            complained: false,
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    pub(super) fn current(&self) -> &T {
        &self.current
    }

    /// Loads what the files say, if they may say something else than before.
    pub(super) fn look(
        &mut self,
        cause: Cause,
        (now, wall): (Instant, SystemTime),
        load: impl FnOnce() -> Result<T, Refusals>,
    ) -> Outcome {
        // Before they are read: what changes meanwhile shows at the next look.
        let stamps: Vec<Stamp> = self.files().map(Stamp::of).collect();
        let changed = stamps != self.seen;
        let retry = self.trouble.as_ref().is_some_and(|it| it.is_due(now));
        if cause == Cause::Look && !changed && !self.unsettled && !retry {
            return Outcome::Nothing;
        }
        if cause == Cause::Look && stamps.iter().any(|stamp| stamp.is_warm(wall)) {
            // Emptied and not yet filled again, it would look as if all had been taken out of it.
            return Outcome::Nothing;
        }
        self.unsettled = !stamps.iter().all(|stamp| stamp.is_settled(wall));
        self.seen = stamps;
        match load() {
            Ok(loaded) => self.take(cause, loaded),
            Err(refusals) => self.refuse(cause, changed, now, refusals),
        }
    }

    fn take(&mut self, cause: Cause, loaded: T) -> Outcome {
        self.trouble = None;
        let mended = std::mem::take(&mut self.complained);
        if loaded != self.current {
            self.current = loaded;
            return Outcome::Taken;
        }
        match (mended, cause) {
            (true, _) => Outcome::Mended,
            (false, Cause::Asked) => Outcome::Unchanged,
            (false, Cause::Look) => Outcome::Nothing,
        }
    }

    fn refuse(&mut self, cause: Cause, changed: bool, now: Instant, refusals: Refusals) -> Outcome {
        let same = |trouble: &Trouble| !changed && trouble.refusals == refusals;
        let mut trouble = self.trouble.take().filter(same).unwrap_or(Trouble {
            refusals,
            since: now,
            tried: now,
            said: false,
        });
        trouble.tried = now;
        let due = !trouble.said && now.duration_since(trouble.since) >= SETTLE;
        let mut outcome = Outcome::Nothing;
        if due || cause == Cause::Asked {
            trouble.said = true;
            self.complained = true;
            outcome = Outcome::Refused(trouble.refusals.clone());
        }
        self.trouble = Some(trouble);
        outcome
    }
}

impl Trouble {
    /// Whether to try again though the files are as they were: trouble may pass by itself (too
    /// many open files, a certificate that is not valid yet). A long file is not read every second
    /// in vain.
    fn is_due(&self, now: Instant) -> bool {
        !self.said || now.duration_since(self.tried) >= RETRY
    }
}

#[cfg(test)]
mod tests;
