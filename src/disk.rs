//! How full the disk is that a folder is on.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

/// The disk under a folder. Cheap to ask: one system call.
#[derive(Clone, Debug)]
pub struct Disk {
    folder: PathBuf,
}

/// From here on, in percent, somebody should make room.
pub const NEARLY_FULL_PERCENT: u64 = 90;

impl Disk {
    /// The one that this folder is on.
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// How much of it is used, in percent, as `df` counts: of what this user may use, rounded
    /// up.
    ///
    /// # Errors
    /// The folder is not there, or the system does not say.
    pub fn used_percent(&self) -> io::Result<u64> {
        let disk = statvfs(&self.folder)?;
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        Ok(percent(used, disk.f_bavail))
    }
}

fn percent(used: u64, free: u64) -> u64 {
    let all = used.saturating_add(free);
    used.saturating_mul(100).div_ceil(all.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_said_to_be_emptier_than_it_is() {
        for (used, free, expected) in [
            (0, 10, 0),
            (1, 999, 1),
            (899, 101, 90),
            (900, 100, 90),
            (901, 99, 91),
            (10, 0, 100),
            // A file system without blocks, such as /proc.
            (0, 0, 0),
        ] {
            assert_eq!(percent(used, free), expected, "{used} {free}");
        }
    }

    #[test]
    fn a_folder_has_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::of(folder.path());
        assert!(disk.used_percent().unwrap() <= 100);
        drop(folder);
        assert!(disk.used_percent().is_err());
    }
}
