use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tracing::warn;

use crate::source::SourceName;

/// What can't be followed. Each is told once, and again only after it was gone.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// With the last look that has seen it.
    told: HashMap<PathBuf, u64>,
}

impl Complaints {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// This path can't be opened or looked at.
    pub(super) fn unreadable(
        &mut self,
        source: &SourceName,
        path: &Path,
        why: &io::Error,
        look: u64,
    ) {
        if !self.is_new(path, look) {
            return;
        }
        let remedy = if is_out_of_files(why) {
            "raise the limit of open files (ulimit -n, LimitNOFILE=) or lower limits.connections"
        } else if why.kind() == io::ErrorKind::PermissionDenied {
            "let the server's user read it and its folder"
        } else {
            "see to its file system"
        };
        warn!(%source, file = %path.display(), %why, remedy, "can't follow a file, trying again every second");
    }

    /// This path is something that lines can't be read from.
    pub(super) fn not_a_file(&mut self, source: &SourceName, path: &Path, look: u64) {
        if self.is_new(path, look) {
            warn!(
                %source, file = %path.display(),
                "not followed, for it is not a regular file; for a pipe use stdin"
            );
        }
    }

    /// What was complained of is all right now, or gone.
    pub(super) fn settled(&mut self, path: &Path) {
        self.told.remove(path);
    }

    /// What this look has not seen is gone.
    pub(super) fn keep(&mut self, look: u64) {
        self.told.retain(|_, seen| *seen == look);
    }

    fn is_new(&mut self, path: &Path, look: u64) -> bool {
        match self.told.get_mut(path) {
            Some(seen) => {
                *seen = look;
                false
            }
            None => {
                self.told.insert(path.to_owned(), look);
                true
            }
        }
    }
}

/// No file descriptors left, for this process or for the system.
pub(super) fn is_out_of_files(why: &io::Error) -> bool {
    matches!(Errno::from_io_error(why), Some(Errno::MFILE | Errno::NFILE))
}
