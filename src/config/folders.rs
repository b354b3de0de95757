//! Whether what the server keeps can be written. To look is not to make: nothing is left behind,
//! and a server that runs in the folder does not notice.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::{Config, Problem, Refusal, Refusals};
use crate::data_dir::{DataDir, DataDirError};

impl Config {
    /// Whether a server may write where it has to.
    ///
    /// # Errors
    /// Everything that it may not, all at once.
    pub fn check_folders(&self) -> Result<(), Refusals> {
        let mut refusals = Refusals::new();
        let data_dir = self.unwritable_data_dir();
        // Where they go by themselves, it would be the same thing again.
        let dead_letters = if data_dir.is_none() || self.is_set("dead_letters.path") {
            self.unwritable_dead_letters()
        } else {
            None
        };
        for refusal in [data_dir, dead_letters].into_iter().flatten() {
            refusals.push(refusal);
        }
        refusals.into_result()
    }

    /// Whether another process has the data folder now. That is nothing wrong with the settings:
    /// they may be looked at beside the server that uses them.
    pub fn data_dir_in_use(&self) -> Option<Refusal> {
        match DataDir::look(&self.data_dir) {
            Err(taken @ DataDirError::Taken { .. }) => {
                let Problem { reason, remedy } = Problem::said(taken);
                Some(self.refusal("data_dir", reason, remedy))
            }
            // What else may be wrong is wrong with the folder.
            _ => None,
        }
    }

    fn unwritable_data_dir(&self) -> Option<Refusal> {
        if let Err(error) = may_write_in(&self.data_dir) {
            return Some(self.refusal(
                "data_dir",
                format!("can't write to {}: {error}", self.data_dir.display()),
                "name a folder this user may write to with --data-dir, or change its owner",
            ));
        }
        match DataDir::look(&self.data_dir) {
            Err(unusable @ DataDirError::Unusable(_)) => {
                let Problem { reason, remedy } = Problem::said(unusable);
                Some(self.refusal("data_dir", reason, remedy))
            }
            _ => None,
        }
    }

    fn unwritable_dead_letters(&self) -> Option<Refusal> {
        let path = &self.dead_letters.path;
        // As the server will open it, but for making it.
        let error = match OpenOptions::new().read(true).append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                may_write_in(path.parent().unwrap_or(Path::new(""))).err()?
            }
            opened => opened.err()?,
        };
        Some(self.refusal(
            "dead_letters.path",
            format!("can't write to {}: {error}", path.display()),
            "name a file this user may write to with --dead-letters-path, or change its owner",
        ))
    }
}

/// A folder that is not there yet can be made if the one it will be in can be written to.
fn may_write_in(folder: &Path) -> io::Result<()> {
    let existing = folder.ancestors().find(|folder| folder.exists());
    // With the dot, what is no folder fails; and an empty path is the current folder.
    let folder = existing.unwrap_or(Path::new("")).join(".");
    Ok(access(&folder, Access::WRITE_OK | Access::EXEC_OK)?)
}
