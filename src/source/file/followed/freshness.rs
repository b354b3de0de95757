use std::fs::Metadata;

use crate::source::file::BETWEEN_LOOKS;
use crate::source::file::times::{Modified, modified};

/// Whether a file is worth reading, going by what its metadata tells.
#[derive(Debug)]
pub(super) struct Freshness {
    modified: Modified,
    /// Looks for which its time of modification may be that of two changes.
    unsettled: u32,
}

/// Why a file is asked whether it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::file) enum Prompt {
    /// Somebody says that it has changed.
    Reported,
    /// It is looked at every second.
    Look,
}

impl Freshness {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let settled = Self {
            modified: modified(metadata),
            unsettled: 0,
        };
        if is_recent(metadata) {
            settled.unsettled()
        } else {
            settled
        }
    }

    /// Of a file that will not change.
    pub(super) fn settled() -> Self {
        Self {
            modified: (0, 0),
            unsettled: 0,
        }
    }

    /// What the time it tells stands for is not known.
    pub(super) fn unsettled(self) -> Self {
        Self {
            unsettled: UNTIL_SETTLED,
            ..self
        }
    }

    pub(super) fn modified(&self) -> Modified {
        self.modified
    }

    /// Whether a file that was read up to `end` is to be read again.
    pub(super) fn is_due(&mut self, metadata: &Metadata, end: u64, prompt: Prompt) -> bool {
        let modified = modified(metadata);
        if prompt == Prompt::Reported || modified != self.modified {
            self.modified = modified;
            self.unsettled = UNTIL_SETTLED;
            return true;
        }
        // Written to twice within a tick of its clock, it tells the same time twice.
        let unsettled = self.unsettled > 0;
        self.unsettled = self.unsettled.saturating_sub(1);
        unsettled || metadata.len() != end
    }
}

/// Whether it was written to so lately that another change would not show in its time.
fn is_recent(metadata: &Metadata) -> bool {
    let age = metadata
        .modified()
        .ok()
        .and_then(|time| time.elapsed().ok());
    age.is_none_or(|age| age < BETWEEN_LOOKS * UNTIL_SETTLED)
}

/// Looks (one a second) for which a file that was written to is read although it seems to be the
/// same: file systems tell the time in steps of up to two seconds.
const UNTIL_SETTLED: u32 = 3;
