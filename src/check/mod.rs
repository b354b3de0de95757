//! The command `check`: what is wrong with feeds and settings, line by line. It opens no port,
//! makes nothing, and says the same as the server would.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Refusals;

mod feed;
mod findings;
mod report;

pub use feed::Feed;
pub use report::Report;

use findings::Findings;

/// What is to be checked.
#[derive(Debug)]
pub struct Check {
    /// In the order in which they are read: a signal with the id of an earlier one is dropped.
    pub subjects: Vec<Subject>,
    /// `signals.max_age`: signals that do not say how long they are valid are stale after this.
    pub max_age: Option<Duration>,
}

/// One thing to check.
#[derive(Debug)]
pub enum Subject {
    /// The lines of a feed.
    Feed(Feed),
    /// A file of settings, looked at already.
    Settings {
        /// Why a server would not start with them.
        refusals: Refusals,
        /// What its operator should know all the same.
        warnings: Vec<String>,
    },
}

/// A check could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A feed can't be read.
    #[error("can't read {}", .path.display())]
    Read {
        /// Its file, or `stdin`.
        path: PathBuf,
        /// What the system says.
        #[source]
        why: io::Error,
    },
    /// Nobody can be told.
    #[error("can't write what is wrong")]
    Write(#[source] io::Error),
}

/// Checks, and writes what is wrong to `out`, one line each. A reader that goes away (`| head`)
/// has seen enough; the rest is counted all the same.
///
/// Memory does not grow with a feed, but for the newest million of the ids in it.
///
/// # Errors
/// A feed can't be read, or `out` not be written.
pub fn run(check: &Check, out: impl Write) -> Result<Report, CheckError> {
    let mut findings = Findings::new(out, check.max_age);
    for subject in &check.subjects {
        match subject {
            Subject::Feed(feed) => feed.check(&mut findings)?,
            Subject::Settings { refusals, warnings } => findings.settings(refusals, warnings)?,
        }
    }
    findings.finish()
}
